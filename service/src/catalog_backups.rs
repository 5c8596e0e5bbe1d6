//! Backups of the catalog: what it knows besides the repositories' points is nowhere else.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use catalog::Catalog;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};
use serde::Serialize;

use crate::error::ServiceError;
use crate::machine::Machine;

/// One backup of the catalog.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct CatalogBackup {
    /// When it was made.
    pub made: Timestamp,
    /// Its file.
    pub path: PathBuf,
}

impl Machine {
    /// Backs the catalog up, into the state directory; the oldest backups beyond a week's go.
    pub async fn back_up_catalog(&self) -> Result<CatalogBackup, ServiceError> {
        let catalog = self.open_catalog().await?;
        let backup = self.copy_catalog(&catalog).await;
        catalog.close().await;
        backup
    }

    /// The same when the last one is a day old. That there is none is only a warning.
    pub(crate) async fn back_up_catalog_if_due(&self, catalog: &Catalog) {
        let made = async {
            let now = self.clock.now();
            match self.catalog_backups()?.first() {
                // One of the future was made by a clock that was wrong.
                Some(last) if last.made <= now && now.duration_since(last.made) < INTERVAL => {}
                _ => drop(self.copy_catalog(catalog).await?),
            }
            Ok::<_, ServiceError>(())
        };
        if let Err(error) = made.await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the catalog is not backed up");
        }
    }

    /// The backups of the catalog, the newest first.
    pub(crate) fn catalog_backups(&self) -> Result<Vec<CatalogBackup>, ServiceError> {
        let listed = list(&self.catalog_backups_dir());
        listed.map_err(|source| ServiceError::System { action: LIST, source })
    }

    async fn copy_catalog(&self, catalog: &Catalog) -> Result<CatalogBackup, ServiceError> {
        let failed = |source| ServiceError::System { action: "back the catalog up", source };
        let (made, directory) = (self.clock.now(), self.catalog_backups_dir());
        DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(failed)?;
        let path = directory.join(made.strftime(NAME).to_string());
        catalog.back_up(&path).await?;
        for old in self.catalog_backups()?.iter().skip(KEPT) {
            fs::remove_file(&old.path).map_err(failed)?;
        }
        Ok(CatalogBackup { made, path })
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
    backups.sort_by(|one, other| other.cmp(one));
    Ok(backups)
}

/// The names of backups, from the time of day in UTC.
const NAME: &str = "%Y-%m-%dT%H-%M-%SZ.sqlite";
const LIST: &str = "list the backups of the catalog";
/// How many there are at the most.
const KEPT: usize = 7;
/// How often one is made.
const INTERVAL: SignedDuration = SignedDuration::from_hours(24);
