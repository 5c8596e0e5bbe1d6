//! Runs: what was started, by which process, and how it ended.

use std::fmt;

use format::ids::{PointId, RepositoryId};
use format::manifest::Occasion;
use jiff::Timestamp;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

use crate::audit::{self, DeedEnd};
use crate::job::JobName;
use crate::request::{self, Request};
use crate::task::Task;
use crate::{column, occasion};

/// The number of a run in this catalog; it is not used again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct RunId(i64);

/// A run that begins at once, because a person asked for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewRun {
    /// The application that is backed up.
    pub application: String,
    /// Where to, if that is known yet.
    pub repository: Option<RepositoryId>,
    /// When it began, and by whom it is run.
    pub start: RunStart,
}

/// The beginning of a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct RunStart {
    /// When.
    pub started: Timestamp,
    /// Who runs it.
    #[serde(flatten)]
    pub process: Process,
}

/// A process of this host, told from a later one with the same number.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it was started, in clock ticks since boot: field 22 of `/proc/PID/stat`.
    pub start_ticks: u64,
}

impl Process {
    /// The columns `pid` and `start_ticks`.
    pub(crate) fn read(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self { pid: row.try_get("pid")?, start_ticks: column::unsigned(row, "start_ticks")? })
    }
}

/// How a run ended.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct RunEnd {
    /// When.
    pub ended: Timestamp,
    /// With what result.
    pub outcome: RunOutcome,
    /// The restore point that it made.
    pub point: Option<PointId>,
}

/// The result of a run.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase", tag = "result")]
pub enum RunOutcome {
    /// Everything was saved.
    Succeeded,
    /// A restore point was made, and something is missing from it.
    Partial,
    /// No restore point was made.
    Failed {
        /// Why, in one line.
        error: String,
    },
    /// Its process was gone before it could say how it ended.
    Abandoned,
    /// Somebody called it off.
    Cancelled,
}

/// How a run waits again.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Again {
    /// It does not begin before this moment.
    pub not_before: Option<Timestamp>,
    /// Whether it counts as if it had not been begun.
    pub is_forgiven: bool,
}

/// One run.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct RunRow {
    /// Its number.
    pub id: RunId,
    /// What it does.
    pub task: Task,
    /// The application that is backed up; absent where it is for a repository as a whole.
    pub application: Option<String>,
    /// Where to, if that was known when it began.
    pub repository: Option<RepositoryId>,
    /// What it is for; absent where a person asked for it.
    pub occasion: Option<Occasion>,
    /// What somebody asked the service for; absent where a policy did, or somebody does it himself.
    pub request: Option<Request>,
    /// Since when it waited.
    pub queued: Timestamp,
    /// When it began the last time, and by whom it was run; absent while it waits.
    pub start: Option<RunStart>,
    /// How often it was begun.
    pub attempts: u32,
    /// While it waits: before which moment it does not begin.
    pub not_before: Option<Timestamp>,
    /// How it ended; `None` while it is unfinished.
    pub end: Option<RunEnd>,
}

impl RunRow {
    /// Whether the service does it, and not whoever began it.
    pub fn is_for_service(&self) -> bool {
        self.occasion.is_some() || self.request.is_some()
    }

    /// Which policy of which application it is for; nothing where a person asked for it.
    pub fn job(&self) -> Option<JobName> {
        let policy = self.occasion.as_ref()?.policy.clone();
        Some(JobName { application: self.application.clone(), policy })
    }
}

impl RunId {
    /// The run with this number.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> i64 {
        self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl RunOutcome {
    /// Its name, as it is shown.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Partial => "partial",
            Self::Failed { .. } => "failed",
            Self::Abandoned => "abandoned",
            Self::Cancelled => "cancelled",
        }
    }

    fn error(&self) -> Option<&str> {
        match self {
            Self::Failed { error } => Some(error),
            Self::Succeeded | Self::Partial | Self::Abandoned | Self::Cancelled => None,
        }
    }

    fn read(row: &SqliteRow) -> sqlx::Result<Self> {
        match row.try_get("outcome")? {
            "succeeded" => Ok(Self::Succeeded),
            "partial" => Ok(Self::Partial),
            "failed" => Ok(Self::Failed { error: row.try_get("error")? }),
            "abandoned" => Ok(Self::Abandoned),
            "cancelled" => Ok(Self::Cancelled),
            other => Err(column::unreadable("outcome", format!("`{other}` is no outcome"))),
        }
    }
}

impl RunRow {
    pub(crate) fn read(row: &SqliteRow) -> sqlx::Result<Self> {
        let ended: Option<Timestamp> = column::parsed_option(row, "ended")?;
        let end = match ended {
            Some(ended) => Some(RunEnd {
                ended,
                outcome: RunOutcome::read(row)?,
                point: column::parsed_option(row, "point")?,
            }),
            None => None,
        };
        Ok(Self {
            id: RunId(row.try_get("id")?),
            task: Task::read(row)?,
            application: column::name(row, "application")?,
            repository: column::parsed_option(row, "repository")?,
            occasion: occasion::read(row)?,
            request: request::read(row)?,
            queued: column::parsed(row, "queued")?,
            start: match column::parsed_option(row, "started")? {
                Some(started) => Some(RunStart { started, process: Process::read(row)? }),
                None => None,
            },
            attempts: row.try_get("attempts")?,
            not_before: column::parsed_option(row, "not_before")?,
            end,
        })
    }
}

/// Stores a run that begins; answers its number.
pub(crate) async fn begin(connection: &mut SqliteConnection, run: &NewRun) -> sqlx::Result<i64> {
    let inserted = sqlx::query(
        "INSERT INTO runs (task, application, repository, queued, started, pid, start_ticks, attempts)
         VALUES ('backup', ?1, ?2, ?3, ?3, ?4, ?5, 1)",
    )
    .bind(&run.application)
    .bind(run.repository.map(|id| id.to_string()))
    .bind(column::time(run.start.started))
    .bind(run.start.process.pid)
    .bind(run.start.process.start_ticks.cast_signed())
    .execute(connection)
    .await?;
    Ok(inserted.last_insert_rowid())
}

/// Has a run wait, unless there is one for this moment; answers how many do that did not, 0 or 1.
pub(crate) async fn queue(
    connection: &mut SqliteConnection,
    (task, application): (Task, &str),
    occasion: &Occasion,
    now: Timestamp,
) -> sqlx::Result<u64> {
    let (policy, due, schedules) = occasion::columns(Some(occasion))?;
    let inserted = sqlx::query(
        "INSERT INTO runs (task, application, policy, due, schedules, queued, attempts)
         VALUES (?, ?, ?, ?, ?, ?, 0)
         ON CONFLICT DO NOTHING",
    )
    .bind(task.name())
    .bind(application)
    .bind(policy)
    .bind(due)
    .bind(schedules)
    .bind(column::time(now))
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected())
}

/// Begins a run that waits; answers how many there were, 0 or 1.
pub(crate) async fn start(
    connection: &mut SqliteConnection,
    run: RunId,
    start: RunStart,
) -> sqlx::Result<u64> {
    let updated = sqlx::query(
        "UPDATE runs SET started = ?, pid = ?, start_ticks = ?, attempts = attempts + 1,
             not_before = NULL
         WHERE id = ? AND started IS NULL AND ended IS NULL",
    )
    .bind(column::time(start.started))
    .bind(start.process.pid)
    .bind(start.process.start_ticks.cast_signed())
    .bind(run.0)
    .execute(connection)
    .await?;
    Ok(updated.rows_affected())
}

/// Has a run that waits stand for more schedules.
pub(crate) async fn join(
    connection: &mut SqliteConnection,
    run: RunId,
    schedules: &[String],
) -> sqlx::Result<()> {
    sqlx::query("UPDATE runs SET schedules = ? WHERE id = ? AND started IS NULL AND ended IS NULL")
        .bind(column::json(&schedules)?)
        .bind(run.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Has a run wait again that was begun; answers how many there were, 0 or 1.
pub(crate) async fn requeue(
    connection: &mut SqliteConnection,
    run: RunId,
    again: Again,
) -> sqlx::Result<u64> {
    let updated = sqlx::query(
        "UPDATE runs SET started = NULL, pid = NULL, start_ticks = NULL, not_before = ?,
             attempts = attempts - ?
         WHERE id = ? AND started IS NOT NULL AND ended IS NULL",
    )
    .bind(again.not_before.map(column::time))
    .bind(i64::from(again.is_forgiven))
    .bind(run.0)
    .execute(connection)
    .await?;
    Ok(updated.rows_affected())
}

/// Ends an unfinished run, and what somebody asked for with it; answers how many there were, 0 or 1.
pub(crate) async fn finish(
    connection: &mut SqliteConnection,
    run: RunId,
    end: &RunEnd,
) -> sqlx::Result<u64> {
    let updated = sqlx::query(
        "UPDATE runs SET ended = ?, outcome = ?, error = ?, point = ?
         WHERE id = ? AND ended IS NULL",
    )
    .bind(column::time(end.ended))
    .bind(end.outcome.name())
    .bind(end.outcome.error())
    .bind(end.point.map(|id| id.to_string()))
    .bind(run.0)
    .execute(&mut *connection)
    .await?;
    if updated.rows_affected() > 0 {
        audit::end_run(connection, run.0, &deed_end(end)).await?;
    }
    Ok(updated.rows_affected())
}

// As a command would have ended that did the same.
fn deed_end(end: &RunEnd) -> DeedEnd {
    let (exit, error) = match &end.outcome {
        RunOutcome::Succeeded => (0, None),
        RunOutcome::Partial => (3, None),
        RunOutcome::Failed { error } => (1, Some(error.clone())),
        RunOutcome::Abandoned => (1, Some("it was cut off".to_owned())),
        RunOutcome::Cancelled => (130, Some("it was called off".to_owned())),
    };
    DeedEnd { ended: end.ended, exit, error }
}

/// Drops the runs that ended before a moment.
pub(crate) async fn forget(
    connection: &mut SqliteConnection,
    before: Timestamp,
) -> sqlx::Result<u64> {
    let deleted = sqlx::query("DELETE FROM runs WHERE ended < ?")
        .bind(column::time(before))
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected())
}

/// The last runs, the newest first.
pub(crate) async fn latest(readers: &SqlitePool, limit: u32) -> sqlx::Result<Vec<RunRow>> {
    sqlx::query("SELECT * FROM runs ORDER BY queued DESC, id DESC LIMIT ?")
        .bind(limit)
        .fetch_all(readers)
        .await?
        .iter()
        .map(RunRow::read)
        .collect()
}

/// The runs without an end, the oldest first.
pub(crate) async fn unfinished(readers: &SqlitePool) -> sqlx::Result<Vec<RunRow>> {
    sqlx::query("SELECT * FROM runs WHERE ended IS NULL ORDER BY id")
        .fetch_all(readers)
        .await?
        .iter()
        .map(RunRow::read)
        .collect()
}
