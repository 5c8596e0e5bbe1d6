//! Jobs: an application with a policy, and up to when it was looked after.

use std::collections::{BTreeMap, BTreeSet};

use format::manifest::Occasion;
use jiff::Timestamp;
use sqlx::{Row, SqliteConnection, SqlitePool};

use crate::column;
use crate::event::{self, Event};
use crate::run;

/// An application with one of its policies.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct JobName {
    /// The application.
    pub application: String,
    /// The policy.
    pub policy: String,
}

/// What somebody decided who looked at the clock.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Look {
    /// Which job.
    pub job: JobName,
    /// Everything that is due up to this moment is seen to.
    pub handled: Timestamp,
    /// What is to be run, unless there is a run for that moment.
    pub run: Option<Occasion>,
    /// What happened.
    pub events: Vec<Event>,
}

/// Writes down, all at once, what was decided; answers how many runs wait that did not before.
pub(crate) async fn record(
    connection: &mut SqliteConnection,
    (looks, now): (&[Look], Timestamp),
) -> sqlx::Result<u64> {
    let mut queued = 0;
    for Look { job: JobName { application, policy }, handled, run, events } in looks {
        sqlx::query(
            "INSERT INTO jobs (application, policy, handled) VALUES (?, ?, ?)
             ON CONFLICT DO UPDATE SET handled = excluded.handled",
        )
        .bind(application)
        .bind(policy)
        .bind(column::time(*handled))
        .execute(&mut *connection)
        .await?;
        if let Some(occasion) = run {
            queued += run::queue(&mut *connection, (application, occasion), now).await?;
        }
        event::insert(&mut *connection, events).await?;
    }
    Ok(queued)
}

/// Up to when each job was looked after.
pub(crate) async fn list(readers: &SqlitePool) -> sqlx::Result<BTreeMap<JobName, Timestamp>> {
    let rows = sqlx::query("SELECT * FROM jobs").fetch_all(readers).await?;
    let job = |row| -> sqlx::Result<_> {
        let (application, policy) =
            (Row::try_get(row, "application")?, Row::try_get(row, "policy")?);
        Ok((JobName { application, policy }, column::parsed(row, "handled")?))
    };
    rows.iter().map(job).collect()
}

/// The moments after another for which a job has runs, whatever became of them.
pub(crate) async fn runs_after(
    readers: &SqlitePool,
    job: &JobName,
    after: Timestamp,
) -> sqlx::Result<BTreeSet<Timestamp>> {
    sqlx::query("SELECT due FROM runs WHERE application = ? AND policy = ? AND due > ?")
        .bind(&job.application)
        .bind(&job.policy)
        .bind(column::time(after))
        .fetch_all(readers)
        .await?
        .iter()
        .map(|row| column::parsed(row, "due"))
        .collect()
}
