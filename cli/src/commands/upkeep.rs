//! The verbs that give space back.

use std::sync::Arc;

use service::config::PolicyConfig;
use service::engine::Engine;
use service::error::ServiceError;
use service::policy::in_zone;
use service::prune::{Options, Progress};
use service::upkeep::{ForgetPlan, Look, Upkeep};
use service::{Probe, Task, clock};

use super::Context;
use crate::arguments::{ForgetArguments, PruneArguments};
use crate::exit::Exit;
use crate::progress::Display;
use crate::render;

impl Context {
    pub(super) async fn forget(&self, forget: &ForgetArguments) -> Result<Exit, ServiceError> {
        let settings = match &forget.policy {
            Some(name) if self.arguments.repo.is_none() => {
                self.setup()?.settings(self.policy_called(name)?).await?
            }
            _ => self.settings()?,
        };
        let upkeep = Engine::open_to_maintain(settings).await?;
        let plan = self.plan_forget(&upkeep, forget).await?;
        if forget.dry_run {
            upkeep.close().await;
            return Ok(self.answer(&plan, Exit::Success));
        }
        if self.shows_progress() {
            render::talk(&plan);
        }
        let store = upkeep.store(true).await?;
        upkeep.forget(&plan).await?;
        let (mut pruned, mut warnings) = (None, Vec::new());
        if forget.prune {
            let beside_sessions = store.may_be_shared();
            let options = Options { beside_sessions, ..upkeep.prune_options() };
            pruned = Some(self.prune_now(&upkeep, options, &store).await?);
        } else {
            warnings.extend(store.warning());
        }
        upkeep.close().await;
        Ok(self.answer(&render::Forgotten { plan, pruned, warnings }, Exit::Success))
    }

    async fn plan_forget(
        &self,
        upkeep: &Upkeep,
        forget: &ForgetArguments,
    ) -> Result<ForgetPlan, ServiceError> {
        let (application, now) = (forget.app.as_deref(), clock::now_here());
        if let Some(name) = &forget.policy {
            let policy = self.policy_called(name)?;
            let zone = policy.timing(&now.time_zone().clone().into()).zone.time_zone();
            let now = now.with_time_zone(zone);
            return upkeep.plan_policy((name, policy), application, &now, Look::Somebody).await;
        }
        match forget.keep.rules(forget.keep_at_least) {
            Some(rules) => {
                let now = in_zone(&now, forget.zone.as_deref())?;
                upkeep.plan_retention(&rules, application, &now).await
            }
            None => upkeep.plan_forget(&forget.points, application).await,
        }
    }

    fn policy_called(&self, name: &str) -> Result<&PolicyConfig, ServiceError> {
        let policy = self.config.policies.get(name);
        let policy = policy.ok_or_else(|| ServiceError::UnknownPolicy(name.to_owned()))?;
        let makes_points = policy.task == Task::Backup;
        makes_points.then_some(policy).ok_or_else(|| ServiceError::NoPoints(name.to_owned()))
    }

    pub(super) async fn prune(&self, prune: &PruneArguments) -> Result<Exit, ServiceError> {
        let upkeep = Engine::open_to_maintain(self.settings()?).await?;
        let store = upkeep.store(!prune.dry_run).await?;
        let options = Options {
            max_unused: prune.max_unused,
            stalled_after: prune.stalled_after,
            wait: !prune.no_wait,
            beside_sessions: store.may_be_shared() || prune.sole_writer,
            ..upkeep.prune_options()
        };
        if prune.dry_run {
            let progress: Arc<Progress> = Arc::default();
            let planning = upkeep.plan_prune(options.clone(), Arc::clone(&progress));
            let display = Display::new(self.shows_progress());
            let plan = display.during_prune(planning, &progress).await?.shown().clone();
            upkeep.close().await;
            let warnings = store.warning().into_iter().collect();
            let refused = !options.beside_sessions && !plan.sessions.is_empty();
            let planned = render::Planned { plan, warnings, refused };
            return Ok(self.answer(&planned, Exit::Success));
        }
        for pin in &prune.unpin {
            upkeep.unpin(*pin).await?;
        }
        let pruned = self.prune_now(&upkeep, options, &store).await?;
        upkeep.close().await;
        Ok(self.answer(&pruned, Exit::Success))
    }

    async fn prune_now(
        &self,
        upkeep: &Upkeep,
        options: Options,
        store: &Probe,
    ) -> Result<render::Pruned, ServiceError> {
        upkeep.unpin_abandoned().await?;
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
        Ok(render::Pruned { plan, report, warnings: store.warning().into_iter().collect() })
    }
}
