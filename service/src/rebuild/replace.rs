//! Another catalog in the place of one that is damaged or lost.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use catalog::{Catalog, CatalogError, Event, Happening, log};

use super::RebuildPlan;
use crate::catalog_backups::CatalogBackup;
use crate::error::ServiceError;
use crate::machine::Machine;

/// Puts the newest sound backup, or an empty catalog, in the place of the one that is there; answers which
/// backup that is, and where the old one is now.
pub(super) async fn replace(
    machine: &Machine,
    plan: &RebuildPlan,
) -> Result<(Option<CatalogBackup>, Option<PathBuf>), ServiceError> {
    let new = with_suffix(&plan.catalog, "-new");
    let backup = match prepare(machine, plan, &new).await {
        Err(error) => {
            // It is of no use; and the error says more than one about its removal would.
            let _ = clear(&new);
            return Err(error);
        }
        prepared => prepared?,
    };
    let moment = machine.clock.now().strftime("%Y-%m-%dT%H-%M-%SZ");
    let aside = with_suffix(&plan.catalog, &format!("-damaged-{moment}"));
    let exchanged = exchange(&plan.catalog, &new, &aside).map_err(failed)?;
    Ok((backup, exchanged.then_some(aside)))
}

// The new catalog, whole and closed.
async fn prepare(
    machine: &Machine,
    plan: &RebuildPlan,
    new: &Path,
) -> Result<Option<CatalogBackup>, ServiceError> {
    for backup in &plan.backups {
        clear(new).map_err(failed)?;
        fs::copy(&backup.path, new).map_err(failed)?;
        match begin(machine, new, Some(backup)).await {
            Ok(()) => return Ok(Some(backup.clone())),
            Err(
                error @ (CatalogError::Damaged { .. }
                | CatalogError::Foreign { .. }
                | CatalogError::Newer { .. }),
            ) => {
                let (path, error) = (backup.path.display(), &error as &dyn std::error::Error);
                tracing::warn!(%path, error, "this backup of the catalog cannot be used");
            }
            Err(error) => return Err(error.into()),
        }
    }
    clear(new).map_err(failed)?;
    begin(machine, new, None).await?;
    Ok(None)
}

// Closing it brings all of it into the one file.
async fn begin(
    machine: &Machine,
    new: &Path,
    backup: Option<&CatalogBackup>,
) -> Result<(), CatalogError> {
    let catalog = Catalog::open(new).await?;
    let written = async {
        catalog.read_through().await?;
        let happening = Happening::CatalogReplaced { backup: backup.map(|backup| backup.made) };
        let (moment, application, policy) = (machine.clock.now(), None, None);
        catalog.record_event(Event { moment, application, policy, happening }).await
    }
    .await;
    catalog.close().await;
    written
}

// Answers whether there was an old one. Its log goes first: beside the new file the database would take it
// for that one's. Until the very end the old file has its name, so that no command finds none and makes
// an empty one.
fn exchange(catalog: &Path, new: &Path, aside: &Path) -> io::Result<bool> {
    File::open(new)?.sync_all()?;
    let was_there = there(fs::hard_link(catalog, aside))?;
    there(fs::rename(log(catalog), log(aside)))?;
    there(fs::remove_file(with_suffix(catalog, "-shm")))?;
    fs::rename(new, catalog)?;
    let directory = catalog.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(was_there)
}

// What a rebuild that was cut off has left.
fn clear(new: &Path) -> io::Result<()> {
    for path in [new, &log(new), &with_suffix(new, "-shm")] {
        there(fs::remove_file(path))?;
    }
    Ok(())
}

// Whether it was done; not where there was nothing to do it to.
fn there(done: io::Result<()>) -> io::Result<bool> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        done => done.map(|()| true),
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
