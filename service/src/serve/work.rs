//! One run: a backup for a policy, and then the points go that it no longer keeps.

use std::sync::Arc;

use catalog::{Again, Catalog, Event, Happening, PointRow, RunEnd, RunOutcome, RunRow};
use format::annotation::Note;
use format::manifest::Occasion;
use jiff::{SignedDuration, Timestamp};
use repository::error::chain;
use tokio::sync::watch;

use super::Setup;
use crate::backup::{BackupProgress, BackupReport, BackupRequest, Subject, end_of};
use crate::config::PolicyConfig;
use crate::deadline::Deadline;
use crate::engine::{Engine, FREEZE_DEADLINE};
use crate::error::ServiceError;
use crate::upkeep::Look;

/// What a task needs that carries out a run.
pub(super) struct Work {
    pub(super) setup: Arc<Setup>,
    /// The same, as it is by now.
    pub(super) latest: watch::Receiver<Arc<Setup>>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) run: RunRow,
    pub(super) progress: Arc<BackupProgress>,
}

/// What came of a run.
enum Made {
    /// A point, now.
    Now(Box<BackupReport>),
    /// The point was there: whoever made it died before it could say so.
    Before(Box<PointRow>),
}

impl Work {
    /// Does it, and writes down how it ended; or has it wait, where it met what may pass.
    pub(super) async fn perform(self) {
        let made = Box::pin(self.back_up()).await;
        if let Err(error) = &made
            && let Some(until) = self.put_off(error)
        {
            return self.wait(error, until).await;
        }
        let ended = self.now();
        let end = match made {
            Ok(Made::Now(report)) => end_of(&Ok(*report), ended),
            Ok(Made::Before(row)) => {
                let is_whole = row.omissions == 0;
                let outcome = if is_whole { RunOutcome::Succeeded } else { RunOutcome::Partial };
                RunEnd { ended, outcome, point: Some(row.point) }
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
    ) -> Result<Made, ServiceError> {
        let application = &self.run.application;
        if let Some(row) = engine.made_for(application, occasion).await? {
            for tag in policy.tags.iter().filter(|tag| !row.annotations.tags.contains(*tag)) {
                engine.note_if_possible(row.point, Note::Tag { tag: tag.clone() }).await;
            }
            return Ok(Made::Before(Box::new(row)));
        }
        if self.run.attempts >= ATTEMPTS_MAX {
            return Err(ServiceError::CutOff(self.run.attempts));
        }
        let timing = policy.timing(&self.setup.here);
        if timing.is_too_late(occasion.due, self.now(), timing.delay(application)) {
            return Err(ServiceError::TooLate);
        }
        let request = request(application, occasion, policy);
        let report = Box::pin(engine.make(request, &self.progress)).await?;
        Ok(Made::Now(Box::new(report)))
    }

    /// Until when a run waits that met this; it has failed where there is no such moment.
    fn put_off(&self, error: &ServiceError) -> Option<Timestamp> {
        let tried = usize::try_from(self.run.attempts).ok()?;
        let delay = PUT_OFF.get(tried).filter(|_| error.may_pass())?;
        self.now().checked_add(*delay).ok()
    }

    async fn wait(&self, error: &ServiceError, until: Timestamp) {
        let (run, application, error) = (self.run.id, &self.run.application, chain(error));
        tracing::warn!(%run, %application, %until, "a backup is put off: {error}");
        let again = Again { not_before: Some(until), is_forgiven: false };
        if let Err(error) = self.catalog.requeue_run(run, again).await {
            tracing::error!(%run, "that it waits cannot be written down: {}", chain(&error));
        }
        self.report(Happening::PutOff { error, until }).await;
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
        let application = Some(self.run.application.as_str());
        let plan = upkeep.plan_policy((name, policy), application, &now, Look::Nobody).await;
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

    fn policy<'a>(
        &'a self,
        setup: &'a Setup,
    ) -> Result<(&'a Occasion, &'a PolicyConfig), ServiceError> {
        let occasion = self.run.occasion.as_ref();
        let found = occasion.and_then(|it| Some((it, setup.config.policies.get(&it.policy)?)));
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

/// How long a run waits that met what may pass, the first time, the second and so on.
const PUT_OFF: [SignedDuration; 4] = [
    SignedDuration::from_mins(1),
    SignedDuration::from_mins(5),
    SignedDuration::from_mins(15),
    SignedDuration::from_mins(30),
];
/// A run that kills the service does so again.
const ATTEMPTS_MAX: u32 = 5;
