//! What is owed to an application after its freeze, written down so that it is done whatever becomes
//! of us.
//!
//! One file for each run, `<run>.json`, written before the first hook runs and locked by whoever runs
//! them. A file that nobody has locked belongs to somebody who died.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use format::ids::PointId;
use platform::Platform;
use platform::error::PlatformError;
use platform::session::Command;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::error::HookFailure;
use super::plan::Planned;
use super::step;
use crate::error::chain;

/// The file of one run, locked.
#[derive(Debug)]
pub(super) struct Owed {
    debt: Debt,
    _lock: File,
}

/// What is owed after one run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Debt {
    /// The application.
    pub application: String,
    /// What runs it.
    pub platform: String,
    commands: Vec<OwedCommand>,
    #[serde(skip)]
    path: PathBuf,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct OwedCommand {
    member: String,
    container: String,
    command: Command,
    timeout: Duration,
}

/// What became of a debt.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Settled {
    /// The containers whose hook was run.
    pub run: Vec<String>,
    /// What went wrong; one sentence each.
    pub failures: Vec<String>,
}

impl Owed {
    /// Writes down what is to be run after the freeze; nothing when that is nothing.
    pub(super) fn write(
        directory: &Path,
        run: PointId,
        (application, platform): (&str, &str),
        post: &[Planned],
    ) -> io::Result<Option<Self>> {
        if post.is_empty() {
            return Ok(None);
        }
        let owed = |planned: &Planned| OwedCommand {
            member: planned.member.clone(),
            container: planned.container.clone(),
            command: planned.hook.command.clone(),
            timeout: planned.hook.timeout,
        };
        DirBuilder::new().mode(0o700).recursive(true).create(directory)?;
        let debt = Debt {
            application: application.to_owned(),
            platform: platform.to_owned(),
            commands: post.iter().map(owed).collect(),
            path: directory.join(format!("{run}.{EXTENSION}")),
        };
        let lock = debt.write()?;
        Ok(Some(Self { debt, _lock: lock }))
    }

    /// All of it was done, but for the hooks of the containers of these ids.
    pub(super) fn settle(mut self, unpaid: &[String]) -> io::Result<()> {
        self.debt.commands.retain(|owed| unpaid.contains(&owed.container));
        self.debt.keep()
    }
}

impl Debt {
    // The file is locked from the moment it has its name.
    fn write(&self) -> io::Result<File> {
        let new = self.path.with_extension("new");
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(file)
    }

    // What is left of it is owed still.
    fn keep(&self) -> io::Result<()> {
        if !self.commands.is_empty() {
            return self.write().map(drop);
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// What those owe who died before they could do it.
///
/// # Errors
/// When the directory cannot be read, or a file in it not be understood.
pub fn waiting(directory: &Path) -> io::Result<Vec<Debt>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut debts = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != EXTENSION) {
            continue;
        }
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file?,
        };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let debt: Debt = serde_json::from_reader(io::BufReader::new(file))?;
            debts.push(Debt { path, ..debt });
        }
    }
    debts.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(debts)
}

/// Does what is owed after one run. Nothing is owed to a container that is not there any more; what
/// could not be begun is owed still.
pub async fn settle(platform: &dyn Platform, mut debt: Debt) -> Settled {
    let mut settled = Settled::default();
    let members = match platform.application(&debt.application).await {
        Ok(application) => application.members,
        Err(PlatformError::UnknownApplication { .. }) => Vec::new(),
        Err(error) => {
            let (name, error) = (&debt.application, chain(&error));
            settled.failures.push(format!("application `{name}` is owed its hooks: {error}"));
            return settled;
        }
    };
    let mut unpaid = Vec::new();
    for owed in std::mem::take(&mut debt.commands) {
        let OwedCommand { member, container, command, timeout } = &owed;
        if !members.iter().any(|found| found.id == *container) {
            continue;
        }
        match step::run(platform, container, command, *timeout).await {
            Ok(()) => settled.run.push(member.clone()),
            Err(error) => {
                let text = chain(&error);
                settled.failures.push(format!("hook `post` of container `{member}`: {text}"));
                if matches!(error, HookFailure::Platform(_)) {
                    unpaid.push(owed);
                }
            }
        }
    }
    debt.commands = unpaid;
    if let Err(error) = debt.keep() {
        let path = debt.path.display();
        settled.failures.push(format!("`{path}` cannot be brought up to date: {error}"));
    }
    settled
}

/// Where debts are written down, below the directory of the state.
pub const DIRECTORY: &str = "hooks";
const EXTENSION: &str = "json";
