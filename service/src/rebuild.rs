//! A catalog that is damaged or lost, made anew: points come from the repositories, and what only this
//! host knew from the catalog's own backups.
//!
//! Whatever ends a rebuild, there is a catalog that can be used afterwards, or the damaged one is still
//! in its place; and the same command goes on. Whoever replaces a catalog has the state directory for
//! himself, as a service has it.

mod error;
mod replace;

use std::path::PathBuf;

use catalog::Condition;
use repository::error::chain;
use repository::location::Location;
use serde::Serialize;

pub use self::error::RebuildError;
pub(crate) use self::replace::cut_off;
use crate::catalog_backups::CatalogBackup;
use crate::engine::{Engine, Settings};
use crate::error::ServiceError;
use crate::instance::Instance;
use crate::key::KeySource;
use crate::machine::Machine;
use crate::secret::SecretError;
pub use crate::synchronise::Learning;

/// What is rebuilt.
#[derive(Clone, Debug)]
pub struct Request {
    /// The machine whose catalog it is.
    pub machine: Machine,
    /// The directory of what can be had again; see [`Settings`].
    pub cache_dir: Option<PathBuf>,
    /// The repositories whose points are read anew, and the keys to them.
    pub repositories: Vec<(Location, Option<KeySource>)>,
}

/// What a rebuild would do.
#[derive(Clone, Debug, Serialize)]
pub struct RebuildPlan {
    /// The file of the catalog.
    pub catalog: PathBuf,
    /// In which condition it is. A sound one stays, and only points are read anew.
    #[serde(flatten)]
    pub condition: Condition,
    /// The backups that another one is taken from, the newest first; the first that is sound is.
    pub backups: Vec<CatalogBackup>,
    /// The repositories whose points are read anew.
    pub repositories: Vec<String>,
}

/// What a rebuild has done.
#[derive(Clone, Debug, Serialize)]
pub struct Rebuilt {
    /// What was found.
    #[serde(flatten)]
    pub condition: Condition,
    /// The backup that is used now.
    pub backup: Option<CatalogBackup>,
    /// Where the damaged one is now.
    pub set_aside: Option<PathBuf>,
    /// What became of each repository.
    pub repositories: Vec<Reread>,
}

/// A repository whose points were read anew.
#[derive(Clone, Debug, Serialize)]
pub struct Reread {
    /// Where it lies.
    pub location: String,
    /// How many points the catalog knows of it now.
    pub points: u64,
    /// How many are damaged; `stillpoint check` names them.
    pub unreadable: u64,
    /// Why nothing was read; the next command that opens the repository reads it.
    pub error: Option<String>,
}

/// Has a machine that nobody watches go on where its catalog is damaged or lost: another one takes its
/// place, and points are read as their repositories are opened.
pub(crate) async fn mend(machine: &Machine, instance: &Instance) -> Result<(), ServiceError> {
    let state = State::of(machine).await?;
    if !state.needs_another() {
        return Ok(());
    }
    let (backup, set_aside) = replace::replace(machine, &state, instance).await?;
    tracing::error!(
        condition = ?state.condition, ?set_aside, backup = ?backup.map(|it| it.path),
        "the catalog could not be used, and another one takes its place"
    );
    Ok(())
}

/// Looks what has to be done; nothing is written but the schema of a catalog of an earlier version.
pub async fn plan(request: &Request) -> Result<RebuildPlan, ServiceError> {
    let State { condition, backups } = State::of(&request.machine).await?;
    let repositories = request.repositories.iter().map(|(it, _)| it.to_string()).collect();
    let catalog = request.machine.catalog_path();
    Ok(RebuildPlan { catalog, condition, backups, repositories })
}

/// Does what has to be done, as [`plan`] has it. A repository that cannot be read does not keep the others
/// from being read.
///
/// # Errors
/// When the catalog has to be replaced while a service or another rebuild is at work.
pub async fn rebuild(request: &Request, learning: &Learning) -> Result<Rebuilt, ServiceError> {
    let machine = &request.machine;
    let mut state = State::of(machine).await?;
    let (mut backup, mut set_aside) = (None, None);
    if state.needs_another() {
        let instance = Instance::take(&machine.state_dir)?;
        // Somebody may have replaced it since.
        state = State::of(machine).await?;
        if state.needs_another() {
            (backup, set_aside) = replace::replace(machine, &state, &instance).await?;
        }
    }
    let mut repositories = Vec::new();
    for (location, key) in &request.repositories {
        let before = learning.unreadable();
        let (points, error) = match reread(request, location, key.clone(), learning).await {
            Ok(points) => (points, None),
            Err(error) => (0, Some(chain(&error))),
        };
        let (location, unreadable) = (location.to_string(), learning.unreadable() - before);
        repositories.push(Reread { location, points, unreadable, error });
    }
    Ok(Rebuilt { condition: state.condition, backup, set_aside, repositories })
}

/// How the catalog stands, and what could take its place.
struct State {
    condition: Condition,
    /// None where it is sound.
    backups: Vec<CatalogBackup>,
}

impl State {
    async fn of(machine: &Machine) -> Result<Self, ServiceError> {
        let _guard = machine.guard_catalog().await?;
        let catalog = machine.catalog_path();
        let condition = match cut_off(&catalog)? {
            Some(reason) => Condition::Damaged { reason },
            None => Condition::of(&catalog).await?,
        };
        let backups = match condition {
            Condition::Sound => Vec::new(),
            Condition::Absent | Condition::Damaged { .. } => machine.catalog_backups()?,
        };
        Ok(Self { condition, backups })
    }

    /// Whether it cannot be used; one that never was is made by the next command.
    fn needs_another(&self) -> bool {
        match self.condition {
            Condition::Sound => false,
            Condition::Absent => !self.backups.is_empty(),
            Condition::Damaged { .. } => true,
        }
    }
}

// Answers how many points the catalog knows then.
async fn reread(
    request: &Request,
    location: &Location,
    key: Option<KeySource>,
    learning: &Learning,
) -> Result<u64, ServiceError> {
    let key = key.ok_or(SecretError::Missing)?;
    let (cache_dir, machine) = (request.cache_dir.clone(), request.machine.clone());
    let settings = Settings::fetch((location.clone(), key), cache_dir, machine).await?;
    let mut engine = Engine::open_unsynchronised(settings).await?;
    let read = async {
        engine.reread(learning).await?;
        Ok(engine.points(None).await?.len() as u64)
    }
    .await;
    engine.close().await;
    read
}
