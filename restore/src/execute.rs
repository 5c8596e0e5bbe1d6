//! A cleared plan, carried out.

use std::sync::Arc;

use format::manifest::Manifest;
use format::raw::RawPath;
use repository::blocking;
use repository::chunks::Chunks;
use tokio::runtime::Handle;

use crate::error::RestoreError;
use crate::plan::ClearedPlan;
use crate::progress::Progress;
use crate::report::RestoreReport;
use crate::target::Target;
use crate::tree::TreeWriter;

/// Restores every volume of the plan.
///
/// What the repository has lost is reported and left out; everything else is restored.
///
/// # Cancellation
/// A dropped future leaves the thread that writes at work until its volume is done.
pub async fn execute(
    plan: ClearedPlan,
    manifest: Manifest,
    chunks: Arc<Chunks>,
    progress: Arc<Progress>,
) -> Result<RestoreReport, RestoreError> {
    let runtime = Handle::current();
    blocking::run(move || {
        let mut report = RestoreReport::default();
        for (planned, stored) in plan.plan().volumes.iter().zip(&manifest.volumes) {
            let target =
                Target::make(&plan.plan().target, &planned.destination).map_err(|source| {
                    let (volume, path) = (planned.name.clone(), RawPath::default());
                    RestoreError::Write { volume, path, source }
                })?;
            let mut writer = TreeWriter {
                volume: planned.name.clone(),
                chunks: &chunks,
                runtime: runtime.clone(),
                target,
                progress: Arc::clone(&progress),
                report: &mut report,
                unread: 0,
            };
            writer.run(&stored.root)?;
            writer.sync()?;
        }
        Ok(report)
    })
    .await
}
