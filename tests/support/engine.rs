//! A container engine for one test alone, which may come to harm.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::containers::{BUSYBOX, Freezer};
use crate::directory::{self, Directory};

/// A daemon with its containers; dropping it removes all of that.
#[must_use = "the engine is removed when this is dropped"]
#[derive(Debug)]
pub struct Engine {
    directory: Directory,
    // Sockets have short paths.
    runtime: PathBuf,
    process: Option<Child>,
}

impl Engine {
    /// An engine with the small image; its containers outlive it when `live_restore` says so.
    pub fn start(live_restore: bool) -> Self {
        let directory = Directory::new();
        let name = directory.path().file_name().expect("it has a name");
        let runtime = Path::new("/run").join(name);
        fs::create_dir(&runtime).expect("a new directory");
        let configuration = format!("{{\"live-restore\":{live_restore}}}");
        fs::write(directory.join("daemon.json"), configuration).expect("a new file");
        let mut engine = Self { directory, runtime, process: None };
        engine.run();
        let copy = "docker save \"$1\" | DOCKER_HOST=$2 docker load";
        directory::run(Command::new("sh").args(["-ec", copy, "sh", BUSYBOX, &engine.address()]));
        engine
    }

    /// Starts the daemon, and waits until it answers.
    pub fn run(&mut self) {
        // In a network of its own, for it removes bridges that it finds.
        let mut command = Command::new("unshare");
        command.args(["--net", "dockerd", "--bridge=none", "--iptables=false"]);
        command.args(["--exec-opt=native.cgroupdriver=cgroupfs", "--host", &self.address()]);
        let path = |name: &str| self.directory.join(name);
        command.arg("--config-file").arg(path("daemon.json")).arg("--data-root").arg(path("data"));
        command.arg("--exec-root").arg(&self.runtime);
        command.arg("--pidfile").arg(self.runtime.join("docker.pid"));
        let log = fs::File::options().create(true).append(true).open(path("log")).expect("a log");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        self.process = Some(command.spawn().expect("dockerd starts"));
        let begin = Instant::now();
        while !self.command(["version"]).output().is_ok_and(|output| output.status.success()) {
            let log = || fs::read_to_string(path("log")).unwrap_or_default();
            assert!(begin.elapsed() < Duration::from_mins(1), "dockerd does not start:\n{}", log());
            sleep(Duration::from_millis(50));
        }
    }

    /// Kills the daemon, as the kernel would without memory; its containers do not notice.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it is ours");
            process.wait().expect("it is ours");
        }
        // Its own helper dies with it, and the next daemon would wait for that.
        let begin = Instant::now();
        while !self.helpers("containerd\n").is_empty() {
            assert!(begin.elapsed() < Duration::from_secs(20), "containerd lives on");
            sleep(Duration::from_millis(1));
        }
        // Where nobody reaps it, its number would be taken for a sign of life.
        let _ = fs::remove_file(self.runtime.join("containerd/containerd.pid"));
    }

    /// Tells the daemon to stop; answers at once.
    pub fn tell_to_stop(&self) {
        let pid = self.process.as_ref().expect("it runs").id();
        directory::run(Command::new("kill").arg(pid.to_string()));
    }

    /// Waits until the daemon has stopped.
    pub fn stopped(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.wait().expect("it is ours");
        }
    }

    /// Where it listens, as `DOCKER_HOST` has it.
    pub fn address(&self) -> String {
        format!("unix://{}/docker.sock", self.runtime.display())
    }

    /// `docker ARGUMENTS..` on this engine.
    pub fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", self.address()).args(arguments);
        command
    }

    /// Runs a container that appends to a file on the host every ten milliseconds, for ever.
    pub fn writer(&self, name: &str, options: &[&str], volume: &Path) -> Freezer {
        let mount = crate::containers::bind(volume, "/volume");
        let writer = "while :; do echo >>/volume/log; sleep 0.01; done";
        let common = ["run", "--detach", "--network=none", "--name", name, &mount];
        let words = [&common, options, &[BUSYBOX, "sh", "-c", writer]].concat();
        directory::run(&mut self.command(words));
        self.freezer(name)
    }

    /// Where the kernel says whether a container stands still.
    pub fn freezer(&self, name: &str) -> Freezer {
        let pid =
            directory::run(&mut self.command(["inspect", "--format", "{{.State.Pid}}", name]));
        Freezer::of(pid.trim())
    }

    // The daemon's helpers whose names begin like this: what has our directory on its command line.
    fn helpers(&self, name: &str) -> Vec<String> {
        let runtime = self.runtime.display().to_string();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = entry.file_name().to_string_lossy().into_owned();
            let comm = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if comm.starts_with(name) && String::from_utf8_lossy(&line).contains(&runtime) {
                found.push(pid);
            }
        }
        found
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.process.is_none() && !std::thread::panicking() {
            self.run();
        }
        let remove = "docker ps --quiet --all | xargs --no-run-if-empty docker rm --force";
        let _ = Command::new("sh").args(["-c", remove]).env("DOCKER_HOST", self.address()).output();
        if self.process.is_some() {
            self.tell_to_stop();
        }
        self.stopped();
        let helpers = self.helpers("containerd");
        if !helpers.is_empty() {
            let _ = Command::new("kill").arg("-KILL").args(helpers).status();
        }
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let targets = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for target in targets.filter(|target| Path::new(target).starts_with(&self.runtime)) {
            let _ = Command::new("umount").arg("--lazy").arg(target).status();
        }
        let _ = fs::remove_dir_all(&self.runtime);
    }
}
