//! The verbs that give space back.

use std::sync::Arc;

use service::engine::Engine;
use service::error::ServiceError;
use service::prune::{Options, Progress};
use service::upkeep::Upkeep;

use super::Context;
use crate::arguments::{ForgetArguments, PruneArguments};
use crate::exit::Exit;
use crate::progress::Display;
use crate::render;

impl Context {
    pub(super) async fn forget(&self, forget: &ForgetArguments) -> Result<Exit, ServiceError> {
        let upkeep = Engine::open_to_maintain(self.settings()?).await?;
        let plan = upkeep.plan_forget(&forget.points, forget.app.as_deref()).await?;
        if forget.dry_run {
            upkeep.close().await;
            return Ok(self.answer(&plan, Exit::Success));
        }
        if self.shows_progress() {
            render::talk(&plan);
        }
        upkeep.forget(&plan).await?;
        let pruned = if forget.prune {
            Some(self.prune_now(&upkeep, upkeep.prune_options()).await?)
        } else {
            None
        };
        upkeep.close().await;
        Ok(self.answer(&render::Forgotten { plan, pruned }, Exit::Success))
    }

    pub(super) async fn prune(&self, prune: &PruneArguments) -> Result<Exit, ServiceError> {
        let upkeep = Engine::open_to_maintain(self.settings()?).await?;
        let options = Options {
            max_unused: prune.max_unused,
            stalled_after: prune.stalled_after,
            wait: !prune.no_wait,
            ..upkeep.prune_options()
        };
        if prune.dry_run {
            let progress: Arc<Progress> = Arc::default();
            let planning = upkeep.plan_prune(options, Arc::clone(&progress));
            let display = Display::new(self.shows_progress());
            let plan = display.during_prune(planning, &progress).await?.shown().clone();
            upkeep.close().await;
            return Ok(self.answer(&plan, Exit::Success));
        }
        for pin in &prune.unpin {
            upkeep.unpin(*pin).await?;
        }
        let pruned = self.prune_now(&upkeep, options).await?;
        upkeep.close().await;
        Ok(self.answer(&pruned, Exit::Success))
    }

    async fn prune_now(
        &self,
        upkeep: &Upkeep,
        options: Options,
    ) -> Result<render::Pruned, ServiceError> {
        let progress: Arc<Progress> = Arc::default();
        let display = Display::new(self.shows_progress());
        let planning = Box::pin(upkeep.plan_prune(options, Arc::clone(&progress)));
        let prune = display.during_prune(planning, &progress).await?;
        let plan = prune.shown().clone();
        if self.shows_progress() {
            render::talk(&plan);
        }
        let executing = Box::pin(prune.execute());
        let report = display.during_prune(executing, &progress).await;
        let report = report.map_err(ServiceError::from)?;
        Ok(render::Pruned { plan, report })
    }
}
