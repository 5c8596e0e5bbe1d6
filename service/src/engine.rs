//! An opened repository with its catalog and the platforms of this machine.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use catalog::{Catalog, CatalogError, Process, RunEnd, RunOutcome};
use format::ids::PointId;
use platform::process::ProcessIdentity;
use repository::blocking;
use repository::check::Finding;
use repository::error::RepositoryError;
use repository::location::Location;
use repository::maintainer::Maintainer;
use repository::reader::Reader;
use repository::store::Store;
use repository::unlock::Key;

use crate::error::ServiceError;
use crate::key::KeySource;
use crate::machine::Machine;
use crate::synchronise::Learning;
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

impl Settings {
    /// With the key from this source; a command may be asked for it.
    pub(crate) async fn fetch(
        (location, key): (Location, KeySource),
        cache_dir: Option<PathBuf>,
        machine: Machine,
    ) -> Result<Self, ServiceError> {
        let key = blocking::run(move || key.read()).await?;
        Ok(Self { location, key, cache_dir, machine })
    }
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
        let mut engine = Self::open_unsynchronised(settings).await?;
        engine.synchronise(&Learning::default()).await?;
        Ok(engine)
    }

    /// The same with the catalog as it is.
    pub(crate) async fn open_unsynchronised(settings: Settings) -> Result<Self, ServiceError> {
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
        let mut engine = Self::with(settings, store, reader).await?;
        engine.synchronise(&Learning::default()).await?;
        Ok(Upkeep { engine, maintainer })
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
        let engine =
            Self { store, reader, catalog, machine, location, cache, host, evidence, missing };
        engine.close_abandoned_runs().await?;
        Ok(engine)
    }

    /// Writes down what is pending in the catalog. An engine that is dropped instead loses
    /// nothing that was answered.
    pub async fn close(self) {
        self.catalog.close().await;
    }

    // A run whose process is gone will never say how it ended. What a policy wanted, or somebody asked the
    // service for, that sees to.
    async fn close_abandoned_runs(&self) -> Result<(), ServiceError> {
        let unfinished = self.catalog.unfinished_runs().await?;
        for run in unfinished.into_iter().filter(|run| !run.is_for_service()) {
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
