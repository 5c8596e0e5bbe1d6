//! The local database of applications, restore points and runs.
//!
//! It is a cache of the repositories (points and what is said about them) and the state of this
//! host (runs, pins, applications seen). Deleting the file loses nothing that is in a repository:
//! [`Catalog::insert_points`] with every manifest brings the points back, and what else there was
//! is in its [backups](Catalog::back_up). Nothing secret is stored,
//! and nothing here reads a clock.

mod annotation;
mod application;
mod audit;
mod backup;
mod column;
mod error;
mod event;
mod filter;
mod inspect;
mod job;
mod notice;
mod occasion;
mod open;
mod page;
mod pin;
mod point;
mod read_through;
mod rebuild;
mod report;
mod request;
mod run;
mod seen;
mod task;
mod token;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use format::ids::{ObjectId, PointId, RepositoryId};
use format::manifest::Manifest;
use format::names::ObjectName;
use jiff::Timestamp;
use sqlx::SqlitePool;

pub use crate::annotation::Numbered;
pub use crate::application::ApplicationRow;
pub use crate::audit::{Deed, DeedEnd, DeedId, DeedRow};
pub use crate::error::CatalogError;
pub use crate::event::{Event, EventId, Happening};
pub use crate::filter::PointFilter;
pub use crate::inspect::{Condition, log};
pub use crate::job::{JobName, JobRow, Look, Standing};
pub use crate::notice::{NewNotice, NoticeRow, Telling, Trouble};
pub use crate::page::{HistoryFilter, PointPageFilter, PointPlace};
pub use crate::point::{PointRow, VolumeRow};
pub use crate::rebuild::Gone;
pub use crate::request::{Asked, Asking, Request, RequestKey, Wanted};
pub use crate::run::{Again, NewRun, Process, RunEnd, RunId, RunOutcome, RunRow, RunStart};
pub use crate::seen::Seen;
pub use crate::task::Task;
pub use crate::token::{ParseRoleError, Role, TokenRow};
use crate::writer::{Change, RunChange, Writer};

/// The local database, open for reading and writing. Other processes may have it open too.
///
/// # Cancellation
/// A write whose future is dropped happens whole or not at all. Writes happen in the order in
/// which they were asked for.
#[derive(Debug)]
pub struct Catalog {
    path: PathBuf,
    readers: SqlitePool,
    writer: Writer,
    /// What others can tell by that it is open.
    #[allow(dead_code, reason = "it is dropped with the rest")]
    guard: Option<OwnedFd>,
}

impl Catalog {
    /// Opens the database at `path`, with the directories (mode 0700) and the file (mode 0600)
    /// made if they are missing, and its schema brought up to date.
    ///
    /// A file that is damaged, newer than this program or something else is left as it is.
    pub async fn open(path: &Path) -> Result<Self, CatalogError> {
        let connection = open::writer(path).await?;
        Ok(Self {
            path: path.to_owned(),
            readers: open::readers(path),
            writer: Writer::start(connection),
            guard: None,
        })
    }

    /// The same, and this stays open as long as it.
    #[must_use]
    pub fn guarded_by(self, guard: OwnedFd) -> Self {
        Self { guard: Some(guard), ..self }
    }

    /// Ends all writes that were asked for and closes the file. Later calls give
    /// [`CatalogError::Closed`].
    ///
    /// A catalog that is dropped instead has lost at most writes that nobody was told of.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Remembers a restore point; one that is known already stays as it is.
    pub async fn insert_point(
        &self,
        repository: RepositoryId,
        manifest: &Manifest,
    ) -> Result<(), CatalogError> {
        self.insert_points(repository, std::slice::from_ref(manifest)).await
    }

    /// Remembers restore points, all or none; one that is known already stays as it is.
    pub async fn insert_points(
        &self,
        repository: RepositoryId,
        manifests: &[Manifest],
    ) -> Result<(), CatalogError> {
        let rows: Vec<_> = manifests.iter().map(|it| PointRow::of(repository, it)).collect();
        self.write("insert restore points", Change::InsertPoints(rows)).await?;
        Ok(())
    }

    /// Drops restore points that the repository no longer has; answers how many were known.
    pub async fn forget_points(
        &self,
        repository: RepositoryId,
        points: &[PointId],
    ) -> Result<u64, CatalogError> {
        let change = Change::ForgetPoints { repository, points: points.to_owned() };
        Ok(self.write("forget restore points", change).await?.cast_unsigned())
    }

    /// Every point of a repository that is known.
    pub async fn known_points(
        &self,
        repository: RepositoryId,
    ) -> Result<BTreeSet<PointId>, CatalogError> {
        let points = point::known(&self.readers, repository).await;
        points.map_err(|source| self.failed("list known restore points", source))
    }

    /// Remembers what is said about restore points. What is known stays as it is; what is about a
    /// point that is not known is passed over.
    pub async fn insert_annotations(
        &self,
        repository: RepositoryId,
        annotations: Vec<Numbered>,
    ) -> Result<(), CatalogError> {
        if !annotations.is_empty() {
            let change = Change::InsertAnnotations { repository, annotations };
            self.write("insert annotations", change).await?;
        }
        Ok(())
    }

    /// The points and numbers of all annotations of a repository that are known.
    pub async fn known_annotations(
        &self,
        repository: RepositoryId,
    ) -> Result<BTreeSet<(PointId, u64)>, CatalogError> {
        let known = annotation::known(&self.readers, repository).await;
        known.map_err(|source| self.failed("list known annotations", source))
    }

    /// Remembers a pin that a process of this host is about to make, until
    /// [`Catalog::forget_pin`].
    pub async fn record_pin(
        &self,
        repository: RepositoryId,
        pin: ObjectId,
        process: Process,
    ) -> Result<(), CatalogError> {
        let change = Change::RecordPin { repository, pin, process };
        self.write("record a pin", change).await?;
        Ok(())
    }

    /// Drops a pin that is no longer in the repository.
    pub async fn forget_pin(
        &self,
        repository: RepositoryId,
        pin: ObjectId,
    ) -> Result<(), CatalogError> {
        self.write("forget a pin", Change::ForgetPin { repository, pin }).await?;
        Ok(())
    }

    /// The pins that processes of this host have made and not taken away.
    pub async fn pins(
        &self,
        repository: RepositoryId,
    ) -> Result<Vec<(ObjectId, Process)>, CatalogError> {
        let pins = pin::list(&self.readers, repository).await;
        pins.map_err(|source| self.failed("list pins", source))
    }

    /// Everything that was [remembered](Catalog::remember_seen) of a repository.
    pub async fn seen(
        &self,
        repository: RepositoryId,
    ) -> Result<BTreeMap<ObjectName, Seen>, CatalogError> {
        let seen = seen::list(&self.readers, repository).await;
        seen.map_err(|source| self.failed("list what was seen", source))
    }

    /// Remembers objects as they were seen. What is known of one stays; a digest may be added.
    pub async fn remember_seen(
        &self,
        repository: RepositoryId,
        objects: Vec<(ObjectName, Seen)>,
    ) -> Result<(), CatalogError> {
        if !objects.is_empty() {
            self.write("remember objects", Change::Remember { repository, objects }).await?;
        }
        Ok(())
    }

    /// Drops what is known of these objects.
    pub async fn forget_seen(
        &self,
        repository: RepositoryId,
        objects: Vec<ObjectName>,
    ) -> Result<(), CatalogError> {
        if !objects.is_empty() {
            self.write("forget objects", Change::ForgetSeen { repository, objects }).await?;
        }
        Ok(())
    }

    /// Remembers that these packs were read at this time and were as they had been written; those
    /// in `gone` are no longer there.
    pub async fn record_readings(
        &self,
        repository: RepositoryId,
        (packs, read): (Vec<ObjectName>, Timestamp),
        gone: Vec<ObjectName>,
    ) -> Result<(), CatalogError> {
        let change = Change::RecordReadings { repository, packs, read, gone };
        self.write("record which packs were read", change).await?;
        Ok(())
    }

    /// When the packs of a repository were last read, those that were.
    pub async fn readings(
        &self,
        repository: RepositoryId,
    ) -> Result<BTreeMap<ObjectName, Timestamp>, CatalogError> {
        let readings = seen::readings(&self.readers, repository).await;
        readings.map_err(|source| self.failed("list which packs were read", source))
    }

    /// The restore points that pass the filter, the newest first.
    pub async fn points(&self, filter: &PointFilter) -> Result<Vec<PointRow>, CatalogError> {
        let points = point::list(&self.readers, filter).await;
        points.map_err(|source| self.failed("list restore points", source))
    }

    /// Records that a run began. It is unfinished until [`Catalog::finish_run`].
    pub async fn begin_run(&self, run: NewRun) -> Result<RunId, CatalogError> {
        self.write("begin a run", Change::Run(RunChange::Begin(run))).await.map(RunId::new)
    }

    /// Records that a run which waits begins now.
    pub async fn start_run(&self, run: RunId, start: RunStart) -> Result<(), CatalogError> {
        self.start_run_telling(run, start, Vec::new()).await
    }

    /// The same, and has somebody told of it: both or nothing.
    pub async fn start_run_telling(
        &self,
        run: RunId,
        start: RunStart,
        notices: Vec<NewNotice>,
    ) -> Result<(), CatalogError> {
        match self.write("start a run", Change::Run(RunChange::Start(run, start, notices))).await? {
            0 => Err(CatalogError::NoUnfinishedRun { run }),
            _ => Ok(()),
        }
    }

    /// Has a run wait again that was begun and did not end.
    pub async fn requeue_run(&self, run: RunId, again: Again) -> Result<(), CatalogError> {
        match self
            .write("have a run wait again", Change::Run(RunChange::Requeue(run, again)))
            .await?
        {
            0 => Err(CatalogError::NoUnfinishedRun { run }),
            _ => Ok(()),
        }
    }

    /// Records at once what was decided at this moment; answers how many runs wait for that.
    pub async fn record_looks(
        &self,
        looks: Vec<Look>,
        now: Timestamp,
    ) -> Result<u64, CatalogError> {
        if looks.is_empty() {
            return Ok(0);
        }
        let change = Change::RecordLooks(looks, now);
        Ok(self.write("record what is due", change).await?.cast_unsigned())
    }

    /// Up to when each job was looked after.
    pub async fn jobs(&self) -> Result<BTreeMap<JobName, JobRow>, CatalogError> {
        let jobs = job::list(&self.readers).await;
        jobs.map_err(|source| self.failed("list jobs", source))
    }

    /// The moments after another for which a job has runs, whatever became of them.
    pub async fn runs_after(
        &self,
        job: &JobName,
        after: Timestamp,
    ) -> Result<BTreeSet<Timestamp>, CatalogError> {
        let runs = job::runs_after(&self.readers, job, after).await;
        runs.map_err(|source| self.failed("list the runs of a job", source))
    }

    /// Why the last run of a job that failed did.
    pub async fn last_error(&self, job: &JobName) -> Result<Option<String>, CatalogError> {
        let error = job::last_error(&self.readers, job).await;
        error.map_err(|source| self.failed("look at the runs of a job", source))
    }

    /// What became of a job so far.
    pub async fn standing(&self, job: &JobName) -> Result<Standing, CatalogError> {
        let standing = job::standing(&self.readers, job).await;
        standing.map_err(|source| self.failed("look at the runs of a job", source))
    }

    /// Records what happened.
    pub async fn record_event(&self, event: Event) -> Result<(), CatalogError> {
        self.record_event_telling(event, Vec::new()).await
    }

    /// The same, and has somebody told of it: both or nothing.
    pub async fn record_event_telling(
        &self,
        event: Event,
        notices: Vec<NewNotice>,
    ) -> Result<(), CatalogError> {
        self.write("record an event", Change::RecordEvents(vec![event], notices)).await?;
        Ok(())
    }

    /// Records that somebody begins something.
    pub async fn begin_deed(&self, deed: Deed) -> Result<DeedId, CatalogError> {
        let moment = deed.moment;
        let number = self.write("record who does something", Change::BeginDeed(deed)).await?;
        Ok(DeedId::new(number, moment))
    }

    /// Records how it ended; it ends once. Answers whether it is known and had not.
    pub async fn end_deed(&self, deed: DeedId, end: DeedEnd) -> Result<bool, CatalogError> {
        let ended = self.write("record how something ended", Change::EndDeed(deed, end)).await?;
        Ok(ended > 0)
    }

    /// What people had done last, the newest first.
    pub async fn deeds(&self, limit: u32) -> Result<Vec<DeedRow>, CatalogError> {
        let deeds = audit::latest(&self.readers, limit).await;
        deeds.map_err(|source| self.failed("list who did what", source))
    }

    /// Drops the runs that ended, the events that happened and what was done before a moment; answers how
    /// many.
    pub async fn forget_history(&self, before: Timestamp) -> Result<u64, CatalogError> {
        let forgotten = self.write("forget history", Change::ForgetHistory(before)).await?;
        Ok(forgotten.cast_unsigned())
    }

    /// The last events, the newest first.
    pub async fn events(&self, limit: u32) -> Result<Vec<Event>, CatalogError> {
        let events = event::latest(&self.readers, limit).await;
        events.map_err(|source| self.failed("list events", source))
    }

    /// Records how a run ended; a run ends once.
    pub async fn finish_run(&self, run: RunId, end: RunEnd) -> Result<(), CatalogError> {
        self.finish_run_telling(run, end, Vec::new()).await
    }

    /// The same, and has somebody told of it: both or nothing.
    pub async fn finish_run_telling(
        &self,
        run: RunId,
        end: RunEnd,
        notices: Vec<NewNotice>,
    ) -> Result<(), CatalogError> {
        match self.write("finish a run", Change::Run(RunChange::Finish(run, end, notices))).await? {
            0 => Err(CatalogError::NoUnfinishedRun { run }),
            _ => Ok(()),
        }
    }

    /// The last runs, the newest first.
    pub async fn runs(&self, limit: u32) -> Result<Vec<RunRow>, CatalogError> {
        let runs = run::latest(&self.readers, limit).await;
        runs.map_err(|source| self.failed("list runs", source))
    }

    /// The runs without an end, the oldest first. Whoever finds that the [`Process`] of one is
    /// gone ends it with [`RunOutcome::Abandoned`], or has it wait again where a policy wanted it.
    pub async fn unfinished_runs(&self) -> Result<Vec<RunRow>, CatalogError> {
        let runs = run::unfinished(&self.readers).await;
        runs.map_err(|source| self.failed("list unfinished runs", source))
    }

    /// Remembers that applications were there at this moment: their names, and what runs them.
    pub async fn record_applications(
        &self,
        applications: Vec<(String, String)>,
        seen: Timestamp,
    ) -> Result<(), CatalogError> {
        if !applications.is_empty() {
            let change = Change::RecordApplications(applications, seen);
            self.write("record applications", change).await?;
        }
        Ok(())
    }

    /// Every application that was recorded or has a restore point, in the order of their names.
    pub async fn applications(&self) -> Result<Vec<ApplicationRow>, CatalogError> {
        let applications = application::list(&self.readers).await;
        applications.map_err(|source| self.failed("list applications", source))
    }

    async fn write(&self, action: &'static str, change: Change) -> Result<i64, CatalogError> {
        match self.writer.write(change).await {
            Some(outcome) => outcome.map_err(|source| self.failed(action, source)),
            None => Err(CatalogError::Closed { path: self.path.clone() }),
        }
    }

    fn failed(&self, action: &'static str, source: sqlx::Error) -> CatalogError {
        CatalogError::of(&self.path, action, source)
    }
}
