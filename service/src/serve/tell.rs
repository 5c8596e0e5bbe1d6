//! Who is told of what, without having asked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use catalog::{JobName, NewNotice, RunOutcome, RunRow};
use format::ids::PointId;
use jiff::Timestamp;
use repository::error::chain;
use scheduler::retention::Alarm;
use tokio::time::Instant;

use super::{Service, Setup};
use crate::error::ServiceError;
use crate::notices::{Notice, Occurrence, host, judge, post_due};

impl Service {
    /// Looks whether anything is in trouble, or no longer, and tells what is to be told.
    pub(super) async fn tell(&mut self) -> Result<(), ServiceError> {
        let ended = std::mem::take(&mut self.to_judge);
        if !self.setup.config.notifications.is_empty() {
            let is_time = self.judged.is_none_or(|when| when.elapsed() > JUDGE_AGAIN);
            let jobs = if is_time { self.jobs.keys().cloned().collect() } else { ended };
            self.judge(&jobs).await?;
            if is_time {
                self.judged = Some(Instant::now());
            }
        }
        while self.posting.try_join_next().is_some() {}
        if self.posting.is_empty() {
            let (setup, catalog) = (Arc::clone(&self.setup), Arc::clone(&self.catalog));
            self.posting.spawn(async move {
                let channels = &setup.config.notifications;
                let clock = setup.machine.clock.as_ref();
                if let Err(error) = post_due(channels, &catalog, clock).await {
                    tracing::error!("what is to be told cannot be looked up: {}", chain(&error));
                }
            });
        }
        Ok(())
    }

    async fn judge(&self, jobs: &BTreeSet<JobName>) -> Result<(), ServiceError> {
        if jobs.is_empty() {
            return Ok(());
        }
        let (now, known) = (self.now(), self.catalog.troubles().await?);
        for job in jobs {
            let Some(policy) = self.setup.config.policies.get(&job.policy) else { continue };
            let standing = self.catalog.standing(job).await?;
            let judged = judge(standing, known.get(job).copied(), policy.stale_after, now);
            let Some((kind, trouble)) = judged else { continue };
            let mut notice = Notice::of((kind, policy.task), job, &host(), now);
            (notice.succeeded, notice.unmet) = (standing.succeeded, standing.unmet);
            if kind == Occurrence::Failure {
                notice.error = self.catalog.last_error(job).await?;
            }
            let notices = self.setup.notices(&notice);
            self.catalog.tell(job.clone(), trouble, notices).await?;
        }
        Ok(())
    }
}

impl Setup {
    /// What whoever wants to know is told of a run that begins.
    pub(super) fn of_beginning(&self, run: &RunRow, now: Timestamp) -> Vec<NewNotice> {
        let Some(job) = run.job() else { return Vec::new() };
        let kind = (Occurrence::RunStarted, run.task);
        self.notices(&Notice::of(kind, &job, &host(), now))
    }

    /// What whoever wants to know is told of a run that has ended.
    pub(super) fn of_end(
        &self,
        run: &RunRow,
        ended: (&RunOutcome, Option<PointId>),
        now: Timestamp,
    ) -> Vec<NewNotice> {
        let notice = Notice::of_run(run, ended, &host(), now);
        notice.map(|notice| self.notices(&notice)).unwrap_or_default()
    }

    /// What whoever wants to know is told where no point goes any more.
    pub(super) fn of_stopped_retention(
        &self,
        run: &RunRow,
        alarm: Alarm,
        now: Timestamp,
    ) -> Vec<NewNotice> {
        let Some(job) = run.job() else { return Vec::new() };
        let kind = (Occurrence::RetentionStopped, run.task);
        let notice = Notice::of(kind, &job, &host(), now);
        self.notices(&Notice { error: Some(format!("{alarm}; {}", alarm.remedy())), ..notice })
    }

    fn notices(&self, notice: &Notice) -> Vec<NewNotice> {
        let channels = self.config.notifications.iter();
        let wanted = channels.filter(|(_, it)| it.wants(notice.kind, &notice.policy));
        wanted.map(|(name, _)| notice.to(name)).collect()
    }
}

/// How often all policies are looked at; one whose run ends is at once.
const JUDGE_AGAIN: Duration = Duration::from_secs(30);
