//! Containers, through the engine's own command line.

use std::ffi::OsStr;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::directory;

/// A small image with a shell.
pub const BUSYBOX: &str = "lab/busybox:1";

/// A container; dropping it removes it, frozen or not.
#[must_use = "the container is removed when this is dropped"]
#[derive(Debug)]
pub struct Container {
    name: String,
    freezer: Freezer,
}

/// Where the kernel says whether a container stands still, per version of the hierarchy.
#[derive(Clone, Debug, Default)]
pub struct Freezer {
    v1: Option<PathBuf>,
    v2: Option<PathBuf>,
}

impl Container {
    /// Runs a container with `docker run OPTIONS.. IMAGE COMMAND..`; `name` must be new.
    pub fn run<A: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = A>) -> Self {
        let common = ["run", "--detach", "--network", "none", "--name", name];
        let mut command = Command::new("docker");
        directory::run(command.args(common).args(arguments));
        let pid = docker(["inspect", "--format", "{{.State.Pid}}", name]);
        Self { name: name.to_owned(), freezer: Freezer::of(pid.trim()) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the kernel says whether it stands still.
    pub fn freezer(&self) -> &Freezer {
        &self.freezer
    }

    /// Runs a shell command in it, which has to succeed, and returns what it wrote.
    pub fn shell(&self, command: &str) -> String {
        docker(["exec", self.name.as_str(), "sh", "-c", command])
    }

    /// Runs a shell command in it.
    pub fn try_shell(&self, command: &str) -> Output {
        let arguments = ["exec", self.name.as_str(), "sh", "-c", command];
        Command::new("docker").args(arguments).output().expect("docker runs")
    }

    /// Starts a shell command in it and does not wait.
    pub fn background(&self, command: &str) {
        docker(["exec", "--detach", self.name.as_str(), "sh", "-c", command]);
    }

    /// Whether the engine says that it paused it.
    pub fn is_paused(&self) -> bool {
        docker(["inspect", "--format", "{{.State.Paused}}", self.name.as_str()]).trim() == "true"
    }

    /// Waits until a shell command in it succeeds.
    pub fn wait_for(&self, command: &str) {
        let begin = Instant::now();
        loop {
            let output = self.try_shell(command);
            if output.status.success() {
                return;
            }
            if begin.elapsed() > Duration::from_mins(1) {
                let log = Command::new("docker").args(["logs", self.name()]).output();
                panic!("{}: {command}: {output:?}\n{log:?}", self.name);
            }
            sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // The engine cannot end what stands still.
        self.freezer.thaw();
        let remove = ["rm", "--force", "--volumes", self.name.as_str()];
        let _ = Command::new("docker").args(remove).output();
    }
}

impl Freezer {
    /// The one of a process.
    pub fn of(pid: &str) -> Self {
        let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mount = |kind: &str, option: &str| {
            let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
            let mut fitting = fields.filter(|fields| match fields.as_slice() {
                [_, _, found, options, ..] => {
                    *found == kind && options.split(',').any(|o| o == option)
                }
                _ => false,
            });
            Some(PathBuf::from(fitting.next()?.get(1)?))
        };
        let path = |controller: &str| {
            let mut lines =
                cgroups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
            let (_, path) =
                lines.find(|(names, _)| names.split(',').any(|name| name == controller))?;
            Some(path.trim_start_matches('/').to_owned())
        };
        let below = |mount: Option<PathBuf>, path: Option<String>| Some(mount?.join(path?));
        Self {
            v1: below(mount("cgroup", "freezer"), path("freezer")),
            v2: below(mount("cgroup2", "rw"), path("")),
        }
    }

    /// Whether the kernel says that all processes stand still, or are about to.
    pub fn is_frozen(&self) -> bool {
        let v1 = self.v1.as_ref().and_then(|d| fs::read_to_string(d.join("freezer.state")).ok());
        let v2 = self.v2.as_ref().and_then(|d| fs::read_to_string(d.join("cgroup.events")).ok());
        v1.is_some_and(|state| state.trim() != "THAWED")
            || v2.is_some_and(|events| events.lines().any(|line| line == "frozen 1"))
    }

    /// Thaws it, as somebody by hand would.
    pub fn thaw(&self) {
        let _ = self.v1.as_ref().map(|d| fs::write(d.join("freezer.state"), "THAWED"));
        let _ = self.v2.as_ref().map(|d| fs::write(d.join("cgroup.freeze"), "0"));
    }
}

/// Waits until a file grows, which somebody appends to.
pub fn wait_for_growth(file: &Path, patience: Duration) {
    let length = || fs::metadata(file).map_or(0, |found| found.len());
    let (begin, before) = (Instant::now(), length());
    while length() <= before {
        assert!(begin.elapsed() < patience, "{} does not grow", file.display());
        sleep(Duration::from_millis(5));
    }
}

/// A name for containers and applications that no other test has, in this run or another.
pub fn unique(what: &str) -> String {
    // The standard library's own source of chance.
    let chance = RandomState::new().build_hasher().finish();
    format!("{what}-{:08x}", chance >> 32)
}

/// The option that mounts `source` at `target`.
pub fn bind(source: &Path, target: &str) -> String {
    format!("--volume={}:{target}", source.display())
}

/// The option that makes a container belong to an application.
pub fn belongs_to(application: &str) -> String {
    format!("--label=stillpoint.app={application}")
}

/// Runs `docker ARGUMENTS..`, which has to succeed, and returns what it wrote.
pub fn docker<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> String {
    directory::run(Command::new("docker").args(arguments))
}
