//! The demonstration: an application of several processes is backed up while it writes, lost, and
//! restored, and its volumes agree.

mod application;
pub mod error;
pub mod ring;

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use consistency::warden::WardenProgram;
use format::manifest::Manifest;
use repository::location::Location;
use serde::Serialize;

use self::application::{Application, NAME, PROCESSES};
use self::error::DemoError;
use self::ring::Agreement;
use crate::backup::{BackupProgress, BackupReport, BackupRequest, Subject};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::deadline::Deadline;
use crate::engine::{Engine, FREEZE_DEADLINE, Settings};
use crate::error::ServiceError;
use crate::key::{KeySource, NewKey};
use crate::keys;
use crate::machine::Machine;
use crate::pins::Pinning;
use crate::platforms::Platforms;
use crate::points::PointName;
use crate::secret::SecretSource;
use crate::{RestoreProgress, RestoreReport};

/// How many restore points are taken.
const POINTS: usize = 3;
/// How long the application writes before each of them.
const WRITING: Duration = Duration::from_secs(1);

/// Something that happened in the demonstration, in this order.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum DemoEvent {
    /// The application runs.
    Started {
        /// Where everything of the demonstration lies.
        directory: PathBuf,
        /// How many processes write.
        processes: usize,
    },
    /// A restore point was taken while it wrote.
    Point(Box<BackupReport>),
    /// The processes were killed and the volumes deleted.
    Destroyed {
        /// The last number that was written.
        last: u64,
    },
    /// The newest point was restored.
    Restored {
        /// Where to.
        directory: PathBuf,
        /// What was done.
        report: RestoreReport,
    },
    /// The restored volumes agree with one another.
    Agreed(Agreement),
    /// The application was started on them and went on.
    Continued {
        /// The number that it started from.
        from: u64,
        /// A number that it reached without a gap.
        to: u64,
    },
    /// Everything was stopped; these commands work on what is left.
    Finished {
        /// Commands to try.
        commands: Vec<String>,
    },
}

/// Runs the whole demonstration in `directory`, telling `tell` of every step.
///
/// `program` is the command line program, started again for the warden and for the processes of
/// the application. Nothing runs any more when this returns, or when this process is killed.
pub async fn run(
    directory: &Path,
    program: &Path,
    mut tell: impl FnMut(DemoEvent),
) -> Result<(), ServiceError> {
    let layout = Layout::make(directory)?;
    let volumes = layout.directory.join("application");
    let mut application = Application::start(program, &volumes).await?;
    tell(DemoEvent::Started { directory: layout.directory.clone(), processes: PROCESSES });
    let engine = layout.open_engine(program).await?;
    for _ in 0..POINTS {
        tokio::time::sleep(WRITING).await;
        tell(DemoEvent::Point(Box::new(back_up(&engine).await?)));
    }
    let last = application.last_number()?;
    application.kill()?;
    remove(&volumes)?;
    tell(DemoEvent::Destroyed { last });

    let restored = layout.directory.join("restored");
    let (manifest, report) = restore_newest(&engine, &restored).await?;
    tell(DemoEvent::Restored { directory: restored.clone(), report });
    let volumes = application::volumes_below(&restored, &manifest);
    let agreement = ring::check(&volumes).map_err(DemoError::from)?;
    let from = agreement.first();
    tell(DemoEvent::Agreed(agreement));

    let mut again = Application::start(program, &application::common_parent(&volumes)).await?;
    tokio::time::sleep(WRITING).await;
    again.kill()?;
    let to = ring::check(&volumes).map_err(DemoError::from)?.first();
    if to <= from {
        return Err(DemoError::Silent.into());
    }
    tell(DemoEvent::Continued { from, to });
    engine.close().await;
    tell(DemoEvent::Finished { commands: layout.commands(program, &manifest) });
    Ok(())
}

async fn back_up(engine: &Engine) -> Result<BackupReport, ServiceError> {
    let (name, freeze, deadline) = (NAME.to_owned(), true, FREEZE_DEADLINE);
    let subject =
        Subject::Application { name, freeze, hooks: false, deadline: Deadline::at_most(deadline) };
    engine.backup(BackupRequest::of(subject), &BackupProgress::default()).await
}

async fn restore_newest(
    engine: &Engine,
    target: &Path,
) -> Result<(Manifest, RestoreReport), ServiceError> {
    let manifest = engine.manifest(&PointName::Latest, Some(NAME)).await?;
    let plan = engine.plan_restore(&manifest, target).await?;
    let progress = Arc::new(RestoreProgress::default());
    let report = engine.restore(manifest.clone(), plan, Pinning::Pin, progress).await?;
    if report.lost.is_empty() { Ok((manifest, report)) } else { Err(DemoError::Incomplete.into()) }
}

/// Where the parts of a demonstration lie.
struct Layout {
    directory: PathBuf,
}

impl Layout {
    fn make(directory: &Path) -> Result<Self, ServiceError> {
        let failed = |source| DemoError::System {
            action: "make the directory of the demonstration",
            source,
        };
        fs::create_dir_all(directory).map_err(failed)?;
        let directory = directory.canonicalize().map_err(failed)?;
        if fs::read_dir(&directory).map_err(failed)?.next().is_some() {
            return Err(DemoError::NotEmpty(directory).into());
        }
        let layout = Self { directory };
        write_secret(&layout.passphrase_file()).map_err(failed)?;
        fs::write(layout.config_file(), layout.config_text()).map_err(failed)?;
        Ok(layout)
    }

    fn passphrase_file(&self) -> PathBuf {
        self.directory.join("passphrase")
    }

    fn config_file(&self) -> PathBuf {
        self.directory.join("stillpoint.toml")
    }

    fn config_text(&self) -> String {
        // TOML's basic strings escape as JSON's do.
        let quoted = |path: PathBuf| serde_json::Value::from(path.to_string_lossy()).to_string();
        let inside = |name: &str| quoted(self.directory.join(name));
        let volumes = application::volume_names().map(|v| inside(&format!("application/{v}")));
        let processes = application::volume_names().map(|v| {
            let pid_file = inside(&format!("application/run/{v}.pid"));
            format!("    {{ name = \"{v}\", pid_file = {pid_file} }},\n")
        });
        format!(
            "state_dir = {}\n\n[repositories.main]\nurl = {}\npassphrase = {{ file = {} }}\n\n\
             [applications.{NAME}]\nplatform = \"host\"\ndirectories = [{}]\nprocesses = [\n{}]\n",
            inside("state"),
            inside("repository"),
            quoted(self.passphrase_file()),
            volumes.collect::<Vec<_>>().join(", "),
            processes.collect::<String>(),
        )
    }

    // Through the same configuration file that the user's next command will read.
    async fn open_engine(&self, program: &Path) -> Result<Engine, ServiceError> {
        let config = Config::read(&self.config_file())?;
        let location = Location::Directory(self.directory.join("repository"));
        let source = KeySource::Passphrase(SecretSource::File(self.passphrase_file()));
        let key = source.read()?;
        // Nobody would keep the recovery key of a demonstration.
        keys::init(&location, &NewKey::Existing(source), false).await?;
        Engine::open(Settings {
            location,
            key,
            cache_dir: Some(self.directory.join("cache")),
            machine: Machine {
                platforms: Platforms { declared: config.declared(), ..Platforms::default() },
                warden: WardenProgram {
                    program: program.to_owned(),
                    arguments: vec!["warden".into()],
                    journals: self.directory.join("freezes"),
                },
                state_dir: self.directory.join("state"),
                clock: Arc::new(SystemClock),
            },
        })
        .await
    }

    // They work as they stand, wherever the program lies.
    fn commands(&self, program: &Path, manifest: &Manifest) -> Vec<String> {
        let config = self.config_file();
        let program = program.display();
        let command = |rest: &str| format!("{program} --config {} {rest}", config.display());
        let point: String = manifest.point.to_string().chars().take(8).collect();
        let target = self.directory.join("again");
        vec![
            command("points"),
            command(&format!("show {point}")),
            command(&format!("restore {point} --to {}", target.display())),
            command("check --read-data"),
        ]
    }
}

fn write_secret(path: &Path) -> io::Result<()> {
    let mut random = [0; 16];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    random.iter().try_for_each(|byte| write!(file, "{byte:02x}"))?;
    writeln!(file)
}

fn remove(volumes: &Path) -> Result<(), DemoError> {
    fs::remove_dir_all(volumes)
        .map_err(|source| DemoError::System { action: "delete the volumes", source })
}
