//! What is to be told to people, until they were told.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

use crate::error::CatalogError;
use crate::job::JobName;
use crate::writer::Change;
use crate::{Catalog, column};

/// What somebody was told of a job, and not yet that it is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// A run failed.
    Failed,
    /// It has not succeeded for too long.
    Stale,
}

/// Something that is to be told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewNotice {
    /// By which channel of the configuration.
    pub channel: String,
    /// What it is about: where that could not be told before, it is old now.
    pub subject: String,
    /// Of when it is.
    pub moment: Timestamp,
    /// What, as JSON.
    pub notice: String,
}

/// Something that is to be told.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct NoticeRow {
    /// Its number in this catalog; it is not used again.
    pub id: i64,
    /// By which channel of the configuration.
    pub channel: String,
    /// Of when it is.
    pub moment: Timestamp,
    /// What, as JSON.
    pub notice: String,
    /// How often that was tried.
    pub attempts: u32,
}

/// What became of telling.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Telling {
    /// Somebody was told.
    Told,
    /// It failed, and is tried again, not before this moment.
    Again(Timestamp),
    /// It failed too often, the last time because of this.
    GivenUp(String),
}

impl Trouble {
    fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Stale => "stale",
        }
    }
}

impl Catalog {
    /// Has these be told, and remembers that a job is in trouble, or no longer: both or nothing.
    pub async fn tell(
        &self,
        job: JobName,
        trouble: Option<Trouble>,
        notices: Vec<NewNotice>,
    ) -> Result<(), CatalogError> {
        self.write("have somebody told", Change::Tell(job, trouble, notices)).await?;
        Ok(())
    }

    /// The jobs of which somebody knows that they are in trouble.
    pub async fn troubles(&self) -> Result<BTreeMap<JobName, Trouble>, CatalogError> {
        let troubles = troubles(&self.readers).await;
        troubles.map_err(|source| self.failed("list what is in trouble", source))
    }

    /// What is to be told by this moment, the oldest first, so much of it.
    pub async fn notices_due(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<NoticeRow>, CatalogError> {
        let due = due(&self.readers, now, limit).await;
        due.map_err(|source| self.failed("list what is to be told", source))
    }

    /// Remembers what became of telling at this moment.
    pub async fn told(
        &self,
        notice: i64,
        telling: Telling,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        self.write("remember who was told", Change::Told(notice, telling, now)).await?;
        Ok(())
    }
}

async fn troubles(readers: &SqlitePool) -> sqlx::Result<BTreeMap<JobName, Trouble>> {
    sqlx::query("SELECT application, policy, trouble FROM jobs WHERE trouble IS NOT NULL")
        .fetch_all(readers)
        .await?
        .iter()
        .map(|row| {
            let application = column::name(row, "application")?;
            let job = JobName { application, policy: row.try_get("policy")? };
            let trouble = match row.try_get("trouble")? {
                "failed" => Trouble::Failed,
                "stale" => Trouble::Stale,
                other => return Err(column::unreadable("trouble", format!("`{other}` is none"))),
            };
            Ok((job, trouble))
        })
        .collect()
}

async fn due(readers: &SqlitePool, now: Timestamp, limit: u32) -> sqlx::Result<Vec<NoticeRow>> {
    sqlx::query(
        "SELECT * FROM notices WHERE ended IS NULL AND not_before <= ?
         ORDER BY not_before, id LIMIT ?",
    )
    .bind(column::time(now))
    .bind(limit)
    .fetch_all(readers)
    .await?
    .iter()
    .map(read)
    .collect()
}

/// What one row says.
pub(crate) fn read(row: &SqliteRow) -> sqlx::Result<NoticeRow> {
    Ok(NoticeRow {
        id: row.try_get("id")?,
        channel: row.try_get("channel")?,
        moment: column::parsed(row, "moment")?,
        notice: row.try_get("notice")?,
        attempts: row.try_get("attempts")?,
    })
}

/// Has something be told; answers how much.
pub(crate) async fn insert(
    connection: &mut SqliteConnection,
    notices: &[NewNotice],
) -> sqlx::Result<u64> {
    for NewNotice { channel, subject, moment, notice } in notices {
        // What could not be told would come after this, and be wrong.
        sqlx::query(
            "DELETE FROM notices
             WHERE channel = ? AND subject = ? AND ended IS NULL AND attempts > 0",
        )
        .bind(channel)
        .bind(subject)
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "INSERT INTO notices (channel, subject, moment, notice, attempts, not_before)
             VALUES (?1, ?2, ?3, ?4, 0, ?3)",
        )
        .bind(channel)
        .bind(subject)
        .bind(column::time(*moment))
        .bind(notice)
        .execute(&mut *connection)
        .await?;
    }
    // A `usize` is never wider than 64 bits.
    Ok(notices.len() as u64)
}

/// Remembers whether somebody knows that a job is in trouble.
pub(crate) async fn set_trouble(
    connection: &mut SqliteConnection,
    JobName { application, policy }: &JobName,
    trouble: Option<Trouble>,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE jobs SET trouble = ? WHERE application = ? AND policy = ?")
        .bind(trouble.map(Trouble::name))
        .bind(application.as_deref().unwrap_or_default())
        .bind(policy)
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes down what became of telling; answers how many there were, 0 or 1.
pub(crate) async fn told(
    connection: &mut SqliteConnection,
    notice: i64,
    telling: &Telling,
    now: Timestamp,
) -> sqlx::Result<u64> {
    let (ended, not_before, error) = match telling {
        Telling::Told => return remove(connection, notice).await,
        Telling::Again(when) => (None, *when, None),
        Telling::GivenUp(error) => (Some(now), now, Some(error)),
    };
    let updated = sqlx::query(
        "UPDATE notices SET attempts = attempts + 1, ended = ?, not_before = ?, error = ?
         WHERE id = ? AND ended IS NULL",
    )
    .bind(ended.map(column::time))
    .bind(column::time(not_before))
    .bind(error)
    .bind(notice)
    .execute(connection)
    .await?;
    Ok(updated.rows_affected())
}

async fn remove(connection: &mut SqliteConnection, notice: i64) -> sqlx::Result<u64> {
    let deleted =
        sqlx::query("DELETE FROM notices WHERE id = ?").bind(notice).execute(connection).await?;
    Ok(deleted.rows_affected())
}

/// Drops what was given up before a moment.
pub(crate) async fn forget(
    connection: &mut SqliteConnection,
    before: Timestamp,
) -> sqlx::Result<u64> {
    let deleted = sqlx::query("DELETE FROM notices WHERE ended < ?")
        .bind(column::time(before))
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected())
}
