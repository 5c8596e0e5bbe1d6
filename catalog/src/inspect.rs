//! Whether the file at a path is a catalog that can be used.

use std::path::{Path, PathBuf};

use serde::Serialize;
use sqlx::{ConnectOptions, Connection};

use crate::Catalog;
use crate::error::CatalogError;
use crate::open::{APPLICATION_ID, options};

/// In which condition the file of a catalog is.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "condition", rename_all = "snake_case")]
pub enum Condition {
    /// There is none.
    Absent,
    /// All of it can be read.
    Sound,
    /// Something of it cannot be read.
    Damaged {
        /// What the database says.
        reason: String,
    },
}

impl Condition {
    /// Reads the whole file at `path`. Its schema is brought up to date, as by [`Catalog::open`].
    ///
    /// # Errors
    /// When the file is newer than this program, somebody else's, or cannot be looked at.
    pub async fn of(path: &Path) -> Result<Self, CatalogError> {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.len() == 0 => return Ok(Self::Absent),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::Absent),
            // Opening it says what is wrong.
            Ok(_) | Err(_) => {}
        }
        let read = async {
            let catalog = Catalog::open(path).await?;
            let read = catalog.read_through().await;
            catalog.close().await;
            read
        };
        match read.await {
            Ok(()) => Ok(Self::Sound),
            Err(CatalogError::Damaged { source, .. }) => {
                Ok(Self::Damaged { reason: source.to_string() })
            }
            Err(error) => Err(error),
        }
    }
}

/// # Errors
/// When there is no catalog at `path` that can be used; an empty file can. The file stays as it is.
// Read-only, because a connection that may write changes even a file that it then refuses.
pub(crate) async fn inspect(path: &Path) -> Result<(), CatalogError> {
    let failed = |source| CatalogError::NotCreated { path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Err(failed(std::io::ErrorKind::IsADirectory.into()));
    }
    let length = metadata.len();
    if length == 0 {
        return Ok(());
    }
    // After a power cut the end of the file may still be in the log alone.
    let has_log = std::fs::metadata(log(path)).is_ok_and(|log| log.len() > 0);
    let length = (!has_log).then_some(length);
    let finding = examine(path, length).await;
    match finding.map_err(|source| CatalogError::of(path, "check the file", source))? {
        Finding::Sound => Ok(()),
        Finding::Foreign => Err(CatalogError::Foreign { path: path.to_owned() }),
        Finding::Fault(fault) => {
            Err(CatalogError::Damaged { path: path.to_owned(), source: fault.into() })
        }
    }
}

/// The write-ahead log of the database at `path`.
pub fn log(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

enum Finding {
    Sound,
    Foreign,
    Fault(String),
}

async fn examine(path: &Path, length: Option<u64>) -> sqlx::Result<Finding> {
    let mut connection = options(path).read_only(true).connect().await?;
    let verdict: String =
        sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await?;
    let page: u32 = sqlx::query_scalar("PRAGMA page_size").fetch_one(&mut connection).await?;
    let owner: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut connection).await?;
    let objects: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(if verdict != "ok" {
        Finding::Fault(verdict)
    } else if let Some(length) = length.filter(|length| !length.is_multiple_of(u64::from(page))) {
        // SQLite itself reads the missing end of the last page as zeros.
        Finding::Fault(format!("its {length} bytes are no whole number of {page}-byte pages"))
    } else if owner != APPLICATION_ID && (owner != 0 || objects != 0) {
        Finding::Foreign
    } else {
        // One with neither a mark nor a table is ours too: its maker died before the migration.
        Finding::Sound
    })
}
