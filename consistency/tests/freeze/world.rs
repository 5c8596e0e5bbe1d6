//! An application of real processes: two volumes in memory, and one writer per member.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use consistency::Request;
use consistency::warden::WardenProgram;
use format::ids::PointId;
use format::raw::RawPath;
use platform::application::{Activity, Application, FreezeTarget, Member, Volume};
use platform::driver::Driver;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

/// Writes the same number to both volumes, again and again: a snapshot that is of one instant
/// finds them equal, or the first one further by one.
const WRITER: &str = "i=0; while :; do i=$((i+1)); echo $i > a/n.new; mv a/n.new a/n; \
    echo $i > b/n.new; mv b/n.new b/n; done";

pub(crate) struct World {
    pub(crate) application: Application,
    pub(crate) scratch: TempDir,
    writers: Vec<Writer>,
    run: PointId,
}

struct Writer {
    child: Child,
    cgroup: Option<PathBuf>,
}

/// How the processes of a member are frozen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum By {
    Signal,
    V1,
    V2,
}

impl World {
    /// An application with a member for each of these; the first writes the volumes `a` and `b`.
    pub(crate) fn new(members: &[By]) -> Self {
        Self::within(Path::new("/dev/shm"), members)
    }

    pub(crate) fn within(parent: &Path, members: &[By]) -> Self {
        static RUN: AtomicU8 = AtomicU8::new(1);
        let scratch = TempDir::new_in(parent).unwrap();
        for name in ["a", "b"] {
            fs::create_dir(scratch.path().join(name)).unwrap();
            fs::write(scratch.path().join(name).join("n"), "0\n").unwrap();
        }
        let volumes = ["a", "b"].map(|name| Volume {
            name: RawPath::new(name),
            source: scratch.path().join(name),
            mounts: Vec::new(),
            outside_writers: Vec::new(),
            // So that it takes its time.
            driver: Some(Driver::Copy),
        });
        let application = Application {
            name: "shop".to_owned(),
            platform: "test",
            members: Vec::new(),
            volumes: volumes.to_vec(),
            ..Application::default()
        };
        let run = PointId::new([RUN.fetch_add(1, Ordering::Relaxed); 16]);
        let mut world = Self { application, scratch, writers: Vec::new(), run };
        for by in members {
            world.add(*by);
        }
        world
    }

    fn add(&mut self, by: By) {
        let number = self.writers.len();
        let script = if number == 0 { WRITER } else { "while :; do :; done" };
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(self.scratch.path()).process_group(0);
        let child = command.spawn().unwrap();
        let name = format!("stillpoint-take-{}-{number}", std::process::id());
        let root = match by {
            By::Signal => None,
            By::V1 => Some("/sys/fs/cgroup/freezer"),
            By::V2 if Path::new("/sys/fs/cgroup/cgroup.procs").exists() => Some("/sys/fs/cgroup"),
            By::V2 => Some("/sys/fs/cgroup/unified"),
        };
        let cgroup = root.map(|root| Path::new(root).join(name));
        if let Some(path) = &cgroup {
            fs::create_dir(path).unwrap();
            fs::write(path.join("cgroup.procs"), child.id().to_string()).unwrap();
        }
        let freezer = match (by, &cgroup) {
            (By::V1, Some(path)) => FreezeTarget::CgroupV1(path.clone()),
            (By::V2, Some(path)) => FreezeTarget::CgroupV2(path.clone()),
            _ => FreezeTarget::ProcessTree(child.id()),
        };
        self.application.members.push(Member {
            name: format!("m{number}"),
            id: child.id().to_string(),
            started: "now".to_owned(),
            activity: Activity::Running,
            freezer: Some(freezer),
            ..Member::default()
        });
        self.writers.push(Writer { child, cgroup });
    }

    /// A file that takes a while to copy.
    pub(crate) fn fatten(&self) {
        let file = fs::File::create(self.scratch.path().join("b/big")).unwrap();
        for _ in 0..800 {
            std::io::Write::write_all(&mut &file, &vec![7; 1 << 20]).unwrap();
        }
    }

    pub(crate) fn request(&self) -> Request {
        Request {
            application: self.application.clone(),
            run: self.run,
            deadline: Duration::from_secs(10),
            warden: WardenProgram {
                program: std::env::current_exe().unwrap(),
                arguments: vec!["--warden".into()],
                journals: self.journals(),
            },
            engine_sockets: Vec::new(),
            reader: None,
            freeze: true,
        }
    }

    /// What freezes each member, as `--take` wants it.
    pub(crate) fn freezers(&self) -> Vec<String> {
        let text = |writer: &Writer| match &writer.cgroup {
            Some(path) => path.display().to_string(),
            None => writer.child.id().to_string(),
        };
        self.writers.iter().map(text).collect()
    }

    /// The wardens that a process has started.
    pub(crate) fn wardens_of(service: u32) -> Vec<Pid> {
        let parent = |pid: &Pid| {
            let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
            let stat = stat.unwrap_or_default();
            let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
            fields.split(' ').nth(1).and_then(|field| field.parse().ok())
        };
        Self::wardens().into_iter().filter(|pid| parent(pid) == Some(service)).collect()
    }

    /// Where the wardens of this application keep their journals.
    pub(crate) fn journals(&self) -> PathBuf {
        self.scratch.path().join("journals")
    }

    pub(crate) fn cgroup(&self, member: usize) -> &Path {
        self.writers[member].cgroup.as_deref().unwrap()
    }

    pub(crate) fn is_frozen(&self, member: usize) -> bool {
        let Some(path) = &self.writers[member].cgroup else {
            let stat =
                fs::read_to_string(format!("/proc/{}/stat", self.writers[member].child.id()));
            return stat.unwrap().contains(") T ");
        };
        match fs::read_to_string(path.join("cgroup.events")) {
            Ok(text) => text.contains("frozen 1"),
            Err(_) => fs::read_to_string(path.join("freezer.state")).unwrap().trim() == "FROZEN",
        }
    }

    /// Whether all members run, within a moment.
    pub(crate) fn all_run(&self) -> bool {
        (0..self.writers.len()).all(|member| soon(|| !self.is_frozen(member)))
    }

    /// What can be seen of members, journals and wardens, for whoever has to find out what went wrong.
    pub(crate) fn traces(&self) -> String {
        let member = |(number, writer): (usize, &Writer)| {
            let stat = fs::read_to_string(format!("/proc/{}/stat", writer.child.id()));
            let cgroup = writer.cgroup.as_ref();
            let file = |name| cgroup.map(|path| fs::read_to_string(path.join(name)));
            let (told, events) = (file("cgroup.freeze"), file("cgroup.events"));
            format!("m{number}: {stat:?}, freeze {told:?}, events {events:?}")
        };
        let journal = |entry: fs::DirEntry| {
            let bytes = fs::read(entry.path()).unwrap_or_default();
            format!("{}: {}", entry.path().display(), String::from_utf8_lossy(&bytes))
        };
        let members = self.writers.iter().enumerate().map(member);
        let journals = fs::read_dir(self.journals()).into_iter().flatten().flatten().map(journal);
        let wardens = [format!("wardens {:?}", Self::wardens())];
        members.chain(journals).chain(wardens).collect::<Vec<_>>().join("\n")
    }

    /// The processes that guard a freeze of ours.
    pub(crate) fn wardens() -> Vec<Pid> {
        let pids = fs::read_dir("/proc").unwrap().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let ours = std::env::current_exe().unwrap();
        let is_warden = |pid: &i32| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let program = fs::read_link(format!("/proc/{pid}/exe"));
            name.trim() == "stillpoint-ward" && program.is_ok_and(|program| program == ours)
        };
        pids.filter(is_warden).filter_map(Pid::from_raw).collect()
    }

    /// Sends a signal to the warden as soon as the first member is frozen.
    pub(crate) fn strike(&self, signal: Signal) {
        assert!(soon(|| self.is_frozen(0)), "nothing was frozen");
        for pid in Self::wardens() {
            kill_process(pid, signal).unwrap();
        }
    }

    /// What is left of snapshots on the filesystem of the volumes.
    pub(crate) fn leftovers() -> usize {
        fs::read_dir("/dev/shm/.stillpoint").map_or(0, Iterator::count)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for writer in &mut self.writers {
            if let Some(path) = &writer.cgroup {
                let _ = fs::write(path.join("cgroup.freeze"), "0");
                let _ = fs::write(path.join("freezer.state"), "THAWED");
            }
            let _ = kill_process_group(Pid::from_child(&writer.child), Signal::KILL);
            let _ = writer.child.wait();
            if let Some(path) = &writer.cgroup {
                soon(|| fs::remove_dir(path).is_ok());
            }
        }
    }
}

/// Whether something becomes true within five seconds.
pub(crate) fn soon(condition: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        if condition() {
            return true;
        }
        thread::sleep(Duration::from_millis(1));
    }
    false
}
