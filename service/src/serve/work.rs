//! One run: a task for a policy or for somebody, and what is written down of it.

mod asked;
mod backup;
mod upkeep;

use std::sync::Arc;

use catalog::{Again, Catalog, Event, Happening, NewNotice, RunEnd, RunOutcome, RunRow, Task};
use format::ids::PointId;
use format::manifest::Occasion;
use jiff::{SignedDuration, Timestamp};
use repository::error::chain;
use serde::Serialize;
use tokio::sync::watch;

use super::{Metrics, RunError, Setup};
use crate::backup::{BackupProgress, BackupReport};
use crate::client::Failure;
use crate::config::PolicyConfig;
use crate::error::ServiceError;

/// What a task needs that carries out a run.
pub(super) struct Work {
    pub(super) setup: Arc<Setup>,
    /// The same, as it is by now.
    pub(super) latest: watch::Receiver<Arc<Setup>>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) run: RunRow,
    pub(super) progress: Arc<BackupProgress>,
    pub(super) metrics: Arc<Metrics>,
}

/// What came of a run.
struct Done {
    outcome: RunOutcome,
    point: Option<PointId>,
    /// What there is to say of it, as JSON.
    report: Option<String>,
}

impl Done {
    fn point(point: PointId, omissions: u64) -> Self {
        let outcome = if omissions == 0 { RunOutcome::Succeeded } else { RunOutcome::Partial };
        Self { outcome, point: Some(point), report: None }
    }

    // A `usize` is never wider than 64 bits.
    fn backed_up(report: &BackupReport) -> Self {
        Self::point(report.point, report.omissions.len() as u64).with(report)
    }

    fn succeeded(report: &impl Serialize) -> Self {
        Self { outcome: RunOutcome::Succeeded, point: None, report: None }.with(report)
    }

    fn failed(error: &ServiceError) -> Self {
        let outcome = RunOutcome::Failed { error: chain(error) };
        Self { outcome, point: None, report: None }.with(&Failure::of(error))
    }

    fn with(mut self, report: &impl Serialize) -> Self {
        self.report = serde_json::to_string(report).ok().filter(|text| text.len() <= REPORT_MAX);
        self
    }
}

impl Work {
    /// Does it, and writes down how it ended; or has it wait, where it met what may pass.
    pub(super) async fn perform(self) {
        let done = match &self.run.request {
            Some(request) => Box::pin(self.as_asked(request)).await,
            None => Box::pin(self.as_policy_wants()).await,
        };
        if let Err(error) = &done
            && let Some(until) = self.put_off(error)
        {
            return self.wait(error, until).await;
        }
        let done = done.unwrap_or_else(|error| Done::failed(&error));
        self.end(&done).await;
        if let Some(point) = done.point.filter(|_| self.run.occasion.is_some()) {
            self.thin_out(point).await;
        }
    }

    async fn as_policy_wants(&self) -> Result<Done, ServiceError> {
        if self.run.task == Task::Backup {
            return Box::pin(self.back_up()).await;
        }
        let (occasion, policy) = self.policy(&self.setup)?;
        self.admit(policy, occasion)?;
        let settings = self.setup.settings(policy).await?;
        match self.run.task {
            Task::Prune => Box::pin(self.prune(settings)).await,
            Task::Check => Box::pin(self.check(settings, upkeep::check_of(policy))).await,
            Task::Verify => Box::pin(self.verify(settings)).await,
            // No policy has it.
            Task::Backup | Task::Restore => {
                Err(ServiceError::UnknownPolicy(occasion.policy.clone()))
            }
        }
    }

    async fn end(&self, Done { outcome, point, report }: &Done) {
        let (run, task, application) = (self.run.id, self.run.task.name(), &self.run.application);
        if let RunOutcome::Failed { error } = outcome {
            tracing::error!(%run, task, application, "a run failed: {error}");
        } else {
            tracing::info!(%run, task, application, ?point, "a run has ended");
        }
        if let Some(report) = report
            && let Err(error) = self.catalog.record_report(run, report.clone()).await
        {
            // That it has ended is more important.
            tracing::warn!(%run, "what there is to say of it is lost: {}", chain(&error));
        }
        let ended = self.now();
        let end = RunEnd { ended, outcome: outcome.clone(), point: *point };
        let notices = self.setup.of_end(&self.run, (outcome, *point), ended);
        match self.catalog.finish_run_telling(run, end, notices).await {
            Ok(()) => self.metrics.ended(&self.run, outcome, ended),
            // It is done again, or found to be done.
            Err(error) => {
                tracing::error!(%run, "its end cannot be written down: {}", chain(&error));
            }
        }
    }

    /// Whether it may begin: not where it was cut off again and again, and not too late.
    fn admit(&self, policy: &PolicyConfig, occasion: &Occasion) -> Result<(), ServiceError> {
        self.admit_attempt()?;
        let timing = policy.timing(&self.setup.here);
        let delay = timing.delay(self.run.application.as_deref().unwrap_or_default());
        if timing.is_too_late(occasion.due, self.now(), delay) {
            return Err(RunError::TooLate.into());
        }
        Ok(())
    }

    fn admit_attempt(&self) -> Result<(), ServiceError> {
        match self.run.attempts {
            attempts if attempts >= ATTEMPTS_MAX => Err(RunError::CutOff(attempts).into()),
            _ => Ok(()),
        }
    }

    /// Until when a run waits that met this; it has failed where there is no such moment. Who
    /// asked for it may ask again.
    fn put_off(&self, error: &ServiceError) -> Option<Timestamp> {
        self.run.occasion.as_ref()?;
        let tried = usize::try_from(self.run.attempts).ok()?;
        let delay = PUT_OFF.get(tried).filter(|_| error.may_pass())?;
        self.now().checked_add(*delay).ok()
    }

    async fn wait(&self, error: &ServiceError, until: Timestamp) {
        let (run, error) = (self.run.id, chain(error));
        let (task, application) = (self.run.task.name(), &self.run.application);
        tracing::warn!(%run, task, application, %until, "a run is put off: {error}");
        let again = Again { not_before: Some(until), is_forgiven: false };
        if let Err(error) = self.catalog.requeue_run(run, again).await {
            tracing::error!(%run, "that it waits cannot be written down: {}", chain(&error));
        }
        self.report(Happening::PutOff { error, until }).await;
    }

    fn policy<'a>(
        &'a self,
        setup: &'a Setup,
    ) -> Result<(&'a Occasion, &'a PolicyConfig), ServiceError> {
        let occasion = self.run.occasion.as_ref();
        let found = occasion.and_then(|it| Some((it, setup.config.policies.get(&it.policy)?)));
        let found = found.filter(|(_, policy)| policy.task == self.run.task);
        let name = || occasion.map(|it| it.policy.clone()).unwrap_or_default();
        found.ok_or_else(|| ServiceError::UnknownPolicy(name()))
    }

    async fn report(&self, happening: Happening) {
        self.report_telling(happening, Vec::new()).await;
    }

    /// The same, and has somebody told of it.
    async fn report_telling(&self, happening: Happening, notices: Vec<NewNotice>) {
        let application = self.run.application.clone();
        let policy = self.run.occasion.as_ref().map(|occasion| occasion.policy.clone());
        let event = Event { moment: self.now(), application, policy, happening };
        self.metrics.happened(&event);
        if let Err(error) = self.catalog.record_event_telling(event, notices).await {
            tracing::error!("this cannot be written down: {}", chain(&error));
        }
    }

    fn now(&self) -> Timestamp {
        self.setup.machine.clock.now()
    }
}

/// How long a run waits that met what may pass, the first time, the second and so on.
const PUT_OFF: [SignedDuration; 4] = [
    SignedDuration::from_mins(1),
    SignedDuration::from_mins(5),
    SignedDuration::from_mins(15),
    SignedDuration::from_mins(30),
];
/// What is longer is in the point, or in the log, all the same.
const REPORT_MAX: usize = 256 << 10;
/// A run that kills the service does so again.
const ATTEMPTS_MAX: u32 = 5;
