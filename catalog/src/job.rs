//! Jobs: an application with a policy, and up to when it was looked after.

use std::collections::{BTreeMap, BTreeSet};

use format::manifest::Occasion;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

use crate::column;
use crate::event::{self, Event};
use crate::run::{self, RunId};
use crate::task::Task;

/// An application with one of its policies, or a policy for a repository.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct JobName {
    /// The application; absent where the policy is for a repository.
    pub application: Option<String>,
    /// The policy.
    pub policy: String,
}

/// Up to when a job was looked after.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JobRow {
    /// Everything that was due up to this moment is seen to.
    pub handled: Timestamp,
    /// When the policy ran by then, as its owner writes it.
    pub timing: String,
}

/// What somebody decided who looked at the clock.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Look {
    /// Which job.
    pub job: JobName,
    /// What its runs do.
    pub task: Task,
    /// Everything that is due up to this moment is seen to.
    pub handled: Timestamp,
    /// When the policy runs, as its owner writes it.
    pub timing: String,
    /// What is to be run, unless there is a run for that moment.
    pub run: Option<Occasion>,
    /// The run that still waits and stands for this moment too, and all schedules that it is for now.
    pub joined: Option<(RunId, Vec<String>)>,
    /// What happened.
    pub events: Vec<Event>,
}

/// Writes down, all at once, what was decided; answers how many runs wait that did not before.
pub(crate) async fn record(
    connection: &mut SqliteConnection,
    (looks, now): (&[Look], Timestamp),
) -> sqlx::Result<u64> {
    let mut queued = 0;
    for look in looks {
        let Look { job: JobName { application, policy }, task, handled, timing, .. } = look;
        let Look { run, joined, events, .. } = look;
        let application = application.as_deref().unwrap_or_default();
        sqlx::query(
            "INSERT INTO jobs (application, policy, handled, timing) VALUES (?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET handled = excluded.handled, timing = excluded.timing",
        )
        .bind(application)
        .bind(policy)
        .bind(column::time(*handled))
        .bind(timing)
        .execute(&mut *connection)
        .await?;
        if let Some((run, schedules)) = joined {
            run::join(&mut *connection, *run, schedules).await?;
        }
        if let Some(occasion) = run {
            queued += run::queue(&mut *connection, (*task, application), occasion, now).await?;
        }
        event::insert(&mut *connection, events).await?;
    }
    Ok(queued)
}

/// Up to when each job was looked after.
pub(crate) async fn list(readers: &SqlitePool) -> sqlx::Result<BTreeMap<JobName, JobRow>> {
    let rows = sqlx::query("SELECT * FROM jobs").fetch_all(readers).await?;
    rows.iter().map(read).collect()
}

/// What one row says.
pub(crate) fn read(row: &SqliteRow) -> sqlx::Result<(JobName, JobRow)> {
    let (application, policy) = (column::name(row, "application")?, row.try_get("policy")?);
    let (handled, timing) = (column::parsed(row, "handled")?, row.try_get("timing")?);
    Ok((JobName { application, policy }, JobRow { handled, timing }))
}

/// The moments after another for which a job has runs, whatever became of them.
pub(crate) async fn runs_after(
    readers: &SqlitePool,
    job: &JobName,
    after: Timestamp,
) -> sqlx::Result<BTreeSet<Timestamp>> {
    sqlx::query("SELECT due FROM runs WHERE application = ? AND policy = ? AND due > ?")
        .bind(job.application.as_deref().unwrap_or_default())
        .bind(&job.policy)
        .bind(column::time(after))
        .fetch_all(readers)
        .await?
        .iter()
        .map(|row| column::parsed(row, "due"))
        .collect()
}

/// What became of a job so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Standing {
    /// The last moment for which it has a run.
    pub due: Option<Timestamp>,
    /// Since when it has wanted a run, and none has done all of what it was for; nothing while one goes on.
    pub unmet: Option<Timestamp>,
    /// When the last of its runs ended that did all of what they were for.
    pub succeeded: Option<Timestamp>,
    /// When the last of its runs ended that failed.
    pub failed: Option<Timestamp>,
}

/// What became of a job so far.
pub(crate) async fn standing(readers: &SqlitePool, job: &JobName) -> sqlx::Result<Standing> {
    let row = sqlx::query(
        "SELECT max(due) AS due, (
             SELECT min(queued) FROM runs
             WHERE application = ?1 AND policy = ?2 AND due > coalesce((
                 SELECT max(due) FROM runs
                 WHERE application = ?1 AND policy = ?2 AND outcome = 'succeeded'
             ), '') AND NOT EXISTS (
                 SELECT * FROM runs
                 WHERE ended IS NULL AND started IS NOT NULL
                     AND application = ?1 AND policy = ?2
             )
         ) AS unmet, (
             SELECT ended FROM runs
             WHERE application = ?1 AND policy = ?2 AND outcome = 'succeeded'
             ORDER BY due DESC LIMIT 1
         ) AS succeeded, (
             SELECT ended FROM runs
             WHERE application = ?1 AND policy = ?2 AND outcome = 'failed'
             ORDER BY due DESC LIMIT 1
         ) AS failed
         FROM runs WHERE application = ?1 AND policy = ?2",
    )
    .bind(job.application.as_deref().unwrap_or_default())
    .bind(&job.policy)
    .fetch_one(readers)
    .await?;
    Ok(Standing {
        due: column::parsed_option(&row, "due")?,
        unmet: column::parsed_option(&row, "unmet")?,
        succeeded: column::parsed_option(&row, "succeeded")?,
        failed: column::parsed_option(&row, "failed")?,
    })
}

/// Why the last run of a job that failed did.
pub(crate) async fn last_error(
    readers: &SqlitePool,
    job: &JobName,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar(
        "SELECT error FROM runs WHERE application = ? AND policy = ? AND outcome = 'failed'
         ORDER BY due DESC LIMIT 1",
    )
    .bind(job.application.as_deref().unwrap_or_default())
    .bind(&job.policy)
    .fetch_optional(readers)
    .await
}
