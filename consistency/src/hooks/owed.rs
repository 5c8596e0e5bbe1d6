//! What is owed to an application after its freeze, written down so that it is done whatever becomes
//! of us.
//!
//! One file for each run, `<run>.json`, written before the first hook runs and locked by whoever runs
//! them. A file that nobody has locked belongs to somebody who died.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use format::ids::PointId;
use platform::Platform;
use platform::session::{Command, Standing};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::error::HookFailure;
use super::plan::Planned;
use super::step;
use crate::error::chain;
use crate::needed::same;

/// The file of one run, locked.
#[derive(Debug)]
pub(super) struct Owed(Debt);

/// What is owed after one run, locked by us.
#[derive(Debug, Deserialize, Serialize)]
pub struct Debt {
    /// The application.
    pub application: String,
    /// What runs it.
    pub platform: String,
    /// Which of several such platforms.
    address: String,
    commands: Vec<OwedCommand>,
    #[serde(skip)]
    path: PathBuf,
    #[serde(skip)]
    _lock: Option<File>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct OwedCommand {
    member: String,
    container: String,
    command: Command,
    timeout: Duration,
}

/// What became of debts.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Settled {
    /// The containers whose hook was run.
    pub run: Vec<String>,
    /// What was run and failed, which is not tried again; one sentence each.
    pub failures: Vec<String>,
    /// What could not be run yet; one sentence each.
    pub owed: Vec<String>,
}

impl Owed {
    /// Writes down what is to be run after the freeze; nothing when that is nothing.
    pub(super) fn write(
        directory: &Path,
        run: PointId,
        ((application, platform), address): ((&str, &str), &str),
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
            address: address.to_owned(),
            commands: post.iter().map(owed).collect(),
            path: directory.join(format!("{run}.{EXTENSION}")),
            _lock: None,
        };
        let lock = Some(debt.write()?);
        Ok(Some(Self(Debt { _lock: lock, ..debt })))
    }

    /// All of it was done, but for the hooks of the containers of these ids.
    pub(super) fn settle(mut self, unpaid: &[String]) -> io::Result<()> {
        self.0.commands.retain(|owed| unpaid.contains(&owed.container));
        self.0.keep()
    }
}

impl Debt {
    // Nothing, when somebody has it locked, or has paid it while we looked.
    fn take_over(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(None);
        }
        let is_same =
            |there: fs::Metadata| Ok::<_, io::Error>(there.ino() == file.metadata()?.ino());
        if !fs::metadata(path).is_ok_and(|there| is_same(there).unwrap_or(false)) {
            return Ok(None);
        }
        let debt: Self = serde_json::from_reader(io::BufReader::new(&file))?;
        Ok(Some(Self { path: path.to_owned(), _lock: Some(file), ..debt }))
    }

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

/// What those owe who died before they could do it; and what cannot be understood, a sentence each.
pub fn waiting(directory: &Path) -> (Vec<Debt>, Vec<String>) {
    let (mut debts, mut failures) = (Vec::new(), Vec::new());
    let mut fail = |path: &Path, error: io::Error| {
        failures.push(format!("what is owed to applications is in `{}`: {error}", path.display()));
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            fail(directory, error);
            Vec::new()
        }
    };
    let is_debt = |path: &PathBuf| path.extension().is_some_and(|it| it == EXTENSION);
    for path in entries.into_iter().filter(is_debt) {
        match Debt::take_over(&path) {
            Ok(debt) => debts.extend(debt),
            Err(error) => fail(&path, error),
        }
    }
    debts.sort_by(|a, b| a.path.cmp(&b.path));
    (debts, failures)
}

/// Does what is owed after one run, and forgets it. Nothing is owed to a container that is gone; what
/// cannot be run now is owed still, and so is what another engine has to do.
pub async fn settle(platform: &dyn Platform, mut debt: Debt) -> Settled {
    let mut settled = Settled::default();
    let mut unpaid = Vec::new();
    for owed in std::mem::take(&mut debt.commands) {
        let OwedCommand { member, container, command, timeout } = &owed;
        let hook = format!("hook `post` of container `{member}`");
        let standing = if same(Path::new(&debt.address), Path::new(platform.address())) {
            platform.standing(container).await.map_err(|error| chain(&error))
        } else {
            Err(format!("it is for the engine at `{}`", debt.address))
        };
        match standing {
            Ok(Standing::Gone) => continue,
            Ok(Standing::Runs) => match step::run(platform, container, command, *timeout).await {
                Ok(()) => {
                    settled.run.push(member.clone());
                    continue;
                }
                Err(HookFailure::Platform(error)) => {
                    settled.owed.push(format!("{hook} is owed: {}", chain(&error)));
                }
                Err(error) => {
                    settled.failures.push(format!("{hook}: {}", chain(&error)));
                    continue;
                }
            },
            Ok(Standing::Waits) => settled.owed.push(format!("{hook} is owed: it does not run")),
            Err(error) => settled.owed.push(format!("{hook} is owed: {error}")),
        }
        unpaid.push(owed);
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
