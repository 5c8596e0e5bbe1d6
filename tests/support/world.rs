//! A world of its own for one test: a repository, a passphrase, a state directory, the program.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::fs::{self, File};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::directory::Directory;

/// The passphrase of every world. It must appear nowhere.
pub const PASSPHRASE: &str = "canary-7f3a-correct-horse";
/// No command of a test takes this long.
const PATIENCE: Duration = Duration::from_mins(2);

/// A repository that need not exist yet, and everything that belongs to it.
#[must_use = "the world ends when this is dropped"]
#[derive(Debug)]
pub struct World {
    directory: Directory,
    environment: BTreeMap<OsString, OsString>,
    user: Option<u32>,
    commands: AtomicU32,
}

/// What a command said when it had ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its exit code; nothing when a signal ended it.
    pub code: Option<i32>,
    /// Whether it left a core dump.
    pub dumped: bool,
    /// What it answered.
    pub stdout: String,
    /// What it said besides.
    pub stderr: String,
}

/// A command that runs; dropping it kills it.
#[must_use = "the command is killed when this is dropped"]
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    started: Instant,
}

impl World {
    /// A world without a repository, where temporary files go.
    pub fn empty() -> Self {
        Self::empty_inside(&std::env::temp_dir())
    }

    /// A world without a repository, on the filesystem of `parent`.
    pub fn empty_inside(parent: &Path) -> Self {
        let directory = Directory::inside(parent);
        fs::create_dir(directory.join("home")).expect("a new directory");
        let mut world =
            Self { environment: inherited(), directory, user: None, commands: 0.into() };
        world.set("HOME", world.path("home"));
        world.set("STILLPOINT_REPO", world.repository());
        world.set("STILLPOINT_STATE_DIR", world.state());
        world.set("STILLPOINT_RUNTIME_DIR", world.path("runtime"));
        world.set("STILLPOINT_PASSPHRASE", PASSPHRASE);
        world
    }

    /// A world with a new repository.
    pub fn new() -> Self {
        Self::empty().init()
    }

    /// A world with a new repository that a key file opens, which takes no time.
    pub fn with_key_file() -> Self {
        let mut world = Self::empty();
        world.unset("STILLPOINT_PASSPHRASE");
        world.set("STILLPOINT_KEY_FILE", world.path("key"));
        world.stillpoint(["init", "--new-key-file", "key", "--no-recovery-key"]).succeeded();
        world
    }

    /// Makes the repository.
    pub fn init(self) -> Self {
        self.stillpoint(["init"]).succeeded();
        self
    }

    /// The path of something in the world's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Where the repository is.
    pub fn repository(&self) -> PathBuf {
        self.path("repository")
    }

    /// Where the catalog is.
    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Sets an environment variable of all further commands.
    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.environment.insert(name.into(), value.into());
    }

    /// Takes an environment variable from all further commands.
    pub fn unset(&mut self, name: &str) {
        self.environment.remove(OsStr::new(name));
    }

    /// Makes all further commands run as an ordinary user, who owns what the world has so far.
    pub fn become_user(&mut self, id: u32) {
        crate::directory::run(
            Command::new("chown").args(["-R", &id.to_string()]).arg(self.directory.path()),
        );
        self.user = Some(id);
    }

    /// Runs the program and waits for it.
    pub fn stillpoint<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Output {
        self.start(arguments).finish()
    }

    /// Runs the program with `--json` and returns its answer; it has to succeed.
    pub fn json<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Value {
        let arguments: Vec<OsString> =
            arguments.into_iter().map(|a| a.as_ref().to_owned()).chain(["--json".into()]).collect();
        self.stillpoint(&arguments).succeeded().json()
    }

    /// Starts the program.
    pub fn start<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Running {
        self.start_program(&program(), arguments)
    }

    /// Starts another program in this world.
    pub fn start_program(
        &self,
        program: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Running {
        let number = self.commands.fetch_add(1, Ordering::Relaxed);
        let output = |name: &str| self.path(&format!("{name}-{number}"));
        let create = |path: &Path| File::create(path).expect("a new file");
        let (stdout, stderr) = (output("stdout"), output("stderr"));
        // Files, not pipes: a warden that outlives the program would hold a pipe open.
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(&self.environment)
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(create(&stdout))
            .stderr(create(&stderr));
        if let Some(id) = self.user {
            command.uid(id).gid(id);
        }
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        Running { child, stdout, stderr, started: Instant::now() }
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl Running {
    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The file that it writes its standard error to.
    pub fn stderr(&self) -> &Path {
        &self.stderr
    }

    /// For how long it has been running.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("the child can be asked").is_some()
    }

    /// Kills it, as a power cut or the kernel would.
    pub fn kill(mut self) -> Output {
        let _ = self.child.kill();
        let status = self.child.wait().expect("the child can be awaited");
        self.output(status)
    }

    /// Waits for it.
    pub fn finish(mut self) -> Output {
        loop {
            if let Some(status) = self.child.try_wait().expect("the child can be asked") {
                return self.output(status);
            }
            assert!(self.age() < PATIENCE, "the command has not ended: {:?}", self.child);
            sleep(Duration::from_millis(2));
        }
    }

    fn output(&self, status: ExitStatus) -> Output {
        let read =
            |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        let output = Output {
            code: status.code(),
            dumped: status.core_dumped(),
            stdout: read(&self.stdout),
            stderr: read(&self.stderr),
        };
        for said in [&output.stdout, &output.stderr] {
            assert!(!said.contains(PASSPHRASE), "the passphrase was printed: {said}");
            assert!(!said.contains("panicked at"), "the program panicked: {said}");
        }
        output
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Output {
    /// Panics unless the command succeeded.
    #[track_caller]
    pub fn succeeded(&self) -> &Self {
        self.ended(0)
    }

    /// Panics unless the command ended with this exit code.
    #[track_caller]
    pub fn ended(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// The JSON that it answered.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:#?}"))
    }

    /// Panics unless the command failed with this exit code and said what, in words that have
    /// `what` in them, why, where there is a cause, and what to do.
    #[track_caller]
    pub fn failed(&self, code: i32, what: impl AsRef<str> + Debug) -> &Self {
        self.ended(code);
        let lines: Vec<&str> =
            self.stderr.lines().skip_while(|line| !line.starts_with("error: ")).collect();
        let begins: &[&str] = match lines.len() {
            2 => &["error: ", "  hint: "],
            _ => &["error: ", "  because: ", "  hint: "],
        };
        let form = lines.len() == begins.len()
            && lines.iter().zip(begins).all(|(line, begin)| line.starts_with(begin));
        assert!(form, "not what, why and what to do: {self:#?}");
        let named = lines.iter().any(|line| line.contains(what.as_ref()));
        assert!(named, "{what:?} is not named: {self:#?}");
        self
    }
}

/// The program that is tested: it was built beside the tests.
pub fn program() -> PathBuf {
    let test = std::env::current_exe().expect("this program has a path");
    let beside = test.ancestors().nth(2).expect("tests lie in a directory of their own");
    let program = beside.join("stillpoint");
    assert!(program.exists(), "{} is missing; build it first: cargo build", program.display());
    program
}

// Only what leads to the system's own programs and to the lab.
#[allow(clippy::disallowed_methods, reason = "a child gets a chosen part of our environment")]
fn inherited() -> BTreeMap<OsString, OsString> {
    let value = |name: &str| Some((name.into(), std::env::var_os(name)?));
    ["PATH", "DOCKER_HOST"].into_iter().filter_map(value).collect()
}
