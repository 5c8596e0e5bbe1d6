//! Everything that comes before a freeze, in an order that leaves little for it: what takes longest
//! first, and what somebody waits for last.

use std::collections::BTreeSet;
use std::sync::Arc;

use consistency::hooks::{self, Held, Plan};
use consistency::local::Admitted;
use consistency::{Prepared, Request, StillReader};
use format::ids::PointId;
use format::raw::RawPath;
use platform::application::{Application, Volume};
use repository::blocking;

use crate::backup::{BackupProgress, Reading, Stage};
use crate::deadline::Deadline;
use crate::error::ServiceError;
use crate::machine::Machine;

/// An application that can be frozen now.
pub(crate) struct Ready {
    pub(crate) request: Request,
    /// What its snapshots need; absent where it is not frozen.
    pub(crate) prepared: Option<Prepared>,
    /// What is held, and what is owed.
    pub(crate) held: Option<Held>,
    /// Nobody replaces the files meanwhile; absent for whoever is about to.
    pub(crate) admitted: Option<Admitted>,
}

/// An application, and what is to be done with it.
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) freeze: bool,
    pub(crate) hooks: bool,
    pub(crate) deadline: Deadline,
    /// Before a local snapshot is put back: of what is there now.
    pub(crate) former: Option<Former>,
}

/// What is snapshotted before a local snapshot is put back: some volumes, whether they agree or not.
#[derive(Clone)]
pub(crate) struct Former {
    pub(crate) volumes: BTreeSet<RawPath>,
}

impl Target {
    /// An application with the volumes that are meant.
    pub(crate) fn chosen(&self, mut application: Application) -> Application {
        if let Some(Former { volumes }) = &self.former {
            application.volumes.retain(|volume| volumes.contains(&volume.name));
            application.missing.retain(|volume| volumes.contains(&volume.name));
        }
        application
    }
}

impl Machine {
    /// Clones what will be cloned, reads what will be read, runs hooks, does again what changed by
    /// that, and holds what is to be held.
    pub(crate) async fn make_ready(
        &self,
        target: Target,
        run: PointId,
        reading: Option<&Arc<Reading>>,
        progress: &BackupProgress,
    ) -> Result<Ready, ServiceError> {
        let Target { ref name, freeze, hooks, deadline, ref former } = target;
        let (before, _, limit) = self.resolve(name, (freeze, hooks), deadline).await?;
        let before = target.chosen(before);
        let mut prepared = None;
        if freeze {
            let volumes = before.volumes.clone();
            prepared = Some(blocking::run(move || consistency::prepare(&volumes, run)).await?);
        }
        let ahead = reading.filter(|reading| freeze && reading.is_needed());
        if let Some(reading) = ahead {
            progress.enter(Stage::ReadingAhead);
            reading.approach(name, limit).await?;
            prepared = refreshed(prepared).await;
        }
        // As it stands now, for hours may have passed.
        let admitted = if former.is_none() { Some(self.admit(name).await?) } else { None };
        let (application, plan, limit) = self.resolve(name, (freeze, hooks), deadline).await?;
        let application = target.chosen(application);
        if freeze && files(&before.volumes) != files(&application.volumes) {
            return Err(ServiceError::Changed { name: name.clone() });
        }
        let changes = !plan.pre.is_empty();
        let held = self.before(&application, plan, run).await?;
        if changes {
            // A dump that was just made would all be cloned, or read, inside the freeze.
            prepared = refreshed(prepared).await;
            if let Some(reading) = ahead
                && let Err(error) = reading.approach(name, limit).await
            {
                if let Some(held) = held {
                    held.after().await;
                }
                return Err(error);
            }
        }
        // Last, for whoever is held waits.
        let held = match held {
            Some(held) => Some(held.hold(&application.volumes).await?),
            None => None,
        };
        let request = Request {
            application,
            run,
            deadline: limit,
            warden: self.warden.clone(),
            engine_sockets: self.platforms.engine_sockets(),
            reader: reading.map(|reading| Arc::clone(reading) as Arc<dyn StillReader>),
            freeze,
        };
        Ok(Ready { request, prepared, held, admitted })
    }

    // Before anybody is held: a restore may be going on, or was cut off.
    async fn admit(&self, application: &str) -> Result<Admitted, ServiceError> {
        let (records, name) = (self.shelf(), application.to_owned());
        Ok(blocking::run(move || records.admit(&name)).await?)
    }

    async fn before(
        &self,
        application: &Application,
        plan: Plan,
        run: PointId,
    ) -> Result<Option<Held>, ServiceError> {
        if plan.is_empty() {
            return Ok(None);
        }
        let platform = self.platforms.platform(application.platform).await?;
        let owed = self.state_dir.join(hooks::DIRECTORY);
        Ok(Some(hooks::before(platform, application, plan, (&owed, run)).await?))
    }
}

async fn refreshed(prepared: Option<Prepared>) -> Option<Prepared> {
    blocking::run(move || prepared.inspect(Prepared::refresh)).await
}

// What was made ready is of use for no other files.
fn files(volumes: &[Volume]) -> Vec<(&RawPath, &std::path::Path)> {
    volumes.iter().map(|volume| (&volume.name, volume.source.as_path())).collect()
}
