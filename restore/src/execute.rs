//! A cleared plan, carried out.

use std::sync::Arc;

use format::manifest::{Manifest, VolumeRecord};
use format::raw::RawPath;
use repository::blocking;
use repository::chunks::Chunks;
use tokio::runtime::Handle;

use crate::error::RestoreError;
use crate::pipeline;
use crate::plan::{ClearedPlan, PlannedVolume};
use crate::progress::Progress;
use crate::report::RestoreReport;
use crate::site::Site;
use crate::target::Target;
use crate::walk::{Mode, Walker};

/// Restores every volume of the plan.
///
/// What the repository has lost is reported and left out; everything else is restored. What was
/// interrupted goes on when the same is planned once more, in place.
///
/// # Errors
/// [`RestoreError::Forgotten`] when something is missing and the point was forgotten meanwhile.
///
/// # Cancellation
/// A dropped future leaves the threads that write at work until their volume is done.
pub async fn execute(
    plan: ClearedPlan,
    manifest: Manifest,
    chunks: Arc<Chunks>,
    progress: Arc<Progress>,
) -> Result<RestoreReport, RestoreError> {
    let (runtime, point, asked) = (Handle::current(), manifest.point, Arc::clone(&chunks));
    let result = blocking::run(move || {
        let mut report = RestoreReport::default();
        for (planned, stored) in plan.plan().volumes.iter().zip(&manifest.volumes) {
            let sources = (Arc::clone(&chunks), Arc::clone(&progress));
            let volume = restore_volume(&plan, planned, stored, sources, &runtime)?;
            report.add(volume);
        }
        Ok(report)
    })
    .await;
    let is_incomplete = match &result {
        Ok(report) => !report.lost.is_empty(),
        Err(error) => matches!(error, RestoreError::Repository(_)),
    };
    // What it needs may be deleted then, and that is no damage.
    if is_incomplete && asked.is_forgotten(point).await.unwrap_or(false) {
        return Err(RestoreError::Forgotten(point));
    }
    result
}

fn restore_volume(
    plan: &ClearedPlan,
    planned: &PlannedVolume,
    stored: &VolumeRecord,
    (chunks, progress): (Arc<Chunks>, Arc<Progress>),
    runtime: &Handle,
) -> Result<RestoreReport, RestoreError> {
    let plan = plan.plan();
    let failed = |source| {
        let (volume, path) = (planned.name.clone(), RawPath::default());
        RestoreError::Write { volume, path, source }
    };
    let Target { parent, name } =
        Target::make(&plan.target, &planned.destination).map_err(failed)?;
    let synced = parent.try_clone().map_err(failed)?;
    let mode = Mode {
        in_place: plan.in_place.is_some(),
        delete: plan.in_place.is_some_and(|in_place| in_place.delete),
    };
    let site = Site::new(planned.name.clone(), Some(parent), chunks, progress);
    pipeline::run(&site, runtime, |inlet| {
        Walker::new(&site, runtime.clone(), inlet, mode, stored.files).run(&stored.root, name);
    });
    let (report, ended) = site.end();
    ended?;
    // Some filesystems say only then that they are full.
    rustix::fs::syncfs(&synced).map_err(|error| failed(error.into()))?;
    Ok(report)
}
