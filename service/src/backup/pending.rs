//! Snapshots that wait until they are stored, whatever becomes of this process.
//!
//! What a run of the service has snapshotted is put on a shelf of its own before anything of it is stored.
//! Where the upload is cut off, by the network or with the service, the same run goes on from there, and the
//! application is not frozen again. When the run has ended the snapshot goes, however that was.

use std::collections::BTreeSet;

use catalog::{Catalog, RunId, RunRow};
use consistency::GroupSnapshot;
use consistency::local::{Label, LocalError, Shelf};
use format::ids::{PointId, RepositoryId};
use format::manifest::{Manifest, Occasion};
use format::tree::FileTime;
use jiff::Timestamp;
use platform::application::{Application, FileTree};
use repository::blocking;
use repository::error::chain;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use uploader::volume::Stillness;

use super::draft::Draft;
use super::taken::Taken;
use super::{BackupProgress, BackupReport, BackupRequest, Begun};
use crate::engine::Engine;
use crate::error::ServiceError;
use crate::machine::Machine;

/// What a restore point says whose upload was cut off.
const RESUMED: &str = "its upload was cut off, and finished later from the same snapshot";

/// For which run a snapshot waits. A catalog that was made anew has another one of the same number, which
/// did not begin to wait at the same moment.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Errand {
    run: i64,
    queued: Timestamp,
}

impl Errand {
    /// That of a run.
    pub(crate) fn of(run: &RunRow) -> Self {
        Self { run: run.id.number(), queued: run.queued }
    }
}

/// A snapshot that waits.
pub(crate) struct Pending {
    id: PointId,
    begun: FileTime,
    draft: Draft,
}

/// What it waits for, and what it becomes.
#[derive(Deserialize, Serialize)]
struct Purpose<D> {
    version: u32,
    errand: Errand,
    repository: RepositoryId,
    begun: FileTime,
    draft: D,
}

impl Pending {
    /// When it was taken.
    pub(crate) fn taken(&self) -> Timestamp {
        self.draft.at
    }

    /// What it was taken for.
    pub(crate) fn occasion(&self) -> Option<&Occasion> {
        self.draft.occasion.as_ref()
    }

    // What lies in other filesystems is looked at, too: they need not be mounted.
    fn is_whole(&self, records: &Shelf) -> bool {
        let found = records.find(self.id).ok().flatten();
        let is_there = |tree: &FileTree| {
            let mut roots = std::iter::once(&tree.root).chain(tree.grafts.values());
            roots.all(|root| root.symlink_metadata().is_ok())
        };
        found.is_some_and(|found| found.missing.is_empty())
            && self.draft.sources.iter().all(|source| is_there(&source.tree))
    }
}

impl Engine {
    /// What waits for a run, when all of it is there and meant for this repository.
    pub(crate) async fn pending(&self, errand: &Errand) -> Option<Pending> {
        let (records, errand, repository) =
            (self.machine.pending_shelf(), errand.clone(), self.reader.id());
        let find = move || {
            let mut newest: Option<Pending> = None;
            for id in records.purposes().unwrap_or_default() {
                // What cannot be read is made anew.
                let Ok(Some(found)) = records.purpose::<Purpose<Draft>>(id) else { continue };
                let Purpose { version, begun, draft, .. } = found;
                let is_it = version == VERSION
                    && found.errand == errand
                    && found.repository == repository
                    && newest.as_ref().is_none_or(|newest| newest.draft.at < draft.at);
                let pending = Pending { id, begun, draft };
                if is_it && pending.is_whole(&records) {
                    newest = Some(pending);
                }
            }
            newest
        };
        blocking::run(find).await
    }

    /// Stores what waits, and makes the point known. The application is left alone.
    pub(crate) async fn resume(
        &self,
        pending: Pending,
        request: BackupRequest,
        progress: &BackupProgress,
    ) -> Result<BackupReport, ServiceError> {
        let Pending { id, begun, mut draft } = pending;
        tracing::info!(application = draft.application, snapshot = %id, "an upload goes on");
        draft.remarks.push(RESUMED.to_owned());
        let stillness = Stillness::Snapshot(begun);
        let taken = Taken { draft, stillness, snapshot: None, held: None, admitted: None };
        let begun = self.begin_upload(&request, None, (progress, Some(taken.draft.at))).await?;
        let (Begun { upload, how, mut warnings }, read) = (begun, BTreeSet::new());
        let upload = self.store_volumes(upload, &taken, (&how, &read), progress).await?;
        let manifest = self.commit(upload, &taken, progress).await?;
        let kept = request.keep_local.map(|keep| (&manifest, keep));
        warnings.extend(self.machine.keep_or_discard(id, kept).await);
        Ok(self.conclude(&manifest, request.tags, warnings).await)
    }

    /// Has the snapshot wait that an upload begins with; nothing where not all of it could.
    pub(super) async fn put_aside(
        &self,
        taken: &mut Taken,
        id: PointId,
        errand: Errand,
    ) -> Result<Option<PointId>, ServiceError> {
        let Stillness::Snapshot(begun) = taken.stillness else { return Ok(None) };
        let has_volumes = |held: &mut (GroupSnapshot, Application)| !held.1.volumes.is_empty();
        let Some((snapshot, application)) = taken.snapshot.take_if(has_volumes) else {
            return Ok(None);
        };
        let Draft { at, level, ref remarks, .. } = taken.draft;
        let label = Label { taken: at, level, remarks: remarks.clone() };
        let repository = self.reader.id();
        let (version, draft) = (VERSION, &taken.draft);
        let purpose = Purpose { version, errand: errand.clone(), repository, begun, draft };
        let (records, purpose) = (self.machine.pending_shelf(), serde_json::to_value(&purpose));
        let purpose = purpose.map_err(|error| ServiceError::System {
            action: "write down what a snapshot is for",
            source: error.into(),
        })?;
        let keep = move || {
            records.write_purpose(id, &purpose)?;
            records.keep(snapshot, id, &application, label)?;
            // Those that were not good enough are of no use any more.
            for older in records.purposes().unwrap_or_default() {
                let found = records.purpose::<Purpose<IgnoredAny>>(older).ok().flatten();
                if older != id && found.is_some_and(|found| found.errand == errand) {
                    records.remove_with_purpose(older)?;
                }
            }
            Ok::<_, LocalError>(())
        };
        blocking::run(keep).await?;
        Ok(Some(id))
    }
}

impl Machine {
    pub(crate) fn pending_shelf(&self) -> Shelf {
        Shelf::of_pending(&self.state_dir)
    }

    /// A snapshot that is stored now stays, if its point asks for that, or goes; what went wrong is answered,
    /// a sentence each.
    pub(super) async fn keep_or_discard(
        &self,
        id: PointId,
        kept: Option<(&Manifest, u32)>,
    ) -> Vec<String> {
        let (records, pending) = (self.shelf(), self.pending_shelf());
        let Some((manifest, keep)) = kept.filter(|(manifest, _)| manifest.point == id) else {
            let removed = blocking::run(move || pending.remove_with_purpose(id)).await;
            let mut told = removed.unwrap_or_else(|error| vec![chain(&error)]);
            // The directories have another name.
            let why = "no local snapshot stays, for the upload had to begin again";
            told.extend(kept.map(|_| why.to_owned()));
            return told;
        };
        match blocking::run(move || records.take_over(&pending, id)).await {
            Ok(()) => self.thin_out(&manifest.application, keep, id).await.left,
            Err(error) => vec![format!("no local snapshot stays: {}", chain(&error))],
        }
    }

    /// Removes what waits for runs that have ended, or that this catalog does not know.
    pub(crate) async fn discard_pending(&self, catalog: &Catalog) {
        let records = self.pending_shelf();
        let purposes = blocking::run(move || {
            let kept = records.list().map(|(found, _)| found).unwrap_or_default();
            let kept = kept.into_iter().map(|found| found.snapshot.id);
            // One that is for nothing is of somebody who was cut off: what it is for is written first.
            let ids: BTreeSet<_> =
                records.purposes().unwrap_or_default().into_iter().chain(kept).collect();
            let purpose = |id| match records.purpose::<Purpose<IgnoredAny>>(id) {
                Ok(purpose) => Some((id, purpose)),
                Err(error) if error.is_nonsense() => Some((id, None)),
                Err(error) => {
                    tracing::warn!("{}", chain(&error));
                    None
                }
            };
            ids.into_iter().filter_map(purpose).collect()
        });
        let purposes: Vec<(PointId, Option<Purpose<IgnoredAny>>)> = purposes.await;
        for (id, purpose) in purposes {
            if let Some(Purpose { errand, .. }) = purpose {
                match catalog.run(RunId::new(errand.run)).await {
                    Ok(Some(run)) if Errand::of(&run) == errand && run.end.is_none() => continue,
                    Ok(_) => {}
                    Err(_) => continue,
                }
            }
            let records = self.pending_shelf();
            let removed = blocking::run(move || records.remove_with_purpose(id)).await;
            for left in removed.unwrap_or_else(|error| vec![chain(&error)]) {
                tracing::warn!("{left}");
            }
        }
    }
}

/// The layout of what is written down.
const VERSION: u32 = 1;
