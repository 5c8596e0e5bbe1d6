//! This machine: the applications that run on it, and what is needed to freeze them. No repository.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use catalog::{Catalog, RunStart};
use consistency::hooks::Plan;
use consistency::warden::WardenProgram;
use platform::application::Application;
use repository::blocking;
use rustix::fs::{FlockOperation, flock};

use crate::clock::Clock;
use crate::deadline::Deadline;
use crate::engine::this_process;
use crate::error::ServiceError;
use crate::platforms::Platforms;
use crate::rebuild::{self, RebuildError};

/// This machine, as far as applications are concerned.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Where applications are looked for.
    pub platforms: Platforms,
    /// How to start a warden.
    pub warden: WardenProgram,
    /// The directory of our state; it is made when it is missing.
    pub state_dir: PathBuf,
    /// What tells the time of day.
    pub clock: Arc<dyn Clock>,
}

impl Machine {
    /// Where the catalog of this machine is.
    pub(crate) fn catalog_path(&self) -> PathBuf {
        self.state_dir.join("catalog.sqlite")
    }

    /// Opens the catalog of this machine; a new one where there was none before.
    pub(crate) async fn open_catalog(&self) -> Result<Catalog, ServiceError> {
        let (path, guard) = (self.catalog_path(), self.guard_catalog().await?);
        if let Some(reason) = rebuild::cut_off(&path)? {
            return Err(RebuildError::CutOff { path, reason }.into());
        }
        let is_there = std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() > 0);
        if !is_there && let Some(backup) = self.catalog_backups()?.into_iter().next() {
            return Err(RebuildError::Lost { path, backup: backup.path }.into());
        }
        Ok(Catalog::open(&path).await?.guarded_by(guard))
    }

    /// As long as this lives nobody replaces the catalog. Whoever does has it for milliseconds.
    pub(crate) async fn guard_catalog(&self) -> Result<OwnedFd, ServiceError> {
        let state_dir = self.state_dir.clone();
        let guard = blocking::run(move || {
            DirBuilder::new().recursive(true).mode(0o700).create(&state_dir)?;
            let directory = OwnedFd::from(File::open(&state_dir)?);
            flock(&directory, FlockOperation::LockShared)?;
            Ok::<_, io::Error>(directory)
        });
        let failed = |source| ServiceError::System { action: "open the state directory", source };
        guard.await.map_err(failed)
    }

    /// This process begins a run.
    pub(crate) fn run_start(&self) -> Result<RunStart, ServiceError> {
        Ok(RunStart { started: self.clock.now(), process: this_process()? })
    }

    /// An application as it stands, its hooks, and how long it may be frozen.
    pub(crate) async fn resolve(
        &self,
        name: &str,
        (freeze, hooks): (bool, bool),
        deadline: Deadline,
    ) -> Result<(Application, Plan, Duration), ServiceError> {
        let application = self.platforms.application(name).await?;
        if let Some(mistake) = application.mistakes.first() {
            let (name, mistake) = (name.to_owned(), mistake.clone());
            return Err(ServiceError::Mistake { name, mistake });
        }
        if application.volumes.is_empty() {
            return Err(ServiceError::NothingToSave(name.to_owned()));
        }
        let limit = if freeze { deadline.budget(&application)?.limit } else { deadline.maximum };
        let hooks = if hooks { self.platforms.hooks(&application)? } else { Plan::default() };
        let hooks = if freeze { hooks } else { hooks.without_holds() };
        Ok((application, hooks, limit))
    }
}
