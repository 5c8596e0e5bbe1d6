//! An opened repository with its catalog and the platforms of this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use catalog::{Catalog, CatalogError, Process, RunEnd, RunOutcome, Seen};
use format::ids::PointId;
use format::names::{Folder, ObjectName};
use platform::process::ProcessIdentity;
use repository::annotate;
use repository::check::Finding;
use repository::error::RepositoryError;
use repository::location::Location;
use repository::maintainer::Maintainer;
use repository::reader::Reader;
use repository::store::Store;
use repository::unlock::Key;

use crate::error::ServiceError;
use crate::evidence;
use crate::machine::Machine;
use crate::thaw::settle_first;
use crate::upkeep::Upkeep;

/// After how long a warden thaws by itself, unless the user says otherwise.
pub use consistency::DEADLINE_DEFAULT as FREEZE_DEADLINE;

/// What an engine is opened with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the repository lies.
    pub location: Location,
    /// What unlocks it.
    pub key: Key,
    /// The directory of what can be had again from repositories and volumes, and is quicker to find
    /// here; it may be removed at any time. Absent when nothing is to be kept.
    pub cache_dir: Option<PathBuf>,
    /// Where applications run; the catalog is in its directory.
    pub machine: Machine,
}

/// Backs up, restores and answers questions.
pub struct Engine {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) reader: Reader,
    pub(crate) catalog: Catalog,
    pub(crate) machine: Machine,
    pub(crate) location: Location,
    /// The cache, of which each repository has a part under its id.
    pub(crate) cache: Option<PathBuf>,
    pub(crate) host: String,
    /// What this host has seen, and is gone or another thing now.
    pub(crate) evidence: Vec<Finding>,
    /// The points among that.
    pub(crate) missing: BTreeSet<PointId>,
}

impl Engine {
    /// Unlocks the repository, opens the catalog, and brings it up to date: points that others
    /// wrote are added, and a catalog that was lost is built anew. When the repository is not as it
    /// was seen before, a warning says so.
    ///
    /// Before anything else, what a backup that died has left frozen is thawed, and the hooks run that
    /// it owes.
    pub async fn open(settings: Settings) -> Result<Self, ServiceError> {
        settle_first(&settings.machine).await;
        let store = settings.location.open().map_err(RepositoryError::from)?;
        let readable: Arc<dyn repository::store::ReadStore> = Arc::<dyn Store>::clone(&store);
        let reader = Reader::open(readable, &settings.key).await?;
        Self::with(settings, store, reader).await
    }

    /// The same, with the right to delete.
    pub async fn open_to_maintain(settings: Settings) -> Result<Upkeep, ServiceError> {
        settle_first(&settings.machine).await;
        let store = settings.location.open_to_maintain().map_err(RepositoryError::from)?;
        let maintainer = Maintainer::open(store, &settings.key).await?;
        let (store, reader) = (maintainer.writable(), maintainer.reader());
        Ok(Upkeep { engine: Self::with(settings, store, reader).await?, maintainer })
    }

    async fn with(
        settings: Settings,
        store: Arc<dyn Store>,
        reader: Reader,
    ) -> Result<Self, ServiceError> {
        let Settings { location, key: _, cache_dir: cache, machine } = settings;
        let catalog = machine.open_catalog().await?;
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let (evidence, missing) = (Vec::new(), BTreeSet::new());
        let mut engine =
            Self { store, reader, catalog, machine, location, cache, host, evidence, missing };
        engine.close_abandoned_runs().await?;
        engine.synchronise().await?;
        Ok(engine)
    }

    /// Writes down what is pending in the catalog. An engine that is dropped instead loses
    /// nothing that was answered.
    pub async fn close(self) {
        self.catalog.close().await;
    }

    async fn synchronise(&mut self) -> Result<(), ServiceError> {
        let repository = self.reader.id();
        let known = self.catalog.known_points(repository).await?;
        let mut seen = self.catalog.seen(repository).await?;
        let found = self.reader.listed(&LOOKED_FOR).await?;
        let found: BTreeMap<_, _> = found.into_iter().map(sight).collect();
        let is_forgotten = |point| found.contains_key(&ObjectName::Forgotten(point));
        let present = found.keys().filter_map(|name| match name {
            ObjectName::Outcome(point) => Some(*point),
            _ => None,
        });
        for point in present.filter(|point| !known.contains(point) && !is_forgotten(*point)) {
            match self.reader.point(point).await {
                Ok(Some(manifest)) => self.catalog.insert_point(repository, &manifest).await?,
                // A session without a point; or one that was forgotten meanwhile.
                Ok(None)
                | Err(RepositoryError::Forgotten(_) | RepositoryError::UnknownPoint(_)) => {}
                Err(error @ RepositoryError::Damaged { .. }) => {
                    // One bad record must not hide all the good ones; `check` reports it.
                    tracing::warn!(%point, error = &error as &dyn std::error::Error, "unreadable restore point");
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.learn_annotations(&found, is_forgotten).await?;
        // Whatever else is known of a point, it was there.
        let gone = known.iter().map(|point| ObjectName::Outcome(*point));
        for name in gone.filter(|name| !found.contains_key(name)) {
            seen.entry(name).or_insert(UNREAD);
        }
        let compared = evidence::compare(&seen, &found, is_looked_for);
        let forgotten: Vec<_> = known.into_iter().filter(|point| is_forgotten(*point)).collect();
        self.catalog.forget_points(repository, &forgotten).await?;
        self.catalog.remember_seen(repository, compared.remember).await?;
        self.catalog.forget_seen(repository, compared.forget).await?;
        self.missing = evidence::missing_points(&compared.findings);
        self.evidence = compared.findings;
        warn_of(&self.evidence);
        Ok(())
    }

    // Adds what was said about points since the last time.
    async fn learn_annotations(
        &self,
        found: &BTreeMap<ObjectName, Seen>,
        is_forgotten: impl Fn(PointId) -> bool,
    ) -> Result<(), ServiceError> {
        let repository = self.reader.id();
        let known = self.catalog.known_annotations(repository).await?;
        let present = found.keys().filter_map(|name| match name {
            ObjectName::Annotation(point, number) => Some((*point, *number)),
            _ => None,
        });
        let is_news = |name: &(PointId, u64)| !known.contains(name) && !is_forgotten(name.0);
        let news = present.filter(is_news).collect();
        let news = annotate::read(&self.reader, news).await?;
        Ok(self.catalog.insert_annotations(repository, news).await?)
    }

    // A run whose process is gone will never say how it ended. What a policy wanted the service does
    // again.
    async fn close_abandoned_runs(&self) -> Result<(), ServiceError> {
        let unfinished = self.catalog.unfinished_runs().await?;
        for run in unfinished.into_iter().filter(|run| run.occasion.is_none()) {
            if let Some(start) = run.start
                && !is_alive(start.process)?
            {
                let (ended, outcome) = (self.machine.clock.now(), RunOutcome::Abandoned);
                let end = RunEnd { ended, outcome, point: None };
                match self.catalog.finish_run(run.id, end).await {
                    // Somebody else has found it, too.
                    Ok(()) | Err(CatalogError::NoUnfinishedRun { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}

/// Whether a process of this host that the catalog remembers is still at work.
pub(crate) fn is_alive(process: Process) -> Result<bool, ServiceError> {
    let Process { pid, start_ticks } = process;
    let alive = ProcessIdentity { pid, start_ticks }.is_alive();
    alive.map_err(|source| ServiceError::System { action: "look at processes", source })
}

/// This process, as the catalog remembers it.
pub(crate) fn this_process() -> Result<Process, ServiceError> {
    let ProcessIdentity { pid, start_ticks } = ProcessIdentity::current()
        .map_err(|source| ServiceError::System { action: "look at processes", source })?;
    Ok(Process { pid, start_ticks })
}

/// A point of which a catalog of an earlier version knows, and no more than that.
const UNREAD: Seen = Seen { size: 0, digest: None };
/// What every command looks at. Outcomes first: who forgets a point says so before a prune removes
/// it, and annotations go before the outcome.
const LOOKED_FOR: [Folder; 4] =
    [Folder::Annotations, Folder::Outcomes, Folder::Forgotten, Folder::Generations];
/// How many warnings a command begins with at the most.
const WARNINGS_MAX: usize = 5;

fn sight((name, size): (ObjectName, u64)) -> (ObjectName, Seen) {
    (name, Seen { size, digest: None })
}

fn is_looked_for(name: ObjectName) -> bool {
    name.folder().is_some_and(|folder| LOOKED_FOR.contains(&folder))
}

fn warn_of(findings: &[Finding]) {
    for finding in findings.iter().take(WARNINGS_MAX) {
        if let Finding::RolledBack { object, reason } = finding {
            tracing::warn!(%object, "the repository went back: {reason}");
        }
    }
    let more = findings.len().saturating_sub(WARNINGS_MAX);
    if more > 0 {
        tracing::warn!(
            more,
            "more of the repository is not as it was; `stillpoint check` names all"
        );
    }
}
