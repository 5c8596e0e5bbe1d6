//! The service: it has policies run by themselves.
//!
//! Everything waits in one place, the loop in this file, and only that changes what the service knows. What
//! is due is decided by `scheduler::timing`, and written down together with the run that it leads to before
//! anything else happens, so that a service which dies has lost no run, and begins none twice. Each run is
//! a task of its own (`serve/work.rs`).

mod call_off;
mod discovery;
mod error;
mod http;
mod look;
mod metrics;
mod notify;
mod runs;
mod setup;
mod stop;
mod tell;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use catalog::{Catalog, Event, Happening, JobName, RunId, RunRow};
use jiff::{SignedDuration, Timestamp};
use repository::error::chain;
use scheduler::queue::{Limits, Queue};
use scheduler::timing::LOOK_BACK;
use tokio::sync::mpsc::{self, Receiver};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use self::discovery::Discovery;
pub use self::error::RunError;
pub use self::http::HttpError;
use self::http::{Server, Status};
use self::look::Job;
use self::metrics::Metrics;
pub use self::setup::Setup;
use crate::api::Ask;
use crate::backup::BackupProgress;
use crate::client;
use crate::config::{Config, ServiceConfig};
use crate::error::ServiceError;
use crate::instance::Instance;
use crate::rebuild;
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
/// When a policy has no repository or no key, another service has the state directory, or the catalog
/// cannot be used.
pub async fn serve(setup: Setup, mut orders: Receiver<Order>) -> Result<(), ServiceError> {
    setup.check()?;
    let instance = Instance::take(&setup.machine.state_dir)?;
    settle_first(&setup.machine).await;
    rebuild::mend(&setup.machine, &instance).await?;
    let catalog = setup.machine.open_catalog().await?;
    let mut service = Service::start(setup, catalog, instance).await?;
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
    instance: Instance,
    setup: Arc<Setup>,
    /// The same, for runs that go on when it becomes another.
    latest: watch::Sender<Arc<Setup>>,
    catalog: Arc<Catalog>,
    discovery: Discovery,
    jobs: BTreeMap<JobName, Job>,
    /// The jobs with policies that there are not, which was reported.
    unknown: BTreeSet<JobName>,
    /// When somebody looked at the clock.
    looked: Instant,
    queue: Queue<RunId>,
    /// The runs of the queue.
    runs: BTreeMap<RunId, RunRow>,
    workers: JoinSet<()>,
    /// What is told to whoever asks.
    status: Arc<Status>,
    server: Server,
    /// What comes in over the API.
    asks: Receiver<Ask>,
    /// When history was last forgotten and backed up.
    tidied: Option<Instant>,
    tidying: JoinSet<()>,
    /// When it was last looked whether anything is in trouble.
    judged: Option<Instant>,
    /// The jobs whose runs have ended since.
    to_judge: BTreeSet<JobName>,
    /// What tells people of it.
    posting: JoinSet<()>,
    going_on: BTreeMap<RunId, Going>,
}

/// A run that goes on.
struct Going {
    task: AbortHandle,
    progress: Arc<BackupProgress>,
    /// Whether somebody wants it to end early.
    is_called_off: bool,
}

impl Service {
    async fn start(
        setup: Setup,
        catalog: Catalog,
        mut instance: Instance,
    ) -> Result<Self, ServiceError> {
        let now = setup.machine.clock.now();
        let (jobs, known) = (catalog.jobs().await?, catalog.applications().await?);
        let discovery = Discovery::remembering(&jobs, &known, now);
        introduce(&mut instance, &setup);
        let (setup, catalog) = (Arc::new(setup), Arc::new(catalog));
        let latest = watch::Sender::new(Arc::clone(&setup));
        let (ask, asks) = mpsc::channel(ASKS_MAX);
        let status = Arc::new(Status::new(Arc::clone(&catalog), latest.subscribe(), ask));
        // Until it has looked for the first time, it was started a moment ago.
        status.metrics.looked(now);
        let server = Server::start(Arc::clone(&status), &setup).await?;
        let queue = Queue::new(limits(&setup.config));
        Ok(Self {
            instance,
            latest,
            setup,
            status,
            server,
            asks,
            unknown: BTreeSet::new(),
            tidied: None,
            tidying: JoinSet::new(),
            judged: None,
            to_judge: BTreeSet::new(),
            posting: JoinSet::new(),
            catalog,
            discovery,
            jobs: BTreeMap::new(),
            looked: Instant::now(),
            queue,
            runs: BTreeMap::new(),
            workers: JoinSet::new(),
            going_on: BTreeMap::new(),
        })
    }

    /// Until it is told to stop; answers for how long uploads may go on then.
    async fn go_on(&mut self, orders: &mut Receiver<Order>) -> Duration {
        loop {
            let turned = self.turn().await;
            self.status.health.turned(turned.as_ref().err().map(|error| chain(error)));
            let next = match turned {
                Ok(next) => {
                    self.status.metrics.looked(self.now());
                    next
                }
                Err(error) => {
                    // A disk that is full, perhaps: what is due stays due.
                    tracing::error!("what is due cannot be seen to: {}", chain(&error));
                    None
                }
            };
            self.server.keep_up().await;
            let (going_on, waiting) = (self.going_on.len(), self.queue.waiting().len());
            notify::alive(going_on, waiting);
            self.status.metrics.queue(going_on, waiting);
            let clock = Arc::clone(&self.setup.machine.clock);
            // Somebody may set the clock, or start a container.
            let mut pause = next.map_or(LOOK_AGAIN, |next| clock.until(next).min(LOOK_AGAIN));
            if self.abort_called_off() {
                pause = pause.min(LOOK_AT_FREEZE);
            }
            tokio::select! {
                () = tokio::time::sleep(pause.min(notify::patience())) => {}
                Some(ended) = self.workers.join_next_with_id() => self.ended(ended).await,
                Some(ask) = self.asks.recv() => self.hear(ask).await,
                // There may be more to tell.
                Some(_) = self.posting.join_next() => {}
                Some(_) = self.tidying.join_next() => {}
                order = orders.recv() => match order {
                    Some(Order::Reload(setup)) => self.reload(*setup).await,
                    Some(Order::Keep(error)) => self.keep(&error).await,
                    Some(Order::Stop(grace)) => return grace,
                    None => return Duration::ZERO,
                },
            }
        }
    }

    /// Sees to what is due; answers when something will be.
    async fn turn(&mut self) -> Result<Option<Timestamp>, ServiceError> {
        // One moment for all: what begins in it stands for all that is due by then.
        let now = self.now();
        let next = self.look(now).await?;
        self.enqueue().await?;
        self.begin(now).await?;
        self.tell().await?;
        self.tidy().await?;
        Ok(next.into_iter().chain(self.next_ready(now)).min())
    }

    async fn reload(&mut self, setup: Setup) {
        notify::reloading();
        match self.admit(setup) {
            Ok(()) => self.report_if_possible(Happening::Reloaded).await,
            Err(error) => self.keep(&error).await,
        }
        notify::ready();
    }

    async fn keep(&self, error: &ServiceError) {
        let error = error.for_the_record();
        tracing::error!("the old configuration stays: {error}");
        self.report_if_possible(Happening::NotReloaded { error }).await;
    }

    fn admit(&mut self, setup: Setup) -> Result<(), ServiceError> {
        let is_same = setup.machine.state_dir == self.setup.machine.state_dir;
        if !is_same || setup.socket != self.setup.socket {
            return Err(ServiceError::OtherState);
        }
        setup.check()?;
        self.server.follow(&setup);
        introduce(&mut self.instance, &setup);
        self.queue.limit(limits(&setup.config));
        self.setup = Arc::new(setup);
        self.latest.send_replace(Arc::clone(&self.setup));
        self.discovery.look_again();
        self.unknown = BTreeSet::new();
        // What waits may be for another repository now: it is put into the queue again.
        self.queue.clear();
        self.runs.retain(|run, _| self.going_on.contains_key(run));
        tracing::info!("the configuration was read again");
        Ok(())
    }

    // What somebody asks is answered before the next turn, which sees to what waits.
    async fn hear(&mut self, ask: Ask) {
        let mut ask = Some(ask);
        while let Some(asked) = ask.take().or_else(|| self.asks.try_recv().ok()) {
            self.answer(asked).await;
        }
    }

    // Whoever waits for an answer learns that there will be none.
    fn hear_nobody(&mut self) {
        self.asks.close();
        while self.asks.try_recv().is_ok() {}
    }

    async fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Look => {}
            Ask::CallOff { run, reply } => {
                // Whoever asked may be gone.
                let _ = reply.send(self.end_early(run).await);
            }
        }
    }

    // Forgets history, of which nobody looks for what is longer ago, and has the rest backed up.
    async fn tidy(&mut self) -> Result<(), ServiceError> {
        if self.tidied.is_some_and(|when| when.elapsed() < TIDY_AGAIN) {
            return Ok(());
        }
        let before = self.now().checked_sub(LOOK_BACK).unwrap_or(Timestamp::MIN);
        let reports_before = self.now().checked_sub(REPORTS_KEPT).unwrap_or(Timestamp::MIN);
        self.catalog.forget_history(before).await?;
        self.catalog.forget_reports(reports_before).await?;
        self.tidied = Some(Instant::now());
        let (machine, catalog) = (self.setup.machine.clone(), Arc::clone(&self.catalog));
        self.tidying.spawn(async move { machine.back_up_catalog_if_due(&catalog).await });
        self.discard_pending();
        Ok(())
    }

    async fn report_if_possible(&self, happening: Happening) {
        if let Err(error) = self.report(happening).await {
            tracing::error!("this cannot be written down: {}", chain(&error));
        }
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

// Without it, commands do by themselves what they could have done here.
fn introduce(instance: &mut Instance, setup: &Setup) {
    let Ok((location, _)) = setup.repository_at(None) else { return };
    let told = instance.tell(&client::surroundings(&setup.machine.platforms, &location));
    if let Err(error) = told {
        tracing::warn!("nobody learns what this service works with: {error}");
    }
}

// A thousand applications are more than a host has. What tidies up may take hours, and leaves place for a
// backup where there is more than one.
fn limits(config: &Config) -> Limits {
    let ServiceConfig { runs, runs_per_repository } = config.service;
    let (runs, per_repository) = (runs.get().into(), runs_per_repository.get().into());
    Limits { runs, per_repository, upkeep: 1, overtaken: 100, waiting: 1000 }
}

/// How long nobody looks at the clock at the most.
const LOOK_AGAIN: Duration = Duration::from_secs(20);
/// How often one looks whether something still stands still.
const LOOK_AT_FREEZE: Duration = Duration::from_millis(100);
/// Who asks beyond this many waits for a place.
const ASKS_MAX: usize = 64;
/// How long it is kept what there was to say of a run.
const REPORTS_KEPT: SignedDuration = SignedDuration::from_hours(31 * 24);
/// How often history is forgotten, and backed up where that is due.
const TIDY_AGAIN: Duration = Duration::from_hours(1);
