//! From a path to open connections: create, inspect, migrate.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::Errno;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};

use crate::error::{CatalogError, is_busy};

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

/// Connections that cannot write; they are made when they are first needed.
pub(crate) fn readers(path: &Path) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(READERS_MAX)
        .connect_lazy_with(options(path).read_only(true))
}

fn create(path: &Path) -> std::io::Result<()> {
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

// Read-only, because a connection that may write changes even a file that it then refuses.
async fn inspect(path: &Path) -> Result<(), CatalogError> {
    let length = std::fs::metadata(path)
        .map_err(|source| CatalogError::NotCreated { path: path.to_owned(), source })?
        .len();
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

fn log(path: &Path) -> PathBuf {
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

fn options(path: &Path) -> SqliteConnectOptions {
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
            CatalogError::of(&path, SCHEMA_ACTION, source)
        }
        source => CatalogError::Refused { path, action: SCHEMA_ACTION, source: source.into() },
    }
}

static MIGRATOR: Migrator = sqlx::migrate!();

const SCHEMA_ACTION: &str = "bring its schema up to date";

/// Set by the first migration.
const APPLICATION_ID: i64 = 0x5374_696c;

/// A write lasts milliseconds; who waits this long has met a stopped process.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(15);

/// One list does not keep others from reading; more would only hold file descriptors.
const READERS_MAX: u32 = 4;

const CONNECT_PAUSE: Duration = Duration::from_millis(20);
const CONNECT_ATTEMPTS_MAX: u32 = 250;
