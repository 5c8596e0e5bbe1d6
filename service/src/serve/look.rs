//! A look at the clock: what is due for each job, written down before it is done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use catalog::{Event, Happening, JobName, Look};
use format::manifest::Occasion;
use jiff::{SignedDuration, Timestamp};
use scheduler::Schedule;
use scheduler::timing::{Due, Missed, Slot};
use tokio::time::Instant;

use super::Service;
use crate::error::ServiceError;

/// Up to when a job was looked after.
#[derive(Clone, Debug)]
pub(super) struct Job {
    handled: Timestamp,
    /// The moments after that for which it has runs: the clock went back.
    done: BTreeSet<Timestamp>,
}

impl Service {
    /// Has everything run that is due; answers when something will be.
    pub(super) async fn look(&mut self) -> Result<Option<Timestamp>, ServiceError> {
        let now = self.now();
        // Where the clock was set back, it may have been so long ago.
        let passed = self.setup.machine.clock.passes(self.looked.elapsed());
        self.looked = Instant::now();
        let names = self.discovery.jobs(&self.setup).await;
        self.meet(&names, (now, passed)).await?;
        let (mut looks, mut next): (Vec<Look>, _) = (Vec::new(), None);
        let waiting: BTreeSet<_> =
            self.queue.waiting().filter_map(|ticket| self.job_of(ticket.id)).collect();
        for (name, job) in &self.jobs {
            let Some(policy) = self.setup.config.policies.get(&name.policy) else { continue };
            let timing = policy.timing(&self.setup.here);
            let delay = timing.delay(&name.application);
            let mut due = timing.due((job.handled, &job.done), now, delay);
            next = next.into_iter().chain(due.next).min();
            let Some(handled) = due.handled else { continue };
            if waiting.contains(name) {
                // It stands for this one, too.
                give_up(&mut due);
            }
            looks.push(decided(name, due, (handled, now)));
        }
        self.catalog.record_looks(looks.clone(), now).await?;
        // Only now: what was not written down is looked at again.
        for Look { job, handled, .. } in looks {
            if let Some(job) = self.jobs.get_mut(&job) {
                job.handled = handled;
                job.done.retain(|moment| *moment > handled);
            }
        }
        Ok(next)
    }

    // Whom nobody has looked after yet is looked after from now on. Whose last look was later than now,
    // because the clock went back, is looked after again from when it did.
    async fn meet(
        &mut self,
        names: &BTreeSet<JobName>,
        (now, passed): (Timestamp, Duration),
    ) -> Result<(), ServiceError> {
        self.jobs.retain(|name, _| names.contains(name));
        let mut looks = Vec::new();
        let known = if names.iter().all(|name| self.jobs.contains_key(name)) {
            BTreeMap::new()
        } else {
            self.catalog.jobs().await?
        };
        for name in names {
            let is_known = self.setup.config.policies.contains_key(&name.policy);
            let before = self.jobs.get(name).map(|job| job.handled);
            let recorded = before.or_else(|| known.get(name).copied());
            let handled = match recorded {
                Some(recorded) if recorded <= now => recorded,
                Some(_) => now.checked_sub(passed).unwrap_or(now),
                None => now,
            };
            if before == Some(handled) {
                continue;
            }
            let done = self.catalog.runs_after(name, handled).await?;
            self.jobs.insert(name.clone(), Job { handled, done });
            let mut events = Vec::new();
            if let Some(from) = recorded.filter(|from| from.duration_since(now) > UNNOTICED) {
                tracing::warn!(%from, to = %now, "the clock went back");
                events.push(event(name, now, Happening::ClockWentBack { from, to: now }));
            }
            if recorded.is_none() && !is_known {
                let JobName { application, policy } = name;
                tracing::warn!(%application, %policy, "a container names a policy that there is not");
                events.push(event(name, now, Happening::UnknownPolicy));
            }
            if recorded != Some(handled) {
                looks.push(Look { job: name.clone(), handled, run: None, events });
            }
        }
        self.catalog.record_looks(looks, now).await?;
        Ok(())
    }

    fn job_of(&self, run: catalog::RunId) -> Option<JobName> {
        let run = self.runs.get(&run)?;
        let policy = run.occasion.as_ref()?.policy.clone();
        Some(JobName { application: run.application.clone(), policy })
    }
}

// The run that would be made is missed like the others.
fn give_up(due: &mut Due) {
    let Some(Slot { at, .. }) = due.run.take() else { return };
    let missed = due.missed.get_or_insert(Missed { first: at, last: at, count: 0 });
    missed.last = at.max(missed.last);
    missed.count += 1;
}

fn decided(name: &JobName, due: Due, (handled, now): (Timestamp, Timestamp)) -> Look {
    let run = due.run.map(|Slot { at, schedules }| Occasion {
        policy: name.policy.clone(),
        due: at,
        schedules: schedules.iter().map(Schedule::name).collect(),
    });
    let missed = due.missed.map(|Missed { first, last, count }| {
        let JobName { application, policy } = name;
        tracing::warn!(%application, %policy, count, %first, %last, "runs were missed");
        event(name, now, Happening::Missed { first, last, count })
    });
    Look { job: name.clone(), handled, run, events: missed.into_iter().collect() }
}

fn event(name: &JobName, moment: Timestamp, happening: Happening) -> Event {
    let JobName { application, policy } = name.clone();
    Event { moment, application: Some(application), policy: Some(policy), happening }
}

/// Clocks are put right by less than this all the time.
const UNNOTICED: SignedDuration = SignedDuration::from_mins(1);
