//! What can go wrong with the catalog.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::run::RunId;

/// Why the catalog could not answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The file or its directory cannot be made or looked at.
    #[error("catalog `{path}` cannot be created")]
    NotCreated {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is no database, or not a whole one. It was left as it is.
    #[error("catalog `{path}` is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file is the database of some other program. It was left as it is.
    #[error("`{path}` is a database, but no catalog")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A newer version of this program wrote the file. It was left as it is.
    #[error("catalog `{path}` is newer than this program: it has schema {version}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The number of the schema that is not known here.
        version: i64,
    },
    /// Its tables are not those that a version of this program makes. It was left as it is.
    #[error("catalog `{path}` has another schema than this program made")]
    Schema {
        /// The file.
        path: PathBuf,
        /// What the database said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another process has kept the file locked for too long.
    #[error("catalog `{path}` is locked by another process")]
    Busy {
        /// The file.
        path: PathBuf,
        /// What the database said.
        source: sqlx::Error,
    },
    /// There is no space left for the file to grow.
    #[error("catalog `{path}` could not {action}: there is no space left")]
    Full {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        action: &'static str,
        /// What the database said.
        source: sqlx::Error,
    },
    /// The catalog was closed before.
    #[error("catalog `{path}` is closed")]
    Closed {
        /// The file.
        path: PathBuf,
    },
    /// The run was never begun, or it has ended before.
    #[error("there is no unfinished run {run}")]
    NoUnfinishedRun {
        /// The run.
        run: RunId,
    },
    /// The database refused for another reason, such as a disk that fails.
    #[error("catalog `{path}` could not {action}")]
    Refused {
        /// The file.
        path: PathBuf,
        /// What was asked for, such as `list runs`.
        action: &'static str,
        /// What the database said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl CatalogError {
    pub(crate) fn of(path: &Path, action: &'static str, source: sqlx::Error) -> Self {
        let path = path.to_owned();
        match source {
            sqlx::Error::PoolClosed => Self::Closed { path },
            // Rows that we cannot read were not written by us.
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) => {
                Self::Damaged { path, source: source.into() }
            }
            source if is_unreadable(&source) => Self::Damaged { path, source: source.into() },
            source => match primary_code(&source) {
                // What we ask for makes sense: the schema is not the one that we made.
                Some(SQLITE_ERROR | SQLITE_CORRUPT | SQLITE_NOTADB) => {
                    Self::Damaged { path, source: source.into() }
                }
                Some(SQLITE_BUSY | SQLITE_LOCKED) => Self::Busy { path, source },
                Some(SQLITE_FULL) => Self::Full { path, action, source },
                // Where it cannot make what goes with the file, it does not say why.
                Some(SQLITE_IOERR | SQLITE_CANTOPEN) if is_full(&path) => {
                    Self::Full { path, action, source }
                }
                _ => Self::Refused { path, action, source: source.into() },
            },
        }
    }
}

/// Whether the database could not be had because somebody else was using it.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(SQLITE_BUSY | SQLITE_LOCKED))
}

fn is_full(path: &Path) -> bool {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let space = rustix::fs::statvfs(directory.unwrap_or(Path::new(".")));
    space.is_ok_and(|space| space.f_bavail.saturating_mul(space.f_frsize) < NEEDED_BYTES)
}

/// Whether the database said that its file is damaged.
pub(crate) fn is_corrupt(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    let error = error.downcast_ref::<sqlx::Error>();
    error.and_then(primary_code).is_some_and(|code| matches!(code, SQLITE_CORRUPT | SQLITE_NOTADB))
}

// The disk does not give what is there.
fn is_unreadable(error: &sqlx::Error) -> bool {
    let reading = [SQLITE_IOERR_READ, SQLITE_IOERR_SHORT_READ, SQLITE_IOERR_DATA];
    code(error).is_some_and(|code| reading.contains(&code))
}

// SQLite's extended result codes have the primary one in their lowest byte.
fn primary_code(error: &sqlx::Error) -> Option<u32> {
    code(error).map(|code| code & 0xff)
}

fn code(error: &sqlx::Error) -> Option<u32> {
    error.as_database_error()?.code()?.parse().ok()
}

// See https://sqlite.org/rescode.html
const SQLITE_ERROR: u32 = 1;
const SQLITE_BUSY: u32 = 5;
const SQLITE_LOCKED: u32 = 6;
const SQLITE_IOERR: u32 = 10;
const SQLITE_IOERR_READ: u32 = 266;
const SQLITE_IOERR_SHORT_READ: u32 = 522;
const SQLITE_IOERR_DATA: u32 = 8202;
const SQLITE_CORRUPT: u32 = 11;
const SQLITE_FULL: u32 = 13;
const SQLITE_CANTOPEN: u32 = 14;
const SQLITE_NOTADB: u32 = 26;

/// What an open database needs besides its file: the index of its log, in pieces of 32 KiB.
const NEEDED_BYTES: u64 = 64 << 10;
