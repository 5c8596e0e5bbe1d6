//! Local snapshots: of an application, on its own filesystems, without a repository.

mod keep;
mod put_back;

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use consistency::local::{Found, Label, LocalSnapshot, LocalVolume, Shelf};
use format::ids::PointId;
use format::manifest::Level;
use format::raw::RawPath;
use jiff::Timestamp;
use platform::application::Application;
use repository::blocking;
use repository::error::chain;
use repository::writer::Writer;
use serde::Serialize;

pub use self::put_back::PutBackReport;
use crate::backup::BackupProgress;
use crate::deadline::Deadline;
use crate::error::ServiceError;
use crate::freeze::{Frozen, Target};
use crate::machine::Machine;
use crate::points::PointName;
use crate::thaw::settle_first;

/// How many snapshots of an application stay unless it is said otherwise.
pub const KEEP_DEFAULT: u32 = 64;

/// What to snapshot, and how many stay.
#[derive(Clone, Debug)]
pub struct SnapshotRequest {
    /// The application.
    pub name: String,
    /// Whether its hooks are run.
    pub hooks: bool,
    /// After how long it runs again, whatever happens.
    pub deadline: Deadline,
    /// How many of its snapshots stay, with this one; the oldest go.
    pub keep: u32,
}

/// A snapshot that was taken.
#[derive(Clone, Debug, Serialize)]
pub struct SnapshotReport {
    /// The snapshot.
    #[serde(flatten)]
    pub snapshot: LocalRow,
    /// Older ones that were removed for it.
    pub removed: Vec<PointId>,
    /// What of them could not be removed; one sentence each.
    pub left: Vec<String>,
}

/// Local snapshots that were removed.
#[derive(Clone, Debug, Default)]
pub struct Removed {
    /// Which.
    pub snapshots: Vec<PointId>,
    /// What could not be removed; one sentence each.
    pub left: Vec<String>,
}

/// A local snapshot, as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct LocalRow {
    /// Its id.
    pub id: PointId,
    /// Of which application.
    pub application: String,
    /// When it was taken.
    pub taken: Timestamp,
    /// What is proven.
    pub level: Level,
    /// What should be known about it; one sentence each.
    pub remarks: Vec<String>,
    /// From the first freeze to the last thaw.
    pub window_micros: Option<u64>,
    /// The volumes.
    pub volumes: Vec<LocalVolumeRow>,
    /// The volumes that cannot be found now; their filesystems may not be mounted.
    pub missing: Vec<RawPath>,
}

/// A volume of a local snapshot, as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct LocalVolumeRow {
    /// Its name.
    pub name: RawPath,
    /// How it was snapshotted.
    pub driver: String,
}

impl From<Found> for LocalRow {
    fn from(found: Found) -> Self {
        let Found { snapshot, missing } = found;
        let volume =
            |volume: LocalVolume| LocalVolumeRow { name: volume.name, driver: volume.driver };
        Self {
            id: snapshot.id,
            application: snapshot.application,
            taken: snapshot.taken,
            level: snapshot.level,
            remarks: snapshot.remarks,
            window_micros: snapshot.evidence.map(|evidence| evidence.window_micros),
            volumes: snapshot.volumes.into_iter().map(volume).collect(),
            missing,
        }
    }
}

impl Machine {
    /// Freezes an application and snapshots its volumes; the snapshot stays where they lie.
    pub async fn snapshot(&self, request: SnapshotRequest) -> Result<SnapshotReport, ServiceError> {
        settle_first(self).await;
        let SnapshotRequest { name, hooks, deadline, keep } = request;
        let target = Target { name: name.clone(), freeze: true, hooks, deadline, former: None };
        let (snapshot, _) = self.take_local(target, Vec::new()).await?;
        let Removed { snapshots: removed, left } = self.thin_out(&name, keep, snapshot.id).await;
        let snapshot = Found { snapshot, missing: Vec::new() }.into();
        Ok(SnapshotReport { snapshot, removed, left })
    }

    /// The local snapshots, of one application or all, the newest first.
    pub async fn local_snapshots(
        &self,
        application: Option<&str>,
    ) -> Result<Vec<LocalRow>, ServiceError> {
        let found = self.found(application).await?;
        Ok(found.into_iter().rev().map(LocalRow::from).collect())
    }

    /// Removes local snapshots, as many as can be.
    ///
    /// # Errors
    /// When none of them can be removed.
    pub async fn remove_local(&self, ids: Vec<PointId>) -> Result<Removed, ServiceError> {
        let mut gone = Removed::default();
        let mut failures = Vec::new();
        for id in ids {
            let records = self.shelf();
            match blocking::run(move || records.remove(id)).await {
                Ok(left) => {
                    gone.snapshots.push(id);
                    gone.left.extend(left);
                }
                Err(error) => failures.push(error),
            }
        }
        gone.left.extend(failures.iter().map(|error| chain(error)));
        match failures.into_iter().next() {
            Some(error) if gone.snapshots.is_empty() => Err(error.into()),
            _ => Ok(gone),
        }
    }

    /// The local snapshot whose id begins like this, or the latest.
    pub async fn find_local(
        &self,
        name: &PointName,
        application: Option<&str>,
    ) -> Result<Found, ServiceError> {
        let mut found = self.found(application).await?;
        let unknown = || ServiceError::UnknownSnapshot(name.to_string());
        match name {
            PointName::Latest => {
                let names = found.iter().map(|found| found.snapshot.application.clone());
                let names: BTreeSet<_> = names.collect();
                if names.len() > 1 {
                    let names = names.into_iter().collect();
                    return Err(ServiceError::WhichApplication { names });
                }
                let latest = found.pop().ok_or_else(unknown)?;
                self.is_latest_clear(&latest.snapshot.application).await?;
                Ok(latest)
            }
            PointName::Prefix(prefix) => {
                found.retain(|found| {
                    !prefix.is_empty() && found.snapshot.id.to_string().starts_with(prefix.as_str())
                });
                let count = found.len();
                let only = found.pop().ok_or_else(unknown)?;
                if count > 1 {
                    let prefix = prefix.clone();
                    return Err(ServiceError::AmbiguousPoint { prefix, count });
                }
                Ok(only)
            }
        }
    }

    // `former` says which volumes are meant, where it is not all of them.
    pub(super) async fn take_local(
        &self,
        target: Target,
        more: Vec<String>,
    ) -> Result<(LocalSnapshot, Application), ServiceError> {
        let (application, ..) =
            self.resolve(&target.name, (true, target.hooks), target.deadline).await?;
        let application = target.chosen(application);
        if let Some(missing) = application.missing.first() {
            let (volume, reason) = (missing.name.to_string(), missing.reason.clone());
            return Err(ServiceError::Gone { volume, reason });
        }
        let run = Writer::unused_point();
        let look = move || consistency::without_snapshot(&application, run);
        let unmade = blocking::run(look).await?;
        if !unmade.is_empty() {
            let volumes = unmade.into_iter().map(|(name, _)| name.to_string()).collect();
            return Err(ServiceError::NotKept { volumes });
        }
        let id = Writer::unused_point();
        let ready = self.make_ready(target, id, None, &BackupProgress::default()).await?;
        let Frozen { application, at, level, mut remarks, snapshot, .. } =
            self.freeze(ready).await?;
        remarks.extend(more);
        self.stay((snapshot, application), id, Label { taken: at, level, remarks }).await
    }

    // The oldest first.
    async fn found(&self, application: Option<&str>) -> Result<Vec<Found>, ServiceError> {
        let records = self.shelf();
        let (mut found, remarks) = blocking::run(move || records.list()).await.map_err(not_read)?;
        for remark in remarks {
            tracing::warn!("{remark}");
        }
        if let Some(name) = application {
            found.retain(|found| found.snapshot.application == name);
        }
        Ok(found)
    }

    pub(crate) fn shelf(&self) -> Shelf {
        Shelf::inside(&self.state_dir)
    }

    /// The directories in which local snapshots lie, and those that wait to be stored.
    pub(crate) fn snapshot_homes(&self) -> Vec<PathBuf> {
        let shelves = [self.shelf(), self.pending_shelf()];
        let found =
            shelves.iter().filter_map(|shelf| shelf.list().ok()).flat_map(|(found, _)| found);
        let homes: BTreeSet<_> =
            found.flat_map(|found| found.snapshot.homes().collect::<Vec<_>>()).collect();
        homes.into_iter().collect()
    }
}

fn not_read(source: io::Error) -> ServiceError {
    ServiceError::System { action: "look for local snapshots", source }
}
