//! The service: it has policies run by themselves.
//!
//! Everything waits in one place, the loop in this file, and only that changes what the service knows. What
//! is due is decided by `scheduler::timing`, and written down together with the run that it leads to before
//! anything else happens, so that a service which dies has lost no run, and begins none twice. Each run is
//! a task of its own (`serve/work.rs`).

mod discovery;
mod instance;
mod look;
mod notify;
mod recovery;
mod setup;
mod stop;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use catalog::{Catalog, Event, Happening, JobName, RunEnd, RunId, RunOutcome, RunRow};
use jiff::Timestamp;
use repository::error::chain;
use scheduler::queue::{Limits, Priority, Queue, Ticket};
use tokio::sync::mpsc::Receiver;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;

use self::discovery::Discovery;
use self::instance::Instance;
use self::look::Job;
pub use self::setup::Setup;
use crate::backup::BackupProgress;
use crate::engine::this_process;
use crate::error::ServiceError;
use crate::thaw::settle_first;

/// What somebody tells a service.
#[derive(Debug)]
pub enum Order {
    /// Go on with this.
    Reload(Box<Setup>),
    /// What should be gone on with makes no sense; go on as before.
    Keep(Box<ServiceError>),
    /// End: begin nothing more, and let what is being uploaded finish, for so long.
    Stop(Duration),
}

/// Runs policies until it is told to stop. What waits then, or was cut off, the next service goes on with.
///
/// # Errors
/// When another service has the state directory, or the catalog cannot be used.
pub async fn serve(setup: Setup, mut orders: Receiver<Order>) -> Result<(), ServiceError> {
    let _instance = Instance::take(&setup.machine.state_dir)?;
    settle_first(&setup.machine).await;
    let catalog = setup.machine.open_catalog().await?;
    let mut service = Service::new(setup, catalog);
    service.recover().await?;
    service.report(Happening::Started).await?;
    notify::ready();
    let grace = service.go_on(&mut orders).await;
    notify::stopping();
    service.stop(grace).await?;
    service.report(Happening::Stopped).await?;
    service.catalog.close().await;
    Ok(())
}

/// What the loop knows.
struct Service {
    setup: Arc<Setup>,
    catalog: Arc<Catalog>,
    discovery: Discovery,
    jobs: BTreeMap<JobName, Job>,
    /// When somebody looked at the clock.
    looked: Instant,
    queue: Queue<RunId>,
    /// The runs of the queue.
    runs: BTreeMap<RunId, RunRow>,
    workers: JoinSet<()>,
    going_on: BTreeMap<RunId, Going>,
}

/// A run that goes on.
struct Going {
    task: AbortHandle,
    progress: Arc<BackupProgress>,
}

impl Service {
    fn new(setup: Setup, catalog: Catalog) -> Self {
        Self {
            setup: Arc::new(setup),
            catalog: Arc::new(catalog),
            discovery: Discovery::default(),
            jobs: BTreeMap::new(),
            looked: Instant::now(),
            queue: Queue::new(LIMITS),
            runs: BTreeMap::new(),
            workers: JoinSet::new(),
            going_on: BTreeMap::new(),
        }
    }

    /// Until it is told to stop; answers for how long uploads may go on then.
    async fn go_on(&mut self, orders: &mut Receiver<Order>) -> Duration {
        loop {
            let next = match self.turn().await {
                Ok(next) => next,
                Err(error) => {
                    // A disk that is full, perhaps: what is due stays due.
                    tracing::error!("what is due cannot be seen to: {}", chain(&error));
                    None
                }
            };
            notify::alive(self.going_on.len(), self.queue.waiting().len());
            let clock = Arc::clone(&self.setup.machine.clock);
            // Somebody may set the clock, or start a container.
            let pause = next.map_or(LOOK_AGAIN, |next| clock.until(next).min(LOOK_AGAIN));
            tokio::select! {
                () = tokio::time::sleep(pause.min(notify::patience())) => {}
                Some(ended) = self.workers.join_next_with_id() => self.ended(ended).await,
                order = orders.recv() => match order {
                    Some(Order::Reload(setup)) => self.reload(*setup),
                    Some(Order::Keep(error)) => {
                        tracing::error!("the old configuration stays: {}", chain(error.as_ref()));
                    }
                    Some(Order::Stop(grace)) => return grace,
                    None => return Duration::ZERO,
                },
            }
        }
    }

    /// Sees to what is due; answers when something will be.
    async fn turn(&mut self) -> Result<Option<Timestamp>, ServiceError> {
        let next = self.look().await?;
        self.enqueue().await?;
        self.begin().await?;
        Ok(next)
    }

    fn reload(&mut self, setup: Setup) {
        notify::reloading();
        self.setup = Arc::new(setup);
        self.discovery = Discovery::default();
        notify::ready();
        tracing::info!("the configuration was read again");
    }

    /// Puts the runs that wait in the catalog into the queue, as many as it takes.
    async fn enqueue(&mut self) -> Result<(), ServiceError> {
        let this = this_process()?;
        for run in self.catalog.unfinished_runs().await? {
            let Some(occasion) = &run.occasion else { continue };
            if self.runs.contains_key(&run.id) {
                continue;
            }
            if let Some(start) = run.start {
                // We have begun it, and could not write down how it ended.
                if start.process == this {
                    self.catalog.requeue_run(run.id).await?;
                }
                continue;
            }
            let policy = self.setup.config.policies.get(&occasion.policy);
            let repository = policy.and_then(|policy| policy.repositories.first());
            let ticket = Ticket {
                id: run.id,
                priority: Priority::Scheduled,
                subject: run.application.clone(),
                repository: repository.cloned().unwrap_or_default(),
                alone: false,
            };
            if self.queue.add(ticket).is_err() {
                // It waits in the catalog.
                break;
            }
            self.runs.insert(run.id, run);
        }
        Ok(())
    }

    /// Begins what may begin.
    async fn begin(&mut self) -> Result<(), ServiceError> {
        while let Some(ticket) = self.queue.begin() {
            let Some(run) = self.runs.get(&ticket.id).cloned() else { continue };
            if let Err(error) = self.start_run(run.id).await {
                self.queue.end(&run.id);
                self.runs.remove(&run.id);
                return Err(error);
            }
            let (id, progress) = (run.id, Arc::new(BackupProgress::default()));
            let work = work::Work {
                setup: Arc::clone(&self.setup),
                catalog: Arc::clone(&self.catalog),
                run,
                progress: Arc::clone(&progress),
            };
            let task = self.workers.spawn(work.perform());
            self.going_on.insert(id, Going { task, progress });
        }
        Ok(())
    }

    async fn start_run(&self, run: RunId) -> Result<(), ServiceError> {
        Ok(self.catalog.start_run(run, self.setup.machine.run_start()?).await?)
    }

    /// A run's task is over. One that has not said how it ended was cut off, or is our fault.
    async fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let (task, error) = match &ended {
            Ok((task, ())) => (*task, None),
            Err(error) => (error.id(), Some(error)),
        };
        let found = self.going_on.iter().find(|(_, going)| going.task.id() == task);
        let Some(run) = found.map(|(run, _)| *run) else { return };
        self.going_on.remove(&run);
        self.queue.end(&run);
        self.runs.remove(&run);
        let recorded = match error {
            None => Ok(()),
            Some(error) if error.is_cancelled() => {
                self.catalog.requeue_run(run).await.map_err(ServiceError::from)
            }
            Some(error) => {
                tracing::error!(%run, %error, "a run has failed in a way that it should not");
                self.fail(run, "it ended by a mistake of this program; the log says more").await
            }
        };
        if let Err(error) = recorded {
            tracing::error!(%run, "its end cannot be written down: {}", chain(&error));
        }
    }

    async fn fail(&self, run: RunId, error: &str) -> Result<(), ServiceError> {
        let outcome = RunOutcome::Failed { error: error.to_owned() };
        let end = RunEnd { ended: self.now(), outcome, point: None };
        Ok(self.catalog.finish_run(run, end).await?)
    }

    async fn report(&self, happening: Happening) -> Result<(), ServiceError> {
        let (application, policy) = (None, None);
        let event = Event { moment: self.now(), application, policy, happening };
        Ok(self.catalog.record_event(event).await?)
    }

    fn now(&self) -> Timestamp {
        self.setup.machine.clock.now()
    }
}

/// Two backups keep two cores busy, and a thousand applications are more than a host has.
const LIMITS: Limits = Limits { runs: 2, per_repository: 2, waiting: 1000 };

/// How long nobody looks at the clock at the most.
const LOOK_AGAIN: Duration = Duration::from_secs(20);
