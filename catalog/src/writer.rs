//! The one task that writes.
//!
//! A caller hands over a change and waits for the answer. When it is cancelled it drops only the
//! answer: the change, once handed over, is made whole by a task that the caller cannot reach.
//!
//! # Invariants
//! - Every change is one transaction, begun with `BEGIN IMMEDIATE`, so that it never has to give
//!   up half-way because another process wrote first.
//! - No transaction is open while the task waits for the next change.

use format::ids::{ObjectId, PointId, RepositoryId};
use format::names::ObjectName;
use jiff::Timestamp;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::annotation::Numbered;
use crate::audit::{Deed, DeedEnd, DeedId};
use crate::event::{self, Event};
use crate::job::{self, JobName, Look};
use crate::notice::{self, NewNotice, Telling, Trouble};
use crate::point::PointRow;
use crate::rebuild::Gone;
use crate::request::Asking;
use crate::run::{Again, NewRun, Process, RunEnd, RunId, RunStart};
use crate::seen::Seen;
use crate::token::TokenRow;
use crate::{
    annotation, application, audit, pin, point, rebuild, report, request, run, seen, token,
};

/// Something to write.
#[derive(Debug)]
pub(crate) enum Change {
    InsertPoints(Vec<PointRow>),
    ForgetPoints {
        repository: RepositoryId,
        points: Vec<PointId>,
    },
    InsertAnnotations {
        repository: RepositoryId,
        annotations: Vec<Numbered>,
    },
    RecordPin {
        repository: RepositoryId,
        pin: ObjectId,
        process: Process,
    },
    ForgetPin {
        repository: RepositoryId,
        pin: ObjectId,
    },
    ReplacePoints(Vec<PointRow>, Timestamp),
    EndRebuild {
        repository: RepositoryId,
        gone: Gone,
        annotations: Vec<Numbered>,
    },
    Run(RunChange),
    Distrust(Timestamp),
    InsertToken(TokenRow, String),
    RevokeToken(String, Timestamp),
    Tell(JobName, Option<Trouble>, Vec<NewNotice>),
    Told(i64, Telling, Timestamp),
    RecordLooks(Vec<Look>, Timestamp),
    RecordEvents(Vec<Event>, Vec<NewNotice>),
    BeginDeed(Deed),
    EndDeed(DeedId, DeedEnd),
    ForgetHistory(Timestamp),
    Remember {
        repository: RepositoryId,
        objects: Vec<(ObjectName, Seen)>,
    },
    ForgetSeen {
        repository: RepositoryId,
        objects: Vec<ObjectName>,
    },
    RecordReadings {
        repository: RepositoryId,
        packs: Vec<ObjectName>,
        read: Timestamp,
        gone: Vec<ObjectName>,
    },
    /// Their names, and what runs them.
    RecordApplications(Vec<(String, String)>, Timestamp),
}

/// Something to write about a run.
#[derive(Debug)]
pub(crate) enum RunChange {
    Ask(Asking),
    Begin(NewRun),
    /// With what is to be told of it.
    Start(RunId, RunStart, Vec<NewNotice>),
    Requeue(RunId, Again),
    /// With what is to be told of it.
    Finish(RunId, RunEnd, Vec<NewNotice>),
    Report(RunId, String),
    ForgetReports(Timestamp),
}

/// The task that writes, and the way to it.
#[derive(Debug)]
pub(crate) struct Writer {
    orders: mpsc::Sender<Order>,
    // Ends the task when the catalog is dropped without having been closed.
    _task: JoinSet<()>,
}

impl Writer {
    /// Starts the task.
    pub(crate) fn start(connection: SqliteConnection) -> Self {
        let (orders, queue) = mpsc::channel(QUEUE_MAX);
        let mut task = JoinSet::new();
        task.spawn(serve(connection, queue));
        Self { orders, _task: task }
    }

    /// Makes a change; answers the number of rows that changed, for a new run its id. `None` when
    /// the writer was closed.
    pub(crate) async fn write(&self, change: Change) -> Option<sqlx::Result<i64>> {
        let (reply, answer) = oneshot::channel();
        let change = Box::new(change);
        self.orders.send(Order::Write { change, reply }).await.ok()?;
        answer.await.ok()
    }

    /// Makes all changes that were handed over and closes the connection.
    pub(crate) async fn close(&self) {
        let (reply, answer) = oneshot::channel();
        if self.orders.send(Order::Close { reply }).await.is_ok() {
            // An error says that another `close` came first.
            let _ = answer.await;
        }
    }
}

enum Order {
    Write { change: Box<Change>, reply: oneshot::Sender<sqlx::Result<i64>> },
    Close { reply: oneshot::Sender<()> },
}

async fn serve(mut connection: SqliteConnection, mut queue: mpsc::Receiver<Order>) {
    while let Some(order) = queue.recv().await {
        match order {
            Order::Write { change, reply } => {
                let outcome = apply(&mut connection, &change).await;
                // A cancelled caller does not wait any more; the change stands all the same.
                let _ = reply.send(outcome);
            }
            Order::Close { reply } => {
                // What was committed is in the log and stays there, whatever closing says.
                let _ = connection.close().await;
                let _ = reply.send(());
                return;
            }
        }
    }
}

async fn apply(connection: &mut SqliteConnection, change: &Change) -> sqlx::Result<i64> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let answer = make(&mut transaction, change).await?;
    transaction.commit().await?;
    Ok(answer)
}

async fn make(transaction: &mut SqliteConnection, change: &Change) -> sqlx::Result<i64> {
    Ok(match change {
        Change::InsertPoints(points) => {
            point::insert_all(&mut *transaction, points).await?.cast_signed()
        }
        Change::ReplacePoints(points, moment) => {
            rebuild::replace(&mut *transaction, points, *moment).await?.cast_signed()
        }
        Change::EndRebuild { repository, gone, annotations } => {
            rebuild::end(&mut *transaction, *repository, gone, annotations).await?.cast_signed()
        }
        Change::ForgetPoints { repository, points } => {
            point::forget(&mut *transaction, *repository, points).await?.cast_signed()
        }
        Change::Remember { repository, objects } => {
            seen::remember(&mut *transaction, *repository, objects).await?.cast_signed()
        }
        Change::ForgetSeen { repository, objects } => {
            seen::forget(&mut *transaction, *repository, objects).await?.cast_signed()
        }
        Change::RecordReadings { repository, packs, read, gone } => {
            let packs = (packs.as_slice(), *read);
            seen::record_readings(&mut *transaction, *repository, packs, gone).await?.cast_signed()
        }
        Change::InsertAnnotations { repository, annotations } => {
            annotation::insert(&mut *transaction, *repository, annotations).await?.cast_signed()
        }
        Change::RecordPin { repository, pin, process } => {
            pin::record(&mut *transaction, *repository, *pin, *process).await?.cast_signed()
        }
        Change::ForgetPin { repository, pin } => {
            pin::forget(&mut *transaction, *repository, *pin).await?.cast_signed()
        }
        Change::Run(change) => make_run(transaction, change).await?,
        Change::Distrust(now) => {
            let revoked = token::revoke(&mut *transaction, None, *now).await?;
            (revoked + request::abandon(&mut *transaction, *now).await?).cast_signed()
        }
        Change::InsertToken(row, digest) => {
            token::insert(&mut *transaction, (row, digest)).await?.cast_signed()
        }
        Change::RevokeToken(name, now) => {
            token::revoke(&mut *transaction, Some(name), *now).await?.cast_signed()
        }
        Change::RecordLooks(looks, now) => {
            job::record(&mut *transaction, (looks, *now)).await?.cast_signed()
        }
        Change::RecordEvents(events, notices) => {
            notice::insert(&mut *transaction, notices).await?;
            event::insert(&mut *transaction, events).await?.cast_signed()
        }
        Change::BeginDeed(deed) => audit::begin(&mut *transaction, deed).await?,
        Change::EndDeed(id, end) => audit::end(&mut *transaction, *id, end).await?.cast_signed(),
        Change::ForgetHistory(before) => forget_history(transaction, *before).await?.cast_signed(),
        Change::Tell(job, trouble, notices) => {
            notice::set_trouble(&mut *transaction, job, *trouble).await?;
            notice::insert(&mut *transaction, notices).await?.cast_signed()
        }
        Change::Told(id, telling, now) => {
            notice::told(&mut *transaction, *id, telling, *now).await?.cast_signed()
        }
        Change::RecordApplications(applications, seen) => {
            application::record(&mut *transaction, applications, *seen).await?.cast_signed()
        }
    })
}

async fn make_run(transaction: &mut SqliteConnection, change: &RunChange) -> sqlx::Result<i64> {
    match change {
        RunChange::Ask(asking) => request::ask(transaction, asking).await,
        RunChange::Begin(new) => run::begin(transaction, new).await,
        RunChange::Start(id, start, notices) => {
            let started = run::start(&mut *transaction, *id, *start).await?;
            told_if(transaction, started, notices).await
        }
        RunChange::Requeue(id, again) => {
            Ok(run::requeue(transaction, *id, *again).await?.cast_signed())
        }
        RunChange::Finish(id, end, notices) => {
            let finished = run::finish(&mut *transaction, *id, end).await?;
            told_if(transaction, finished, notices).await
        }
        RunChange::Report(id, report) => {
            Ok(report::record(transaction, *id, report).await?.cast_signed())
        }
        RunChange::ForgetReports(before) => {
            Ok(report::forget(transaction, *before).await?.cast_signed())
        }
    }
}

// What is to be told of something, where that happened; answers how often it did.
async fn told_if(
    transaction: &mut SqliteConnection,
    happened: u64,
    notices: &[NewNotice],
) -> sqlx::Result<i64> {
    if happened > 0 {
        notice::insert(transaction, notices).await?;
    }
    Ok(happened.cast_signed())
}

async fn forget_history(
    transaction: &mut SqliteConnection,
    before: Timestamp,
) -> sqlx::Result<u64> {
    request::forget_keys(&mut *transaction, before).await?;
    notice::forget(&mut *transaction, before).await?;
    Ok(event::forget(&mut *transaction, before).await?
        + audit::forget(&mut *transaction, before).await?
        + run::forget(transaction, before).await?)
}

/// Callers beyond this many wait for a place; a change takes a few milliseconds.
const QUEUE_MAX: usize = 64;
