//! One run: a backup for a policy, and then the points go that it no longer keeps.

use std::sync::Arc;

use catalog::{Catalog, Event, Happening, RunEnd, RunOutcome, RunRow};
use format::ids::PointId;
use format::manifest::Occasion;
use jiff::Timestamp;
use repository::error::chain;

use super::Setup;
use crate::backup::{BackupProgress, BackupReport, BackupRequest, Subject, end_of};
use crate::config::PolicyConfig;
use crate::deadline::Deadline;
use crate::engine::{Engine, FREEZE_DEADLINE};
use crate::error::ServiceError;

/// What a task needs that carries out a run.
pub(super) struct Work {
    pub(super) setup: Arc<Setup>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) run: RunRow,
    pub(super) progress: Arc<BackupProgress>,
}

/// What came of a run.
enum Made {
    /// A point, now.
    Now(Box<BackupReport>),
    /// The point was there: whoever made it died before it could say so.
    Before(PointId),
}

impl Work {
    /// Does it, and writes down how it ended.
    pub(super) async fn perform(self) {
        let made = Box::pin(self.back_up()).await;
        let ended = self.now();
        let end = match made {
            Ok(Made::Now(report)) => end_of(&Ok(*report), ended),
            Ok(Made::Before(point)) => {
                RunEnd { ended, outcome: RunOutcome::Succeeded, point: Some(point) }
            }
            Err(error) => end_of(&Err(error), ended),
        };
        let (run, application) = (self.run.id, &self.run.application);
        if let RunOutcome::Failed { error } = &end.outcome {
            tracing::error!(%run, %application, "a backup failed: {error}");
        } else {
            tracing::info!(%run, %application, point = ?end.point, "a backup was made");
        }
        let is_made = end.point.is_some();
        if let Err(error) = self.catalog.finish_run(run, end).await {
            tracing::error!(%run, "its end cannot be written down: {}", chain(&error));
        }
        if is_made && let Err(error) = Box::pin(self.forget()).await {
            let error = chain(&error);
            tracing::error!(%application, "points that nothing keeps were not forgotten: {error}");
            self.report(Happening::NotForgotten { error }).await;
        }
    }

    async fn back_up(&self) -> Result<Made, ServiceError> {
        let (occasion, policy) = self.policy()?;
        let engine = Engine::open(self.setup.settings(policy)?).await?;
        let application = &self.run.application;
        let made = if let Some(point) = engine.made_for(application, occasion).await? {
            Ok(Made::Before(point))
        } else {
            let request = request(application, occasion, policy);
            let made = Box::pin(engine.make(request, &self.progress)).await;
            made.map(|report| Made::Now(Box::new(report)))
        };
        engine.close().await;
        made
    }

    async fn forget(&self) -> Result<(), ServiceError> {
        let (Occasion { policy: name, .. }, policy) = self.policy()?;
        let has_counts = policy.schedules.iter().any(|schedule| schedule.keep().is_some());
        if policy.keep.is_empty() && !has_counts {
            return Ok(());
        }
        let settings = self.setup.settings(policy)?;
        let upkeep = Engine::open_to_maintain(settings).await?;
        let zone = policy.timing(&self.setup.here).zone.time_zone();
        let now = self.now().to_zoned(zone);
        let plan = upkeep.plan_policy((name, policy), &self.run.application, &now).await;
        let forgotten = match &plan {
            Ok(plan) => upkeep.forget(plan).await,
            Err(_) => Ok(()),
        };
        upkeep.close().await;
        let plan = plan?;
        forgotten?;
        for alarm in plan.groups.iter().filter_map(|group| group.alarm) {
            let (application, reason) = (&self.run.application, alarm.to_string());
            tracing::warn!(%application, "no point of it goes: {reason}");
            self.report(Happening::Alarm { reason }).await;
        }
        if !plan.points.is_empty() {
            // A `usize` is never wider than 64 bits.
            let count = plan.points.len() as u64;
            self.report(Happening::Forgotten { count }).await;
        }
        Ok(())
    }

    fn policy(&self) -> Result<(&Occasion, &PolicyConfig), ServiceError> {
        let occasion = self.run.occasion.as_ref();
        let policies = &self.setup.config.policies;
        let found = occasion.and_then(|it| Some((it, policies.get(&it.policy)?)));
        let name = || occasion.map(|it| it.policy.clone()).unwrap_or_default();
        found.ok_or_else(|| ServiceError::UnknownPolicy(name()))
    }

    async fn report(&self, happening: Happening) {
        let application = Some(self.run.application.clone());
        let policy = self.run.occasion.as_ref().map(|occasion| occasion.policy.clone());
        let event = Event { moment: self.now(), application, policy, happening };
        if let Err(error) = self.catalog.record_event(event).await {
            tracing::error!("this cannot be written down: {}", chain(&error));
        }
    }

    fn now(&self) -> Timestamp {
        self.setup.machine.clock.now()
    }
}

fn request(application: &str, occasion: &Occasion, policy: &PolicyConfig) -> BackupRequest {
    let (name, deadline) = (application.to_owned(), Deadline::at_most(FREEZE_DEADLINE));
    let subject = Subject::Application { name, freeze: true, hooks: true, deadline };
    BackupRequest {
        tags: policy.tags.clone(),
        degrade: policy.degrade,
        keep_local: policy.keep_local,
        occasion: Some(occasion.clone()),
        ..BackupRequest::of(subject)
    }
}
