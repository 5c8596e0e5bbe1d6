//! Restoring: choose, plan, carry out.

use std::path::Path;
use std::sync::Arc;

use format::manifest::Manifest;
use repository::blocking;
use repository::chunks::Chunks;
use restore::execute;
use restore::plan::Plan;
use restore::progress::Progress;
use restore::report::RestoreReport;
use tokio::runtime::Handle;

use crate::engine::Engine;
use crate::error::ServiceError;
use crate::pins::Pinning;

impl Engine {
    /// What restoring this point to `target` would do; nothing is written.
    pub async fn plan_restore(
        &self,
        manifest: &Manifest,
        target: &Path,
    ) -> Result<Plan, ServiceError> {
        let (manifest, target) = (manifest.clone(), target.to_owned());
        Ok(blocking::run(move || Plan::make(&manifest, &target)).await?)
    }

    /// What restoring this point to `target` in place would do: what is there and equal stays, what
    /// differs is overwritten, and with `delete` what is not of the point is removed.
    pub async fn plan_restore_in_place(
        &self,
        manifest: &Manifest,
        target: &Path,
        delete: bool,
    ) -> Result<Plan, ServiceError> {
        let chunks = Arc::new(Chunks::load(&self.reader, self.cache.as_deref()).await?);
        let (manifest, target) = (manifest.clone(), target.to_owned());
        let runtime = Handle::current();
        let looking = move || Plan::make_in_place(&manifest, &target, delete, &chunks, &runtime);
        Ok(blocking::run(looking).await?)
    }

    /// Carries out a plan that was made for this point.
    ///
    /// # Cancellation
    /// A dropped future leaves the threads that write at work until their volume is done, and its
    /// pin in the repository until this host restores or prunes there again.
    pub async fn restore(
        &self,
        manifest: Manifest,
        plan: Plan,
        pinning: Pinning,
        progress: Arc<Progress>,
    ) -> Result<RestoreReport, ServiceError> {
        let plan = plan.clear()?;
        let pinned = self.pin(manifest.point, pinning).await?;
        let restored = async {
            let chunks = Arc::new(Chunks::load(&self.reader, self.cache.as_deref()).await?);
            Ok(execute::execute(plan, manifest, chunks, progress).await?)
        }
        .await;
        self.unpin(pinned).await;
        restored
    }
}
