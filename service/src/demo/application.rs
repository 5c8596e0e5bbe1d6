//! The application of the demonstration: processes in a ring, each with a volume of its own.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use format::manifest::Manifest;
use tokio::process::{Child, Command};

use crate::demo::error::DemoError;
use crate::demo::ring;

/// The application's name in the configuration.
pub(crate) const NAME: &str = "demo";
/// What each process writes into.
const VOLUMES: [&str; 4] = ["orders", "stock", "ledger", "mail"];
/// How many processes there are.
pub(crate) const PROCESSES: usize = VOLUMES.len();
/// How many lines of other data lie in each volume, about 2 MiB.
const RECORDS: u64 = 64 << 10;
/// How long the processes may take until the first number went round.
const START_TRIES: u32 = 200;
const START_TRY: Duration = Duration::from_millis(50);

/// The running application; dropped, it is killed.
pub(crate) struct Application {
    directory: PathBuf,
    processes: Vec<Child>,
}

impl Application {
    /// Starts the processes on the volumes below `directory`, and waits until all have written.
    pub(crate) async fn start(program: &Path, directory: &Path) -> Result<Self, DemoError> {
        let failed = |source| DemoError::System { action: "start the processes", source };
        let mut application = Self { directory: directory.to_owned(), processes: Vec::new() };
        let before = application.last_number().unwrap_or(0);
        let run = directory.join("run");
        ring::make_pipes(&run, PROCESSES).map_err(failed)?;
        // The first process sets the number going, so it is started when the others listen.
        for (index, name) in VOLUMES.iter().enumerate().rev() {
            let volume = directory.join(name);
            fs::create_dir_all(&volume).and_then(|()| fill(&volume, name)).map_err(failed)?;
            let child = Command::new(program)
                .arg("demo-writer")
                .args([index.to_string(), PROCESSES.to_string()])
                .args([&run, &volume])
                .stdin(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .map_err(failed)?;
            let pid = child.id().unwrap_or_default();
            application.processes.push(child);
            fs::write(run.join(format!("{name}.pid")), pid.to_string()).map_err(failed)?;
        }
        for _ in 0..START_TRIES {
            if application.last_number().is_ok_and(|last| last > before) {
                return Ok(application);
            }
            tokio::time::sleep(START_TRY).await;
        }
        Err(DemoError::Silent)
    }

    /// The last number that went all the way round.
    pub(crate) fn last_number(&self) -> Result<u64, DemoError> {
        let last = VOLUMES.last().copied().unwrap_or_default();
        ring::last_number(&self.directory.join(last))
            .map_err(|source| DemoError::System { action: "read a volume", source })
    }

    /// Kills every process, as a power cut would.
    pub(crate) fn kill(&mut self) -> Result<(), DemoError> {
        for process in &mut self.processes {
            process
                .start_kill()
                .map_err(|source| DemoError::System { action: "kill a process", source })?;
        }
        for mut process in self.processes.drain(..) {
            while process.try_wait().is_ok_and(|ended| ended.is_none()) {
                std::thread::yield_now();
            }
        }
        Ok(())
    }
}

// What an application has besides the little that it writes: it is stored once.
fn fill(volume: &Path, name: &str) -> io::Result<()> {
    let path = volume.join("records");
    if path.exists() {
        return Ok(());
    }
    let mut records = io::BufWriter::new(File::create(path)?);
    for record in 0..RECORDS {
        // Numbers that look like data: a linear congruential step (Knuth, MMIX).
        let value = (record ^ name.len() as u64).wrapping_mul(6_364_136_223_846_793_005);
        writeln!(records, "{name} {record:08} {value:016x}")?;
    }
    records.flush()
}

/// The names of the volumes, in the order of the ring.
pub(crate) fn volume_names() -> impl Iterator<Item = &'static str> {
    VOLUMES.into_iter()
}

/// Where a restore to `target` has put the volumes, in the order of the ring.
pub(crate) fn volumes_below(target: &Path, manifest: &Manifest) -> Vec<PathBuf> {
    let place = |name: &str| {
        let ending = format!("/{name}");
        let volume =
            manifest.volumes.iter().find(|v| v.name.as_bytes().ends_with(ending.as_bytes()));
        let path = volume.map(|v| Path::new(std::ffi::OsStr::from_bytes(v.name.as_bytes())));
        target.join(path.and_then(|path| path.strip_prefix("/").ok()).unwrap_or(Path::new(name)))
    };
    VOLUMES.into_iter().map(place).collect()
}

/// The directory that all restored volumes lie in.
pub(crate) fn common_parent(volumes: &[PathBuf]) -> PathBuf {
    volumes.first().and_then(|volume| volume.parent()).unwrap_or(Path::new("/")).to_owned()
}
