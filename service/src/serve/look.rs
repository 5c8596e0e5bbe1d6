//! A look at the clock: what is due for each job, written down before it is done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use catalog::{Event, Happening, JobName, JobRow, Look, RunRow, Task};
use format::manifest::Occasion;
use jiff::{SignedDuration, Timestamp};
use scheduler::Schedule;
use scheduler::timing::{Due, Missed, Slot, Timing};
use tokio::time::Instant;

use super::Service;
use crate::config::{Config, PolicyConfig};
use crate::error::ServiceError;

/// Up to when a job was looked after, and when its policy ran by then.
#[derive(Clone, Debug)]
pub(super) struct Job {
    handled: Timestamp,
    timing: Timing,
    /// The moments after that for which it has runs: the clock went back.
    done: BTreeSet<Timestamp>,
}

impl Service {
    /// Has everything run that is due at this moment; answers when something will be.
    pub(super) async fn look(&mut self, now: Timestamp) -> Result<Option<Timestamp>, ServiceError> {
        // Where the clock was set back, it may have been so long ago.
        let passed = self.setup.machine.clock.passes(self.looked.elapsed());
        self.looked = Instant::now();
        let names = self.discovery.jobs(&self.setup).await;
        self.status.health.looked(self.discovery.trouble());
        self.catalog.record_applications(self.discovery.sighted(), now).await?;
        self.meet(&names, (now, passed)).await?;
        let waiting = self.waiting().await?;
        let (mut looks, mut next) = (Vec::new(), None);
        for (name, job) in &self.jobs {
            let Some(policy) = policy_of(name, &self.setup.config) else { continue };
            let timing = policy.timing(&self.setup.here);
            let application = name.application.as_deref().unwrap_or_default();
            let (delay, before) = (timing.delay(application), job.timing.delay(application));
            let looked = (job.handled, &job.done);
            let mut due = if timing.begins_like(&job.timing) {
                job.timing.due(looked, now, before)
            } else {
                // Until now it ran as it did.
                let next = timing.due((now, &BTreeSet::new()), now, delay).next;
                Due { handled: Some(now), next, ..job.timing.last_due(looked, now, before) }
            };
            next = next.into_iter().chain(due.next).min();
            let Some(handled) = due.handled else { continue };
            // One that is to be given up, or does something else, stands for nothing.
            let may_stand = |run: &&RunRow| {
                let due = run.occasion.as_ref().map(|occasion| occasion.due);
                run.task == policy.task
                    && due.is_some_and(|due| !timing.is_too_late(due, now, delay))
            };
            let waiting = waiting.get(name).filter(may_stand);
            let joined = waiting.and_then(|run| join(&mut due, run));
            let look = decided(name, due, (handled, now));
            let task = policy.task;
            looks.push((Look { joined, task, timing: written(&timing), ..look }, timing));
        }
        let written_down = looks.iter().map(|(look, _)| look.clone()).collect();
        self.catalog.record_looks(written_down, now).await?;
        // Only now: what was not written down is looked at again.
        for (look, timing) in looks {
            self.count(&look);
            let Look { job, handled, .. } = look;
            if let Some(job) = self.jobs.get_mut(&job) {
                (job.handled, job.timing) = (handled, timing);
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
        self.status.metrics.retain(|name| names.contains(name));
        let setup = Arc::clone(&self.setup);
        let policy = |name: &JobName| policy_of(name, &setup.config);
        let (declared, unknown): (Vec<_>, Vec<_>) =
            names.iter().partition(|name| policy(name).is_some());
        self.report_unknown(unknown, now).await?;
        let known = if declared.iter().all(|name| self.jobs.contains_key(name)) {
            BTreeMap::new()
        } else {
            self.catalog.jobs().await?
        };
        let (mut looks, mut met) = (Vec::new(), Vec::new());
        for name in declared {
            let Some(policy) = policy(name) else { continue };
            let timing = policy.timing(&setup.here);
            let before = self.jobs.get(name).map(|job| (job.handled, job.timing.clone()));
            let is_met = before.is_some();
            let recorded = before.or_else(|| Some(remembered(known.get(name)?, &timing)));
            let from = recorded.as_ref().map(|(handled, _)| *handled);
            let handled = match from {
                Some(from) if from <= now => from,
                Some(_) => now.checked_sub(passed).unwrap_or(now),
                None => now,
            };
            if is_met && from == Some(handled) {
                continue;
            }
            let timing = recorded.map_or(timing, |(_, timing)| timing);
            let done = self.catalog.runs_after(name, handled).await?;
            if from != Some(handled) {
                let events = went_back(name, from, now).into_iter().collect();
                let look = decided(name, Due::default(), (handled, now));
                looks.push(Look { events, task: policy.task, timing: written(&timing), ..look });
            }
            let standing = self.catalog.standing(name).await?;
            self.status.metrics.met(name.clone(), policy.task, standing);
            met.push((name.clone(), Job { handled, timing, done }));
        }
        self.catalog.record_looks(looks.clone(), now).await?;
        for look in &looks {
            self.count(look);
        }
        self.jobs.extend(met);
        Ok(())
    }

    fn count(&self, look: &Look) {
        for event in &look.events {
            self.status.metrics.happened(event);
        }
        if let Some(occasion) = &look.run {
            self.status.metrics.due(&look.job, occasion.due);
        }
    }

    async fn report_unknown(
        &mut self,
        unknown: Vec<&JobName>,
        now: Timestamp,
    ) -> Result<(), ServiceError> {
        for name in unknown {
            if self.unknown.contains(name) {
                continue;
            }
            let JobName { application, policy } = name;
            tracing::warn!(application, %policy, "a container names a policy that there is not");
            self.catalog.record_event(event(name, now, Happening::UnknownPolicy)).await?;
            self.unknown.insert(name.clone());
        }
        Ok(())
    }

    // The runs that have not begun yet, whether there was place for them in the queue or not.
    async fn waiting(&self) -> Result<BTreeMap<JobName, RunRow>, ServiceError> {
        let unfinished = self.catalog.unfinished_runs().await?.into_iter();
        let job = |run: RunRow| run.start.is_none().then_some((run.job()?, run));
        Ok(unfinished.filter_map(job).collect())
    }
}

// A label that names a policy for repositories names none for its application.
fn policy_of<'a>(name: &JobName, config: &'a Config) -> Option<&'a PolicyConfig> {
    let is_fitting =
        |policy: &&PolicyConfig| (policy.task == Task::Backup) == name.application.is_some();
    config.policies.get(&name.policy).filter(is_fitting)
}

// What was written down of a job. Where the times cannot be read, as in a zone without a name, those that
// hold now have held.
fn remembered(row: &JobRow, timing: &Timing) -> (Timestamp, Timing) {
    let before = serde_json::from_str(&row.timing).unwrap_or_else(|_| timing.clone());
    (row.handled, before)
}

fn written(timing: &Timing) -> String {
    serde_json::to_string(timing).unwrap_or_default()
}

fn went_back(name: &JobName, from: Option<Timestamp>, now: Timestamp) -> Option<Event> {
    let from = from.filter(|from| from.duration_since(now) > UNNOTICED)?;
    tracing::warn!(%from, to = %now, "the clock went back");
    Some(event(name, now, Happening::ClockWentBack { from, to: now }))
}

// A run that still waits stands for the one that would be made, which is missed like others.
fn join(due: &mut Due, waiting: &RunRow) -> Option<(catalog::RunId, Vec<String>)> {
    let Slot { schedules, .. } = due.give_up()?;
    let mut joined = waiting.occasion.as_ref()?.schedules.clone();
    for name in schedules.iter().map(Schedule::name) {
        if !joined.contains(&name) {
            joined.push(name);
        }
    }
    Some((waiting.id, joined))
}

fn decided(name: &JobName, due: Due, (handled, now): (Timestamp, Timestamp)) -> Look {
    let run = due.run.map(|Slot { at, schedules }| Occasion {
        policy: name.policy.clone(),
        due: at,
        schedules: schedules.iter().map(Schedule::name).collect(),
    });
    let missed = due.missed.map(|Missed { first, last, count }| {
        let JobName { application, policy } = name;
        tracing::warn!(application, %policy, count, %first, %last, "runs were missed");
        event(name, now, Happening::Missed { first, last, count })
    });
    let (joined, timing, events) = (None, String::new(), missed.into_iter().collect());
    Look { job: name.clone(), task: Task::Backup, handled, timing, run, joined, events }
}

fn event(name: &JobName, moment: Timestamp, happening: Happening) -> Event {
    let JobName { application, policy } = name.clone();
    Event { moment, application, policy: Some(policy), happening }
}

/// Clocks are put right by less than this all the time.
const UNNOTICED: SignedDuration = SignedDuration::from_mins(1);
