//! From a path to open connections: create, look at, migrate.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::Errno;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};

use crate::error::{CatalogError, is_busy, is_corrupt};
use crate::inspect::inspect;

/// The one connection that writes, its schema up to date.
pub(crate) async fn writer(path: &Path) -> Result<SqliteConnection, CatalogError> {
    create(path).map_err(|source| CatalogError::NotCreated { path: path.to_owned(), source })?;
    inspect(path).await?;
    let mut connection = connect(path)
        .await
        .map_err(|source| CatalogError::of(path, "open the file for writing", source))?;
    migrate(path, &mut connection).await?;
    Ok(connection)
}

/// An empty catalog that nobody keeps, with the schema of this version. Errors name `path`.
pub(crate) async fn new_in_memory(path: &Path) -> Result<SqliteConnection, CatalogError> {
    let opened = SqliteConnectOptions::new().in_memory(true).connect().await;
    let mut connection =
        opened.map_err(|source| CatalogError::of(path, "make another in memory", source))?;
    migrate(path, &mut connection).await?;
    Ok(connection)
}

/// Connections that cannot write; they are made when they are first needed.
pub(crate) fn readers(path: &Path) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(READERS_MAX)
        .connect_lazy_with(options(path).read_only(true))
}

/// Makes an empty file, for the owner alone, where there is none.
pub(crate) fn create(path: &Path) -> std::io::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    // Made without being opened: closing a database file by hand would drop all locks that other
    // connections of this process hold on it. SQLite gives its journals the mode of the file.
    match mknodat(CWD, path, FileType::RegularFile, Mode::RUSR | Mode::WUSR, 0) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

// SQLite does not wait for locks while it turns a new file to write-ahead logging, so several
// processes that make the same catalog have to try again.
async fn connect(path: &Path) -> sqlx::Result<SqliteConnection> {
    let options =
        options(path).journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    let mut attempt = 1;
    loop {
        match options.connect().await {
            Err(error) if is_busy(&error) && attempt < CONNECT_ATTEMPTS_MAX => {
                attempt += 1;
                tokio::time::sleep(CONNECT_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

pub(crate) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).foreign_keys(true).busy_timeout(BUSY_WAIT_MAX)
}

// In one immediate transaction: sqlx takes no lock for SQLite, and two processes that find a new
// file would both create its tables.
async fn migrate(path: &Path, connection: &mut SqliteConnection) -> Result<(), CatalogError> {
    let failed = |source| CatalogError::of(path, SCHEMA_ACTION, source);
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    // Not `run`, whose future is not `Send` to the compiler's mind when it borrows a connection.
    let outcome = MIGRATOR.run_direct(None, &mut *transaction, false).await;
    outcome.map_err(|error| migration_error(path.to_owned(), error))?;
    transaction.commit().await.map_err(failed)
}

fn migration_error(path: PathBuf, error: MigrateError) -> CatalogError {
    match error {
        MigrateError::VersionMissing(version) => CatalogError::Newer { path, version },
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => {
            match CatalogError::of(&path, SCHEMA_ACTION, source) {
                // A mistake of ours would look the same, and would be in all backups.
                CatalogError::Damaged { path, source } if !is_corrupt(source.as_ref()) => {
                    CatalogError::Schema { path, source }
                }
                error => error,
            }
        }
        source => CatalogError::Schema { path, source: source.into() },
    }
}

static MIGRATOR: Migrator = sqlx::migrate!();

const SCHEMA_ACTION: &str = "bring its schema up to date";

/// Set by the first migration.
pub(crate) const APPLICATION_ID: i64 = 0x5374_696c;

/// A write lasts milliseconds; who waits this long has met a stopped process.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(15);

/// One list does not keep others from reading; more would only hold file descriptors.
const READERS_MAX: u32 = 4;

const CONNECT_PAUSE: Duration = Duration::from_millis(20);
const CONNECT_ATTEMPTS_MAX: u32 = 250;
