//! The audit trail: what people had done, who they were, and why.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

use crate::column;

/// Something that somebody has done.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Deed {
    /// When it was begun.
    pub moment: Timestamp,
    /// Who.
    pub who: String,
    /// What was typed, as a shell would take it.
    pub command: String,
    /// Where the repository lies, where it is about one.
    pub repository: Option<String>,
    /// Why, where that was said.
    pub reason: Option<String>,
}

/// A deed in this catalog, until it has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeedId {
    number: i64,
    // Where the catalog was replaced meanwhile, another one may have the number.
    moment: Timestamp,
}

/// How a deed ended.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct DeedEnd {
    /// When.
    pub ended: Timestamp,
    /// The exit code.
    pub exit: u8,
    /// Why it was not done, in one line.
    pub error: Option<String>,
}

/// A deed, and what became of it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct DeedRow {
    /// What was begun.
    #[serde(flatten)]
    pub deed: Deed,
    /// How it ended; `None` while it goes on, and where it was cut off.
    pub end: Option<DeedEnd>,
}

impl DeedId {
    pub(crate) const fn new(number: i64, moment: Timestamp) -> Self {
        Self { number, moment }
    }
}

impl DeedRow {
    pub(crate) fn read(row: &SqliteRow) -> sqlx::Result<Self> {
        let deed = Deed {
            moment: column::parsed(row, "moment")?,
            who: row.try_get("who")?,
            command: row.try_get("command")?,
            repository: row.try_get("repository")?,
            reason: row.try_get("reason")?,
        };
        let (exit, error) = (row.try_get::<Option<u8>, _>("exit")?, row.try_get("error")?);
        let ended = column::parsed_option(row, "ended")?;
        let end = ended.zip(exit).map(|(ended, exit)| DeedEnd { ended, exit, error });
        Ok(Self { deed, end })
    }
}

/// Writes down that something was asked for that a run does.
pub(crate) async fn begin_run(
    connection: &mut SqliteConnection,
    deed: &Deed,
    run: i64,
) -> sqlx::Result<()> {
    let number = begin(&mut *connection, deed).await?;
    sqlx::query("UPDATE audit SET run = ? WHERE id = ?")
        .bind(run)
        .bind(number)
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes down how what was asked for ended, where somebody asked for the run.
pub(crate) async fn end_run(
    connection: &mut SqliteConnection,
    run: i64,
    DeedEnd { ended, exit, error }: &DeedEnd,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE audit SET ended = ?, exit = ?, error = ? WHERE run = ? AND ended IS NULL")
        .bind(column::time(*ended))
        .bind(exit)
        .bind(error)
        .bind(run)
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes down that a deed begins; answers its number.
pub(crate) async fn begin(connection: &mut SqliteConnection, deed: &Deed) -> sqlx::Result<i64> {
    let inserted = sqlx::query(
        "INSERT INTO audit (moment, who, command, repository, reason) VALUES (?, ?, ?, ?, ?)",
    )
    .bind(column::time(deed.moment))
    .bind(&deed.who)
    .bind(&deed.command)
    .bind(&deed.repository)
    .bind(&deed.reason)
    .execute(connection)
    .await?;
    Ok(inserted.last_insert_rowid())
}

/// Writes down how a deed ended; answers how many there were, 0 or 1.
pub(crate) async fn end(
    connection: &mut SqliteConnection,
    DeedId { number, moment }: DeedId,
    DeedEnd { ended, exit, error }: &DeedEnd,
) -> sqlx::Result<u64> {
    let updated = sqlx::query(
        "UPDATE audit SET ended = ?, exit = ?, error = ?
         WHERE id = ? AND moment = ? AND ended IS NULL",
    )
    .bind(column::time(*ended))
    .bind(exit)
    .bind(error)
    .bind(number)
    .bind(column::time(moment))
    .execute(connection)
    .await?;
    Ok(updated.rows_affected())
}

/// Drops what was begun before a moment.
pub(crate) async fn forget(
    connection: &mut SqliteConnection,
    before: Timestamp,
) -> sqlx::Result<u64> {
    let deleted = sqlx::query("DELETE FROM audit WHERE moment < ?")
        .bind(column::time(before))
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected())
}

/// The last deeds, the newest first.
pub(crate) async fn latest(readers: &SqlitePool, limit: u32) -> sqlx::Result<Vec<DeedRow>> {
    sqlx::query("SELECT * FROM audit ORDER BY id DESC LIMIT ?")
        .bind(limit)
        .fetch_all(readers)
        .await?
        .iter()
        .map(DeedRow::read)
        .collect()
}
