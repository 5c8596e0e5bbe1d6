//! An opened repository with its catalog and the platforms of this machine.

use std::path::PathBuf;
use std::sync::Arc;

use catalog::Catalog;
use catalog::{RunEnd, RunOutcome};
use consistency::warden::WardenProgram;
use platform::process::ProcessIdentity;
use repository::check::{self, CheckReport};
use repository::error::RepositoryError;
use repository::location::Location;
use repository::maintainer::Maintainer;
use repository::reader::Reader;
use repository::store::Store;
use repository::unlock::Key;

use crate::clock;
use crate::error::ServiceError;
use crate::platforms::Platforms;
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
    /// The directory of the catalog; it is made when it is missing.
    pub state_dir: PathBuf,
    /// The directory of what can be had again from repositories and volumes, and is quicker to find
    /// here; it may be removed at any time. Absent when nothing is to be kept.
    pub cache_dir: Option<PathBuf>,
    /// Where applications are looked for.
    pub platforms: Platforms,
    /// How to start a warden.
    pub warden: WardenProgram,
}

/// Backs up, restores and answers questions.
pub struct Engine {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) reader: Reader,
    pub(crate) catalog: Catalog,
    pub(crate) platforms: Platforms,
    pub(crate) warden: WardenProgram,
    pub(crate) location: Location,
    pub(crate) state_dir: PathBuf,
    /// The cache, of which each repository has a part under its id.
    pub(crate) cache: Option<PathBuf>,
    pub(crate) host: String,
}

impl Engine {
    /// Unlocks the repository, opens the catalog, and brings it up to date: points that others
    /// wrote are added, and a catalog that was lost is built anew.
    pub async fn open(settings: Settings) -> Result<Self, ServiceError> {
        let store = settings.location.open().map_err(RepositoryError::from)?;
        let readable: Arc<dyn repository::store::ReadStore> = Arc::<dyn Store>::clone(&store);
        let reader = Reader::open(readable, &settings.key).await?;
        Self::with(settings, store, reader).await
    }

    /// The same, with the right to delete.
    pub async fn open_to_maintain(settings: Settings) -> Result<Upkeep, ServiceError> {
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
        let Settings { location, key: _, state_dir, cache_dir: cache, platforms, warden } =
            settings;
        let catalog = Catalog::open(&state_dir.join("catalog.sqlite")).await?;
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let engine =
            Self { store, reader, catalog, platforms, warden, location, state_dir, cache, host };
        engine.close_abandoned_runs().await?;
        engine.synchronise().await?;
        Ok(engine)
    }

    /// Writes down what is pending in the catalog. An engine that is dropped instead loses
    /// nothing that was answered.
    pub async fn close(self) {
        self.catalog.close().await;
    }

    /// Whether everything in the repository can be read; with `read_data` every byte of it is.
    pub async fn check(&self, read_data: bool) -> Result<CheckReport, ServiceError> {
        Ok(check::check(&self.reader, read_data).await?)
    }

    async fn synchronise(&self) -> Result<(), ServiceError> {
        let repository = self.reader.id();
        let known = self.catalog.known_points(repository).await?;
        let present = self.reader.sessions().await?;
        for point in present.iter().filter(|point| !known.contains(point)) {
            match self.reader.point(*point).await {
                Ok(Some(manifest)) => self.catalog.insert_point(repository, &manifest).await?,
                // One that was forgotten meanwhile is as good as gone.
                Ok(None) | Err(RepositoryError::Forgotten(_)) => {}
                Err(error @ RepositoryError::Damaged { .. }) => {
                    // One bad record must not hide all the good ones; `check` reports it.
                    tracing::warn!(%point, error = &error as &dyn std::error::Error, "unreadable restore point");
                }
                Err(error) => return Err(error.into()),
            }
        }
        let gone: Vec<_> = known.iter().filter(|point| !present.contains(point)).copied().collect();
        self.catalog.forget_points(repository, &gone).await?;
        Ok(())
    }

    // A run whose process is gone will never say how it ended.
    async fn close_abandoned_runs(&self) -> Result<(), ServiceError> {
        for run in self.catalog.unfinished_runs().await? {
            let process =
                ProcessIdentity { pid: run.process.pid, start_ticks: run.process.start_ticks };
            let alive = process
                .is_alive()
                .map_err(|source| ServiceError::System { action: "look at processes", source })?;
            if !alive {
                let (ended, outcome) = (clock::now(), RunOutcome::Abandoned);
                self.catalog.finish_run(run.id, RunEnd { ended, outcome, point: None }).await?;
            }
        }
        Ok(())
    }
}
