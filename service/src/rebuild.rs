//! A catalog that is damaged or lost, made anew: points come from the repositories, and what only this
//! host knew from the catalog's own backups.
//!
//! Whatever ends a rebuild, there is a catalog that can be used afterwards, or the damaged one is still
//! in its place; and the same command goes on.

mod error;
mod replace;

use std::path::PathBuf;

use catalog::{Condition, used_by};
use repository::blocking;
use repository::error::chain;
use repository::location::Location;
use serde::Serialize;

pub use self::error::RebuildError;
use crate::catalog_backups::CatalogBackup;
use crate::engine::{Engine, Settings};
use crate::error::ServiceError;
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

impl RebuildPlan {
    /// Whether there never was a catalog here.
    fn is_first(&self) -> bool {
        self.condition == Condition::Absent && self.backups.is_empty()
    }
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
pub(crate) async fn mend(machine: Machine) -> Result<(), ServiceError> {
    let request = Request { machine, cache_dir: None, repositories: Vec::new() };
    let plan = plan(&request).await?;
    if plan.condition == Condition::Sound || plan.is_first() {
        return Ok(());
    }
    let (backup, set_aside) = replace::replace(&request.machine, &plan).await?;
    tracing::error!(
        condition = ?plan.condition, ?set_aside, backup = ?backup.map(|it| it.path),
        "the catalog could not be used, and another one takes its place"
    );
    Ok(())
}

/// Looks what has to be done; nothing is written but the schema of a catalog of an earlier version.
pub async fn plan(request: &Request) -> Result<RebuildPlan, ServiceError> {
    let catalog = request.machine.catalog_path();
    // Before anything opens it here.
    let holder = used_by(&catalog)
        .map_err(|source| ServiceError::System { action: "look at the catalog", source })?;
    let condition = Condition::of(&catalog).await?;
    if let (Some(pid), Condition::Damaged { .. }) = (holder, &condition) {
        return Err(RebuildError::InUse { pid }.into());
    }
    let backups = match condition {
        Condition::Sound => Vec::new(),
        Condition::Absent | Condition::Damaged { .. } => request.machine.catalog_backups()?,
    };
    let repositories = request.repositories.iter().map(|(it, _)| it.to_string()).collect();
    Ok(RebuildPlan { catalog, condition, backups, repositories })
}

/// Does what was planned. A repository that cannot be read does not keep the others from being read.
pub async fn rebuild(
    request: &Request,
    plan: RebuildPlan,
    learning: &Learning,
) -> Result<Rebuilt, ServiceError> {
    let (backup, set_aside) = match plan.condition {
        Condition::Sound => (None, None),
        Condition::Absent | Condition::Damaged { .. } => {
            replace::replace(&request.machine, &plan).await?
        }
    };
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
    Ok(Rebuilt { condition: plan.condition, backup, set_aside, repositories })
}

// Answers how many points the catalog knows then.
async fn reread(
    request: &Request,
    location: &Location,
    key: Option<KeySource>,
    learning: &Learning,
) -> Result<u64, ServiceError> {
    let key = key.ok_or(SecretError::Missing)?;
    // A command may be asked for it.
    let key = blocking::run(move || key.read()).await?;
    let (location, machine) = (location.clone(), request.machine.clone());
    let settings = Settings { location, key, cache_dir: request.cache_dir.clone(), machine };
    let mut engine = Engine::open_unsynchronised(settings).await?;
    let repository = engine.reader.id();
    let read = async {
        engine.catalog.begin_rebuild(repository).await?;
        engine.synchronise(learning).await?;
        engine.catalog.end_rebuild(repository).await?;
        Ok(engine.points(None).await?.len() as u64)
    }
    .await;
    engine.close().await;
    read
}
