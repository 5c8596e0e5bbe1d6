//! What somebody asks the service for.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use crate::audit::{self, Deed};
use crate::error::CatalogError;
use crate::run::RunId;
use crate::task::Task;
use crate::writer::{Change, RunChange};
use crate::{Catalog, column};

/// What somebody asks the service for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Request {
    /// Who.
    pub who: String,
    /// Why, where that was said.
    pub reason: Option<String>,
    /// At which repository, by its name in the configuration; absent for the one that the service has by
    /// default.
    pub at: Option<String>,
    /// What.
    pub wanted: Wanted,
}

/// What is to be done.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase", tag = "task")]
pub enum Wanted {
    /// Back an application up.
    Backup {
        /// The tags that the point gets.
        tags: Vec<String>,
        /// Whether every file is read, whatever its time of change.
        full: bool,
    },
    /// Give back the space of what no point needs.
    Prune,
    /// Look whether everything is there that should be.
    Check {
        /// Whether all of it is read, too.
        read_data: bool,
    },
    /// Read the newest points as a restore would.
    Verify,
    /// Make files of a point.
    Restore {
        /// `latest`, or the first digits of its id.
        point: String,
        /// The directory.
        to: PathBuf,
        /// Whether there may be files in it, which are overwritten.
        in_place: bool,
        /// Whether what is in it and not of the point is removed.
        delete: bool,
    },
}

impl Wanted {
    /// What kind of run this is.
    pub fn task(&self) -> Task {
        match self {
            Self::Backup { .. } => Task::Backup,
            Self::Prune => Task::Prune,
            Self::Check { .. } => Task::Check,
            Self::Verify => Task::Verify,
            Self::Restore { .. } => Task::Restore,
        }
    }
}

/// What tells that a request is one that was made before.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestKey {
    /// What whoever asks calls it.
    pub key: String,
    /// The digest of the whole request.
    pub digest: String,
}

/// Something that somebody asks for, all of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asking {
    /// What.
    pub request: Request,
    /// For which application; absent where it is for a repository as a whole.
    pub application: Option<String>,
    /// The key, if it has one.
    pub key: Option<RequestKey>,
    /// How it was said, for the audit trail.
    pub command: String,
    /// When.
    pub moment: Timestamp,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asked {
    /// A run waits for it.
    New(RunId),
    /// There is a run for it already.
    Before(RunId),
    /// Something else was asked under the same key.
    Another,
    /// Too much waits that was asked for, by whoever asks or by all.
    TooMuch,
}

impl Catalog {
    /// Has a run wait for what somebody asks for, unless there is one for the same key; and writes down who
    /// it was, until the run has ended.
    pub async fn ask(&self, asking: Asking) -> Result<Asked, CatalogError> {
        Ok(match self.write("have a run wait", Change::Run(RunChange::Ask(asking))).await? {
            TOO_MUCH => Asked::TooMuch,
            0 => Asked::Another,
            run if run < 0 => Asked::Before(RunId::new(-run)),
            run => Asked::New(RunId::new(run)),
        })
    }

    /// What became of an earlier request under the same key.
    pub async fn asked(&self, who: &str, key: &RequestKey) -> Result<Option<Asked>, CatalogError> {
        let found = async { before(&mut *self.readers.acquire().await?, who, key).await };
        let found = found.await.map_err(|source| self.failed("look for a request", source))?;
        Ok(found.map(|run| if run < 0 { Asked::Before(RunId::new(-run)) } else { Asked::Another }))
    }

    /// Ends what somebody asked for and is not done, and takes all tokens back: in the copy of a catalog
    /// nobody knows what became of these since.
    pub async fn distrust(&self, now: Timestamp) -> Result<(), CatalogError> {
        self.write("end what a copy must not bring back", Change::Distrust(now)).await?;
        Ok(())
    }
}

/// The column `request`.
pub(crate) fn read(row: &SqliteRow) -> sqlx::Result<Option<Request>> {
    let text: Option<&str> = row.try_get("request")?;
    let request = text.map(serde_json::from_str).transpose();
    request.map_err(|error| column::unreadable("request", error))
}

/// Has a run wait; answers its number. That of the one there is for this key, negative; 0 where that was for
/// something else; [`TOO_MUCH`] where too many wait.
pub(crate) async fn ask(
    connection: &mut SqliteConnection,
    Asking { request, application, key, command, moment }: &Asking,
) -> sqlx::Result<i64> {
    if let Some(key) = key
        && let Some(found) = before(&mut *connection, &request.who, key).await?
    {
        return Ok(found);
    }
    if is_too_much(&mut *connection, &request.who).await? {
        return Ok(TOO_MUCH);
    }
    let inserted = sqlx::query(
        "INSERT INTO runs (task, application, request, queued, attempts) VALUES (?, ?, ?, ?, 0)",
    )
    .bind(request.wanted.task().name())
    .bind(application.as_deref().unwrap_or_default())
    .bind(column::json(request)?)
    .bind(column::time(*moment))
    .execute(&mut *connection)
    .await?;
    let run = inserted.last_insert_rowid();
    let deed = Deed {
        moment: *moment,
        who: request.who.clone(),
        command: command.clone(),
        repository: request.at.clone(),
        reason: request.reason.clone(),
    };
    audit::begin_run(&mut *connection, &deed, run).await?;
    if let Some(RequestKey { key, digest }) = key {
        sqlx::query(
            "INSERT INTO request_keys (who, key, digest, run, moment) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(&request.who)
        .bind(key)
        .bind(digest)
        .bind(run)
        .bind(column::time(*moment))
        .execute(connection)
        .await?;
    }
    Ok(run)
}

// The run that there is for this key, negative; 0 where that was for something else.
async fn before(
    connection: &mut SqliteConnection,
    who: &str,
    key: &RequestKey,
) -> sqlx::Result<Option<i64>> {
    let row = sqlx::query("SELECT run, digest FROM request_keys WHERE who = ? AND key = ?")
        .bind(who)
        .bind(&key.key)
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let is_same = row.try_get::<&str, _>("digest")? == key.digest;
    Ok(Some(if is_same { -row.try_get::<i64, _>("run")? } else { 0 }))
}

async fn is_too_much(connection: &mut SqliteConnection, who: &str) -> sqlx::Result<bool> {
    let row = sqlx::query(
        "SELECT count(*) AS everybody, count(*) FILTER (WHERE request ->> 'who' = ?) AS his
         FROM runs WHERE ended IS NULL AND request IS NOT NULL",
    )
    .bind(who)
    .fetch_one(connection)
    .await?;
    let (everybody, his): (i64, i64) = (row.try_get("everybody")?, row.try_get("his")?);
    Ok(everybody >= WAITING_MAX || his >= WAITING_OF_ONE_MAX)
}

/// Ends what somebody asked for and is not done; answers how much.
pub(crate) async fn abandon(
    connection: &mut SqliteConnection,
    now: Timestamp,
) -> sqlx::Result<u64> {
    sqlx::query(
        "UPDATE audit SET ended = ?, exit = 1, error = 'the catalog was replaced'
         WHERE ended IS NULL AND run IS NOT NULL",
    )
    .bind(column::time(now))
    .execute(&mut *connection)
    .await?;
    let ended = sqlx::query(
        "UPDATE runs SET ended = ?, outcome = 'abandoned'
         WHERE ended IS NULL AND request IS NOT NULL",
    )
    .bind(column::time(now))
    .execute(connection)
    .await?;
    Ok(ended.rows_affected())
}

/// Drops the keys of what was asked before a moment.
pub(crate) async fn forget_keys(
    connection: &mut SqliteConnection,
    before: Timestamp,
) -> sqlx::Result<u64> {
    let deleted = sqlx::query("DELETE FROM request_keys WHERE moment < ?")
        .bind(column::time(before))
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected())
}

/// One row of `request_keys`.
pub(crate) fn read_key(row: &SqliteRow) -> sqlx::Result<(RequestKey, Timestamp)> {
    let key = RequestKey { key: row.try_get("key")?, digest: row.try_get("digest")? };
    let _: (i64, &str) = (row.try_get("run")?, row.try_get("who")?);
    Ok((key, column::parsed(row, "moment")?))
}

/// The answer where too many wait; no run has this number.
const TOO_MUCH: i64 = i64::MIN;
/// How many runs may wait and go on that somebody asked for: fewer than the queue of a service takes.
const WAITING_MAX: i64 = 400;
/// How many of these may be for the same.
const WAITING_OF_ONE_MAX: i64 = 100;
