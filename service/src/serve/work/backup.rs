//! A run that backs an application up, and then has the points go that its policy no longer keeps.

use std::sync::Arc;

use catalog::Happening;
use format::annotation::Note;
use format::ids::PointId;
use format::manifest::Occasion;
use jiff::{SignedDuration, Timestamp};
use repository::error::chain;
use scheduler::retention::Alarm;

use super::{Done, Setup, Work};
use crate::backup::{BackupRequest, Errand, Pending, Subject};
use crate::config::PolicyConfig;
use crate::deadline::Deadline;
use crate::engine::{Engine, FREEZE_DEADLINE};
use crate::error::ServiceError;
use crate::upkeep::Look;

impl Work {
    pub(super) async fn back_up(&self) -> Result<Done, ServiceError> {
        let (occasion, policy) = self.policy(&self.setup)?;
        let engine = Engine::open(self.setup.settings(policy).await?).await?;
        let made = Box::pin(self.make(&engine, (occasion, policy))).await;
        engine.close().await;
        made
    }

    async fn make(
        &self,
        engine: &Engine,
        (occasion, policy): (&Occasion, &PolicyConfig),
    ) -> Result<Done, ServiceError> {
        let application = self.run.application.as_deref().unwrap_or_default();
        // Whoever made one may have died before it could say so; and the run may stand for more since.
        let made = engine.made_for(application, occasion).await?;
        let has = |schedule: &String| {
            let mut occasions = made.iter().filter_map(|row| row.occasion.as_ref());
            occasions.any(|occasion| occasion.schedules.contains(schedule))
        };
        let mut left = occasion.clone();
        left.schedules.retain(|schedule| !has(schedule));
        if let Some(row) = made.first().filter(|_| left.schedules.is_empty()) {
            for tag in policy.tags.iter().filter(|tag| !row.annotations.tags.contains(*tag)) {
                engine.note_if_possible(row.point, Note::Tag { tag: tag.clone() }).await;
            }
            return Ok(Done::point(row.point, row.omissions));
        }
        let errand = Errand::of(&self.run);
        let pending = engine.pending(&errand).await;
        let is_for = |pending: &Pending| {
            pending.occasion().is_some_and(|occasion| occasion.schedules == left.schedules)
        };
        let is_good = |pending: &Pending| self.is_good_enough(pending.taken(), policy);
        let pending = pending.filter(|pending| is_for(pending) && is_good(pending));
        let request = BackupRequest { errand: Some(errand), ..request(application, &left, policy) };
        let report = if let Some(pending) = pending {
            self.admit_attempt()?;
            Box::pin(engine.resume(pending, request, &self.progress)).await?
        } else {
            self.admit(policy, occasion)?;
            Box::pin(engine.make(request, &self.progress)).await?
        };
        self.metrics.backed_up(&report);
        Ok(Done::backed_up(&report))
    }

    // What was taken before more was due does not stand for that.
    fn is_good_enough(&self, taken: Timestamp, policy: &PolicyConfig) -> bool {
        let timing = policy.timing(&self.setup.here);
        let delay = timing.delay(self.run.application.as_deref().unwrap_or_default());
        let from = taken.checked_sub(delay).unwrap_or(taken);
        let is_due = |moment: Timestamp| moment.checked_add(delay).is_ok_and(|it| it <= self.now());
        !timing.slots(from).next().is_some_and(|slot| is_due(slot.at))
    }

    /// Has the points go that the policy no longer keeps, now that there is a new one.
    pub(super) async fn thin_out(&self, point: PointId) {
        if let Err(error) = Box::pin(self.forget()).await {
            let (application, error) = (&self.run.application, chain(&error));
            tracing::error!(application, %point, "points that nothing keeps were not forgotten: {error}");
            self.report(Happening::NotForgotten { error }).await;
        }
    }

    // By the configuration as it is now: it may want more than when the run began.
    async fn forget(&self) -> Result<(), ServiceError> {
        let setup = Arc::clone(&self.latest.borrow());
        let (Occasion { policy: name, .. }, policy) = self.policy(&setup)?;
        let has_counts = policy.schedules.iter().any(|schedule| schedule.keep().is_some());
        if policy.keep.is_empty() && !has_counts {
            return Ok(());
        }
        let upkeep = Engine::open_to_maintain(setup.settings(policy).await?).await?;
        let now = self.now().to_zoned(policy.timing(&setup.here).zone.time_zone());
        let application = self.run.application.as_deref();
        let plan = upkeep.plan_policy((name, policy), application, &now, Look::Nobody).await;
        let forgotten = match &plan {
            Ok(plan) => upkeep.forget(plan).await,
            Err(_) => Ok(()),
        };
        upkeep.close().await;
        let plan = plan?;
        forgotten?;
        for group in &plan.groups {
            if let Some(alarm) = group.alarm {
                self.stop_retention(&setup, (alarm, !group.suspects.is_empty())).await?;
            }
        }
        if !plan.points.is_empty() {
            // A `usize` is never wider than 64 bits.
            let count = plan.points.len() as u64;
            self.report(Happening::Forgotten { count }).await;
        }
        Ok(())
    }

    // Each run finds it so until a person has looked. Whoever wants to know is told when it begins, and once
    // a day from then on.
    async fn stop_retention(
        &self,
        setup: &Setup,
        (alarm, is_new): (Alarm, bool),
    ) -> Result<(), ServiceError> {
        let (application, reason) = (self.run.application.as_deref(), alarm.to_string());
        tracing::warn!(application, "no point of it goes: {reason}");
        let now = self.now();
        let day_ago = now.checked_sub(REMINDER).unwrap_or(now);
        let is_known = match self.run.job() {
            Some(job) => self.catalog.has_told_of_alarm_since(&job, day_ago).await?,
            None => false,
        };
        let told = is_new || !is_known;
        let notices =
            if told { setup.of_stopped_retention(&self.run, alarm, now) } else { Vec::new() };
        self.report_telling(Happening::Alarm { reason, told }, notices).await;
        Ok(())
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

/// After how long it is told again that no point goes.
const REMINDER: SignedDuration = SignedDuration::from_hours(24);
