//! Backups of the catalog: what it knows besides the repositories' points is nowhere else.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use catalog::Catalog;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;

use crate::error::ServiceError;
use crate::machine::Machine;

/// One backup of the catalog.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct CatalogBackup {
    /// When it was made.
    pub made: Timestamp,
    /// Its file.
    pub path: PathBuf,
}

impl Machine {
    /// Backs the catalog up, into the state directory. The three newest backups stay, and one of each of
    /// seven days.
    pub async fn back_up_catalog(&self) -> Result<CatalogBackup, ServiceError> {
        let catalog = self.open_catalog().await?;
        let backup = match self.lock_catalog_backups() {
            Ok(lock) => self.copy_catalog(&catalog, &lock).await,
            Err(error) => Err(error),
        };
        catalog.close().await;
        backup
    }

    /// The same when the last one is nearly a day old. That there is none is only a warning.
    pub(crate) async fn back_up_catalog_if_due(&self, catalog: &Catalog) {
        let made = async {
            // Somebody else may be about it.
            let Ok(lock) = self.lock_catalog_backups() else { return Ok(()) };
            let now = self.clock.now();
            match self.catalog_backups()?.first() {
                Some(last) if last.made <= now && now.duration_since(last.made) < INTERVAL => {}
                _ => drop(self.copy_catalog(catalog, &lock).await?),
            }
            Ok::<_, ServiceError>(())
        };
        if let Err(error) = made.await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the catalog is not backed up");
        }
    }

    /// The backups of the catalog, the newest first; those of the future, which a wrong clock has made, are
    /// the last.
    pub(crate) fn catalog_backups(&self) -> Result<Vec<CatalogBackup>, ServiceError> {
        let mut backups =
            list(&self.catalog_backups_dir()).map_err(failed("list the backups of the catalog"))?;
        let now = self.clock.now();
        backups.sort_by_key(|backup| (backup.made <= now, backup.made));
        backups.reverse();
        Ok(backups)
    }

    async fn copy_catalog(
        &self,
        catalog: &Catalog,
        _lock: &File,
    ) -> Result<CatalogBackup, ServiceError> {
        let (made, directory) = (self.clock.now(), self.catalog_backups_dir());
        clear_unfinished(&directory).map_err(failed("remove old backups of the catalog"))?;
        let path = directory.join(made.strftime(NAME).to_string());
        catalog.back_up(&path).await?;
        for old in superfluous(&self.catalog_backups()?) {
            fs::remove_file(&old.path).map_err(failed("remove old backups of the catalog"))?;
        }
        Ok(CatalogBackup { made, path })
    }

    // One process at a time makes them and takes them away.
    fn lock_catalog_backups(&self) -> Result<File, ServiceError> {
        let directory = self.catalog_backups_dir();
        let lock = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
            let lock = File::open(&directory)?;
            flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            Ok(lock)
        };
        lock().map_err(failed("have the backups of the catalog to ourselves"))
    }

    fn catalog_backups_dir(&self) -> PathBuf {
        self.state_dir.join("catalog-backups")
    }
}

fn list(directory: &Path) -> io::Result<Vec<CatalogBackup>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut backups = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let made = name.and_then(|name| civil::DateTime::strptime(NAME, name).ok());
        if let Some(made) = made.and_then(|made| made.to_zoned(TimeZone::UTC).ok()) {
            backups.push(CatalogBackup { made: made.timestamp(), path });
        }
    }
    Ok(backups)
}

// What is left of backups that were cut off.
fn clear_unfinished(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.to_string_lossy().contains(".sqlite.new") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

// Of backups from the newest to the oldest.
fn superfluous(backups: &[CatalogBackup]) -> Vec<&CatalogBackup> {
    let mut days = BTreeSet::new();
    let older = backups.iter().skip(NEWEST_KEPT);
    older
        .filter(|backup| {
            let day = backup.made.to_zoned(TimeZone::UTC).date();
            let is_first = days.insert(day);
            !is_first || days.len() > DAYS_KEPT
        })
        .collect()
}

fn failed(action: &'static str) -> impl Fn(io::Error) -> ServiceError {
    move |source| ServiceError::System { action, source }
}

/// The names of backups, from the time of day in UTC.
const NAME: &str = "%Y-%m-%dT%H-%M-%SZ.sqlite";
/// How many of the newest stay,
const NEWEST_KEPT: usize = 3;
/// and of how many days the newest beyond these.
const DAYS_KEPT: usize = 7;
/// How often one is made: less than a day, so that a timer that comes early finds it due.
const INTERVAL: SignedDuration = SignedDuration::from_hours(20);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> CatalogBackup {
        CatalogBackup { made: text.parse().unwrap(), path: text.into() }
    }

    #[test]
    fn the_newest_stay_and_one_of_each_of_seven_days() {
        let mut backups: Vec<_> = (1..=12)
            .rev()
            .flat_map(|day| {
                [at(&format!("2026-03-{day:02}T18:00Z")), at(&format!("2026-03-{day:02}T06:00Z"))]
            })
            .collect();
        let gone: Vec<_> = superfluous(&backups).into_iter().cloned().collect();
        backups.retain(|backup| !gone.contains(backup));
        let days: Vec<_> = backups.iter().map(|backup| backup.made.to_string()).collect();
        assert_eq!(days.len(), 10, "{days:?}");
        assert!(days.iter().any(|day| day.starts_with("2026-03-05")), "{days:?}");
        assert!(superfluous(&backups).is_empty(), "what stays once stays");
    }
}
