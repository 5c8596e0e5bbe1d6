//! Another catalog in the place of one that is damaged or lost.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use catalog::{Catalog, CatalogError, Condition, Event, Happening, log};
use rustix::fs::{FlockOperation, flock};
use tokio::time::{Instant, sleep};

use super::{RebuildError, State};
use crate::catalog_backups::CatalogBackup;
use crate::error::ServiceError;
use crate::instance::Instance;
use crate::machine::Machine;

/// Puts the newest sound backup, or an empty catalog, in the place of the one that is there; answers which
/// backup that is, and where the old one is now.
///
/// # Errors
/// When another process has the old one open.
pub(super) async fn replace(
    machine: &Machine,
    state: &State,
    _instance: &Instance,
) -> Result<(Option<CatalogBackup>, Option<PathBuf>), ServiceError> {
    let catalog = machine.catalog_path();
    let new = with_suffix(&catalog, "-new");
    let exchanged = async {
        let backup = prepare(machine, &state.backups, &new).await?;
        let _alone = alone(&machine.state_dir).await?;
        let moment = machine.clock.now().strftime("%Y-%m-%dT%H-%M-%SZ").to_string();
        let aside = exchange(&catalog, &new, &moment).map_err(failed)?;
        Ok((backup, aside))
    }
    .await;
    if exchanged.is_err() {
        // It is of no use; and the error says more than one about its removal would.
        let _ = clear(&new);
    }
    exchanged
}

// Whoever has the catalog open has locked this, too, and whoever opens it waits.
async fn alone(state_dir: &Path) -> Result<File, ServiceError> {
    let directory = File::open(state_dir).map_err(failed)?;
    let deadline = Instant::now() + PATIENCE;
    while flock(&directory, FlockOperation::NonBlockingLockExclusive).is_err() {
        if Instant::now() > deadline {
            return Err(RebuildError::InUse.into());
        }
        sleep(LOOK_AGAIN).await;
    }
    Ok(directory)
}

/// Why a catalog cannot be trusted although it may look sound: its log was set aside, and then the one who
/// replaced it was killed.
pub(crate) fn cut_off(catalog: &Path) -> Result<Option<String>, ServiceError> {
    let find = || {
        let Some(directory) = catalog.parent() else { return Ok(None) };
        let inode = match fs::metadata(catalog) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            metadata => metadata?.ino(),
        };
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let is_aside = entry.file_name().to_string_lossy().contains(ASIDE);
            if is_aside && entry.metadata()?.ino() == inode {
                return Ok(Some("it was about to be replaced".to_owned()));
            }
        }
        Ok(None)
    };
    find().map_err(|source| ServiceError::System { action: "look at the catalog", source })
}

// The new catalog, whole and closed.
async fn prepare(
    machine: &Machine,
    backups: &[CatalogBackup],
    new: &Path,
) -> Result<Option<CatalogBackup>, ServiceError> {
    for backup in backups {
        clear(new).map_err(failed)?;
        match copy(backup, new).await? {
            Ok(()) => {
                begin(machine, new, Some(backup)).await?;
                return Ok(Some(backup.clone()));
            }
            Err(reason) => {
                let path = backup.path.display();
                tracing::warn!(%path, "this backup of the catalog cannot be used: {reason}");
            }
        }
    }
    clear(new).map_err(failed)?;
    begin(machine, new, None).await?;
    Ok(None)
}

// Answers why the backup cannot be used. Only where it cannot be read, or is damaged: after a full disk the
// next one would fit no better, and an empty catalog perhaps would.
async fn copy(backup: &CatalogBackup, new: &Path) -> Result<Result<(), String>, ServiceError> {
    let bytes = match fs::read(&backup.path) {
        Err(error) => return Ok(Err(error.to_string())),
        Ok(bytes) => bytes,
    };
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(new);
    file.and_then(|mut file| file.write_all(&bytes)).map_err(failed)?;
    Ok(match Condition::of(new).await {
        Ok(Condition::Sound) => Ok(()),
        Ok(Condition::Absent) => Err("it is empty".to_owned()),
        Ok(Condition::Damaged { reason }) => Err(reason),
        Err(error @ CatalogError::Foreign { .. }) => Err(error.to_string()),
        Err(error) => return Err(error.into()),
    })
}

// Closing it brings all of it into the one file.
async fn begin(
    machine: &Machine,
    new: &Path,
    backup: Option<&CatalogBackup>,
) -> Result<(), ServiceError> {
    let catalog = Catalog::open(new).await?;
    let happening = Happening::CatalogReplaced { backup: backup.map(|backup| backup.made) };
    let (moment, application, policy) = (machine.clock.now(), None, None);
    let event = Event { moment, application, policy, happening };
    let distrusted = catalog.distrust(moment).await;
    let written = catalog.record_event(event).await;
    catalog.close().await;
    distrusted?;
    written?;
    if log(new).exists() {
        // Closing does not say what kept it from it.
        return Err(failed(io::ErrorKind::StorageFull.into()));
    }
    Ok(())
}

// Answers where the old one is now, if there was one. Its log goes first, for good: beside the new file the
// database would take it for that one's. Until the very end the old file has its name, so that no command
// finds none and makes an empty one.
fn exchange(catalog: &Path, new: &Path, moment: &str) -> io::Result<Option<PathBuf>> {
    File::open(new)?.sync_all()?;
    let aside = link_aside(catalog, moment)?;
    if let Some(aside) = &aside {
        unless_absent(fs::rename(log(catalog), log(aside)))?;
    }
    clear_beside(catalog)?;
    let directory = catalog.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = File::open(directory.unwrap_or(Path::new(".")))?;
    directory.sync_all()?;
    fs::rename(new, catalog)?;
    directory.sync_all()?;
    Ok(aside)
}

fn link_aside(catalog: &Path, moment: &str) -> io::Result<Option<PathBuf>> {
    let mut aside = with_suffix(catalog, &format!("{ASIDE}{moment}"));
    loop {
        match fs::hard_link(catalog, &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                aside = with_suffix(&aside, "+");
            }
            linked => return linked.map(|()| Some(aside)),
        }
    }
}

// What a rebuild that was cut off has left.
fn clear(new: &Path) -> io::Result<()> {
    unless_absent(fs::remove_file(new))?;
    clear_beside(new)
}

fn clear_beside(database: &Path) -> io::Result<()> {
    unless_absent(fs::remove_file(log(database)))?;
    unless_absent(fs::remove_file(with_suffix(database, "-shm")))
}

fn unless_absent(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn failed(source: io::Error) -> ServiceError {
    ServiceError::System { action: "replace the catalog", source }
}

/// What is behind the name of a catalog that was set aside, before the time.
const ASIDE: &str = "-damaged-";
/// A command that finds the catalog damaged ends at once.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
