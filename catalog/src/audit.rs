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
    /// What, to go on after "somebody wanted to".
    pub action: String,
    /// Why, where that was said.
    pub reason: Option<String>,
}

/// A deed in this catalog, until it has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeedId(i64);

/// How a deed ended.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct DeedEnd {
    /// When.
    pub ended: Timestamp,
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
    pub(crate) const fn new(id: i64) -> Self {
        Self(id)
    }
}

impl DeedRow {
    pub(crate) fn read(row: &SqliteRow) -> sqlx::Result<Self> {
        let deed = Deed {
            moment: column::parsed(row, "moment")?,
            who: row.try_get("who")?,
            action: row.try_get("action")?,
            reason: row.try_get("reason")?,
        };
        let error = row.try_get("error")?;
        let ended = column::parsed_option(row, "ended")?;
        Ok(Self { deed, end: ended.map(|ended| DeedEnd { ended, error }) })
    }
}

/// Writes down that a deed begins; answers its number.
pub(crate) async fn begin(connection: &mut SqliteConnection, deed: &Deed) -> sqlx::Result<i64> {
    let inserted =
        sqlx::query("INSERT INTO audit (moment, who, action, reason) VALUES (?, ?, ?, ?)")
            .bind(column::time(deed.moment))
            .bind(&deed.who)
            .bind(&deed.action)
            .bind(&deed.reason)
            .execute(connection)
            .await?;
    Ok(inserted.last_insert_rowid())
}

/// Writes down how a deed ended; answers how many there were, 0 or 1.
pub(crate) async fn end(
    connection: &mut SqliteConnection,
    DeedId(id): DeedId,
    DeedEnd { ended, error }: &DeedEnd,
) -> sqlx::Result<u64> {
    let updated =
        sqlx::query("UPDATE audit SET ended = ?, error = ? WHERE id = ? AND ended IS NULL")
            .bind(column::time(*ended))
            .bind(error)
            .bind(id)
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
