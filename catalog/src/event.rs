//! What happened besides runs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

use crate::error::CatalogError;
use crate::job::JobName;
use crate::{Catalog, column};

/// The number of an event in this catalog; it is not used again.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct EventId(i64);

/// Something that happened.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Event {
    /// When.
    pub moment: Timestamp,
    /// To which application.
    pub application: Option<String>,
    /// By which policy.
    pub policy: Option<String>,
    /// What.
    #[serde(flatten)]
    pub happening: Happening,
}

/// What happened.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Happening {
    /// Runs were left out.
    Missed {
        /// The moment that the first was due.
        first: Timestamp,
        /// The moment that the last was due.
        last: Timestamp,
        /// How many.
        count: u64,
    },
    /// The clock went back; what was run stays run.
    ClockWentBack {
        /// From this moment,
        from: Timestamp,
        /// to this one.
        to: Timestamp,
    },
    /// Points went, because nothing keeps them.
    Forgotten {
        /// How many.
        count: u64,
    },
    /// Space was given back.
    Pruned {
        /// How many packs went.
        packs: u64,
        /// How many bytes these had.
        bytes: u64,
    },
    /// The newest points were read as a restore would.
    Verified {
        /// How many.
        points: u64,
    },
    /// No point of an application goes by any rule, because one is unlike those before it, or most would go
    /// at once.
    Alarm {
        /// What is unlike.
        reason: String,
        /// Whether people were told of it, where there is anybody to tell.
        #[serde(default)]
        told: bool,
    },
    /// A run met what may pass, and waits for that.
    PutOff {
        /// What it met.
        error: String,
        /// Until when it waits.
        until: Timestamp,
    },
    /// The points that nothing keeps could not be forgotten.
    NotForgotten {
        /// Why not.
        error: String,
    },
    /// A container names a policy that there is not.
    UnknownPolicy,
    /// The catalog was damaged or lost, and another one is used now.
    CatalogReplaced {
        /// When the backup was made that it comes from; absent where there was none.
        backup: Option<Timestamp>,
    },
    /// The service goes by another configuration.
    Reloaded,
    /// The service was told to go by another configuration, and goes on by the one before.
    NotReloaded {
        /// Why.
        error: String,
    },
    /// Somebody was to be told of something, and could not be.
    NotTold {
        /// By which channel.
        channel: String,
        /// Why not.
        error: String,
    },
    /// The service was started.
    Started,
    /// The service has ended as it was told.
    Stopped,
    /// What a newer program wrote down.
    #[serde(other)]
    Other,
}

impl Catalog {
    /// Whether people were told of a [`Happening::Alarm`] of a job at this moment or later.
    pub async fn has_told_of_alarm_since(
        &self,
        job: &JobName,
        moment: Timestamp,
    ) -> Result<bool, CatalogError> {
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM events WHERE application IS ? AND policy = ? AND moment >= ?
                            AND happening ->> 'kind' = 'alarm' AND happening ->> 'told')",
        )
        .bind(&job.application)
        .bind(&job.policy)
        .bind(column::time(moment))
        .fetch_one(&self.readers)
        .await
        .map_err(|source| self.failed("look for an event", source))
    }
}

impl EventId {
    /// The event with this number.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// An event with its number.
    pub(crate) fn read(row: &SqliteRow) -> sqlx::Result<(Self, Event)> {
        Ok((Self(row.try_get("id")?), Event::read(row)?))
    }
}

impl Event {
    pub(crate) fn read(row: &SqliteRow) -> sqlx::Result<Self> {
        let happening: &str = row.try_get("happening")?;
        Ok(Self {
            moment: column::parsed(row, "moment")?,
            application: row.try_get("application")?,
            policy: row.try_get("policy")?,
            happening: serde_json::from_str(happening)
                .map_err(|error| column::unreadable("happening", error))?,
        })
    }
}

/// Writes down what happened; answers how much that was.
pub(crate) async fn insert(
    connection: &mut SqliteConnection,
    events: &[Event],
) -> sqlx::Result<u64> {
    for Event { moment, application, policy, happening } in events {
        sqlx::query(
            "INSERT INTO events (moment, application, policy, happening) VALUES (?, ?, ?, ?)",
        )
        .bind(column::time(*moment))
        .bind(application)
        .bind(policy)
        .bind(column::json(happening)?)
        .execute(&mut *connection)
        .await?;
    }
    // A `usize` is never wider than 64 bits.
    Ok(events.len() as u64)
}

/// Drops what happened before a moment.
pub(crate) async fn forget(
    connection: &mut SqliteConnection,
    before: Timestamp,
) -> sqlx::Result<u64> {
    let deleted = sqlx::query("DELETE FROM events WHERE moment < ?")
        .bind(column::time(before))
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected())
}

/// The last events, the newest first.
pub(crate) async fn latest(readers: &SqlitePool, limit: u32) -> sqlx::Result<Vec<Event>> {
    sqlx::query("SELECT * FROM events ORDER BY id DESC LIMIT ?")
        .bind(limit)
        .fetch_all(readers)
        .await?
        .iter()
        .map(Event::read)
        .collect()
}
