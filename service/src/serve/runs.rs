//! The runs that wait and go on: from the catalog into the queue, and from there into tasks.

use std::sync::Arc;

use catalog::{Again, CatalogError, RunEnd, RunId, RunOutcome, RunRow, RunStart, Task};
use jiff::{SignedDuration, Timestamp};
use repository::error::chain;
use repository::location::Location;
use scheduler::queue::{Priority, Ticket};
use tokio::task::{Id, JoinError};

use super::{Going, Service, Setup, work};
use crate::attach;
use crate::backup::BackupProgress;
use crate::config::PolicyConfig;
use crate::engine::{is_alive, this_process};
use crate::error::ServiceError;
use crate::thaw::settle_first;

impl Service {
    /// Puts the runs that wait in the catalog into the queue, as many as it takes. Those that a service
    /// has begun which is gone wait again: whether the point was made all the same is found out when
    /// their turn comes.
    pub(super) async fn enqueue(&mut self) -> Result<(), ServiceError> {
        let this = this_process()?;
        for mut run in self.catalog.unfinished_runs().await? {
            if !run.is_for_service() || self.going_on.contains_key(&run.id) {
                continue;
            }
            if let Some(start) = run.start.take() {
                // Where that is us, we could not write down how it ended.
                if start.process != this && is_alive(start.process)? {
                    continue;
                }
                let (id, application) = (run.id, &run.application);
                if run.task == Task::Restore {
                    // What there was before is not known any more.
                    tracing::warn!(run = %id, application, "a restore was cut off");
                    self.end_run(&run, RunOutcome::Abandoned).await?;
                    continue;
                }
                tracing::warn!(run = %id, application, "a run was cut off; it is done again");
                self.catalog.requeue_run(run.id, Again::default()).await?;
            }
            if let Some(known) = self.runs.get_mut(&run.id) {
                // It may stand for more by now.
                *known = run;
                continue;
            }
            if self.queue.add(self.ticket(&run)).is_err() {
                // It waits in the catalog.
                break;
            }
            self.runs.insert(run.id, run);
        }
        Ok(())
    }

    fn ticket(&self, run: &RunRow) -> Ticket<RunId> {
        let location = location(run, &self.setup);
        let is_backup = run.task == Task::Backup;
        // Where the store is for a single writer, a prune cannot work beside backups.
        let alone = run.task == Task::Prune
            && location.as_ref().is_none_or(|location| !self.may_be_shared(location));
        Ticket {
            id: run.id,
            priority: match run.request {
                Some(_) => Priority::Asked,
                None if is_backup => Priority::Scheduled,
                None => Priority::Upkeep,
            },
            is_upkeep: !is_backup && run.task != Task::Restore,
            subject: run.application.clone(),
            repository: location.map(|location| location.to_string()).unwrap_or_default(),
            alone,
        }
    }

    fn may_be_shared(&self, location: &Location) -> bool {
        attach::may_be_shared(&self.setup.machine.state_dir, location)
    }

    /// Begins what may begin at this moment.
    pub(super) async fn begin(&mut self, now: Timestamp) -> Result<(), ServiceError> {
        loop {
            let (runs, setup) = (&self.runs, &self.setup);
            let is_ready = |ticket: &Ticket<RunId>| {
                runs.get(&ticket.id).is_some_and(|run| ready(run, setup, now) == Some(now))
            };
            let Some(ticket) = self.queue.begin(is_ready) else { return Ok(()) };
            let Some(mut run) = self.runs.get(&ticket.id).cloned() else { continue };
            match self.start_run(&run).await {
                Ok(start) => run.start = Some(start),
                Err(error) => {
                    self.queue.end(&run.id);
                    self.runs.remove(&run.id);
                    return Err(error);
                }
            }
            let (id, progress) = (run.id, Arc::new(BackupProgress::default()));
            let work = work::Work {
                setup: Arc::clone(&self.setup),
                latest: self.latest.subscribe(),
                catalog: Arc::clone(&self.catalog),
                run,
                progress: Arc::clone(&progress),
                metrics: Arc::clone(&self.status.metrics),
            };
            let task = self.workers.spawn(work.perform());
            self.going_on.insert(id, Going { task, progress, is_called_off: false });
            self.status.show(&self.going_on);
        }
    }

    /// When the next of those may begin that may not at this moment.
    pub(super) fn next_ready(&self, now: Timestamp) -> Option<Timestamp> {
        let waiting = self.runs.values().filter(|run| !self.going_on.contains_key(&run.id));
        waiting.filter_map(|run| ready(run, &self.setup, now)).filter(|moment| *moment > now).min()
    }

    async fn start_run(&self, run: &RunRow) -> Result<RunStart, ServiceError> {
        let start = self.setup.machine.run_start()?;
        let notices = self.setup.of_beginning(run, start.started);
        self.catalog.start_run_telling(run.id, start, notices).await?;
        Ok(start)
    }

    /// A run's task is over. One that has not said how it ended was cut off, or is our fault.
    pub(super) async fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let (task, error) = match &ended {
            Ok((task, ())) => (*task, None),
            Err(error) => (error.id(), Some(error)),
        };
        let found = self.going_on.iter().find(|(_, going)| going.task.id() == task);
        let Some(run) = found.map(|(run, _)| *run) else { return };
        let is_called_off = self.going_on.remove(&run).is_some_and(|going| going.is_called_off);
        self.status.show(&self.going_on);
        self.queue.end(&run);
        let Some(row) = self.runs.remove(&run) else { return };
        self.to_judge.extend(row.job());
        let recorded = match error {
            // It may have met what may pass, and wait for that.
            None if is_called_off => self.end_run(&row, RunOutcome::Cancelled).await,
            None => Ok(()),
            Some(error) if error.is_cancelled() && is_called_off => {
                self.end_run(&row, RunOutcome::Cancelled).await
            }
            Some(error) if error.is_cancelled() => self.wait_again(&row).await,
            Some(error) => {
                tracing::error!(%run, %error, "a run has failed in a way that it should not");
                let error = "it ended by a mistake of this program; the log says more".to_owned();
                self.end_run(&row, RunOutcome::Failed { error }).await
            }
        };
        if let Err(error) = recorded {
            tracing::error!(%run, "its end cannot be written down: {}", chain(&error));
        }
        if is_called_off {
            // What its hooks began is owed.
            let machine = self.setup.machine.clone();
            self.tidying.spawn(async move { settle_first(&machine).await });
        }
        self.discard_pending();
    }

    /// Has the snapshots go whose runs have ended without storing them.
    pub(super) fn discard_pending(&mut self) {
        let (machine, catalog) = (self.setup.machine.clone(), Arc::clone(&self.catalog));
        self.tidying.spawn(async move { machine.discard_pending(&catalog).await });
    }

    // What we have cut off ourselves is not to blame; or it was at its end already. What somebody asked for
    // counts it all the same, and looks for what it has made; a restore is not begun again by itself.
    async fn wait_again(&self, run: &RunRow) -> Result<(), ServiceError> {
        if run.task == Task::Restore {
            return self.end_run(run, RunOutcome::Abandoned).await;
        }
        let again = Again { is_forgiven: run.request.is_none(), not_before: None };
        match self.catalog.requeue_run(run.id, again).await {
            Ok(()) | Err(CatalogError::NoUnfinishedRun { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes down that a run has ended, without a point; nothing where it had.
    pub(super) async fn end_run(
        &self,
        run: &RunRow,
        outcome: RunOutcome,
    ) -> Result<(), ServiceError> {
        let ended = self.now();
        let notices = self.setup.of_end(run, (&outcome, None), ended);
        let end = RunEnd { ended, outcome: outcome.clone(), point: None };
        match self.catalog.finish_run_telling(run.id, end, notices).await {
            Ok(()) => self.status.metrics.ended(run, &outcome, ended),
            // It was at its end already, and counted.
            Err(CatalogError::NoUnfinishedRun { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// Which repository a run is for.
fn location(run: &RunRow, setup: &Setup) -> Option<Location> {
    let repository = match &run.request {
        Some(request) => setup.repository_at(request.at.as_deref()),
        None => setup.repository(policy_of(run, setup)?),
    };
    Some(repository.ok()?.0)
}

/// The policy that a run is for.
fn policy_of<'a>(run: &RunRow, setup: &'a Setup) -> Option<&'a PolicyConfig> {
    setup.config.policies.get(&run.occasion.as_ref()?.policy)
}

/// From when on a run may begin: not before the moment that it waits for, and not in a blackout. Now,
/// where its policy is gone: then it fails; and where somebody asked for it.
fn ready(run: &RunRow, setup: &Setup, now: Timestamp) -> Option<Timestamp> {
    // Where the clock was set back, nobody waits for what it said.
    let is_near = |moment: &Timestamp| moment.duration_since(now) <= PUT_OFF_MAX;
    let from = run.not_before.filter(is_near).map_or(now, |moment| moment.max(now));
    match policy_of(run, setup) {
        Some(policy) => policy.timing(&setup.here).free(from),
        None => Some(from),
    }
}

/// No run is put off for longer.
const PUT_OFF_MAX: SignedDuration = SignedDuration::from_hours(1);
