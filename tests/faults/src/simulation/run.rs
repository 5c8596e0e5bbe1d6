//! One simulation: who does what when, and what must hold at the end.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use format::ids::PointId;
use format::names::{Folder, ObjectName};
use jiff::{SignedDuration, Timestamp};
use repository::error::{RepositoryError, chain};
use repository::forget::{self, Request};
use repository::prune::{Options, Prune};
use repository::reader::Reader;
use repository::simulation::Simulation;
use repository::store::{MaintainStore, ReadStore, Store};
use tokio::runtime::Builder;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::author::{self, Author};
use super::flaw::Flaw;
use super::ledger::{Ledger, all_there, maintainer, reader, settle};
use super::link::Link;
use super::network::{Nature, Network};
use crate::files::{Dice, Files, noise};
use crate::memory::Memory;
use crate::world::{Failure, init, key};

const HOUR: u64 = 3600;
/// After that all late requests have arrived.
const SETTLING: Duration = Duration::from_secs(4 * 24 * HOUR);
/// How wrong a clock is, at most.
const SKEW_HOURS: u64 = 25;

/// Which world is simulated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setting {
    /// What everything follows from.
    pub seed: u64,
    /// Whether the requests are kept in words.
    pub told: bool,
    /// A rule that is broken.
    pub flaw: Option<Flaw>,
    /// How old a listing may be, where the store is for one program at a time.
    pub lag: Option<Lag>,
}

/// A store that lists late. One program at a time works on it.
#[derive(Clone, Copy, Debug)]
pub struct Lag {
    /// How old a listing may be.
    pub most: Duration,
    /// How long nobody does anything after a program has ended.
    pub pause: Duration,
}

/// How much everybody does.
#[derive(Clone, Copy, Debug)]
struct Habits {
    /// For how many hours.
    term: u64,
    /// At most so many hours after the last time.
    backup: u64,
    prune: u64,
    forget: u64,
    restore: u64,
    /// Of so many points one is kept when a policy forgets.
    keep_one_of: u64,
    /// How many contents there are that a file can have.
    contents: u64,
}

/// Much is there, and little of it goes.
const STEADY: Habits = Habits {
    term: 8 * 24,
    backup: 14,
    prune: 36,
    forget: 20,
    restore: 16,
    keep_one_of: 2,
    contents: 40,
};
/// What is stored was there before, and was about to be deleted.
const HECTIC: Habits =
    Habits { term: 48, backup: 3, prune: 2, forget: 2, restore: 6, keep_one_of: 4, contents: 14 };

/// What a simulation came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// Stands for every request in its order.
    pub trace: u64,
    /// How many requests there were.
    pub requests: u64,
    /// How often each thing was done to its end.
    pub done: BTreeMap<&'static str, u64>,
    /// What was broken.
    pub broken: Vec<String>,
    /// The requests in words, if they were asked for.
    pub lines: Vec<String>,
}

/// Somebody who works on the repository.
struct Actor<'a> {
    name: &'static str,
    network: &'a Arc<Network>,
    ledger: &'a RefCell<Ledger>,
    /// Held while a program works, where one at a time may.
    turn: Option<(&'a Mutex<()>, Duration)>,
    habits: Habits,
    dice: Dice,
    began: Instant,
    skew: SignedDuration,
}

/// Runs the simulation of this seed. The same seed gives the same outcome.
pub fn run(setting: Setting) -> Outcome {
    let _chance = Simulation::begin(setting.seed);
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(simulate(setting))
}

async fn simulate(setting: Setting) -> Outcome {
    let mut dice = Dice(setting.seed);
    let inner: Arc<dyn MaintainStore> = Arc::new(Memory::default());
    init(inner.as_ref()).await.unwrap();
    // From a quiet day to a bad one.
    let harm = [0, 100, 400, 1_500][usize::try_from(dice.below(4)).unwrap()];
    let habits = if dice.below(2) == 0 { STEADY } else { HECTIC };
    let lag = setting.lag.map_or(Duration::ZERO, |lag| lag.most);
    let nature = Nature { harm, lag, flaw: setting.flaw, told: setting.told };
    let network = Network::new(inner, nature);
    let ledger = RefCell::new(Ledger::default());
    let (began, turn) = (Instant::now(), Mutex::new(()));
    let mut actor = |name| Actor {
        name,
        network: &network,
        ledger: &ledger,
        turn: setting.lag.map(|lag| (&turn, lag.pause)),
        habits,
        dice: Dice(dice.next()),
        began,
        skew: skew(&mut dice),
    };
    let mut work: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
    for (name, task) in ACTORS {
        work.push(Box::pin(actor(name).live(task)));
    }
    let term = Duration::from_secs(habits.term * HOUR);
    let _ = timeout(term, futures::future::join_all(work)).await;
    network.calm();
    sleep(SETTLING).await;
    let (requests, trace) = network.traced();
    let link = network.link("settle", Dice(1));
    settle(&link, &ledger).await;
    let Ledger { done, broken, .. } = ledger.into_inner();
    Outcome { trace, requests, done, broken, lines: network.lines() }
}

#[derive(Clone, Copy, Debug)]
enum Task {
    Backup,
    Forget,
    Prune,
    Restore,
}

/// Who works on the repository.
const ACTORS: [(&str, Task); 6] = [
    ("writer 1", Task::Backup),
    ("writer 2", Task::Backup),
    ("prune 1", Task::Prune),
    ("prune 2", Task::Prune),
    ("forget", Task::Forget),
    ("restore", Task::Restore),
];

impl Actor<'_> {
    // One process after another, each with one task. A process may die in the middle of it.
    async fn live(mut self, task: Task) {
        let hours = match task {
            Task::Backup => self.habits.backup,
            Task::Forget => self.habits.forget,
            Task::Prune => self.habits.prune,
            Task::Restore => self.habits.restore,
        };
        loop {
            sleep(Duration::from_secs(self.dice.below(hours * HOUR))).await;
            // Whoever only reads needs no turn.
            let turn = self.turn.filter(|_| !matches!(task, Task::Restore));
            let turn = match turn {
                Some((turn, pause)) => Some((turn.lock().await, pause)),
                None => None,
            };
            let link = self.network.link(self.name, Dice(self.dice.next()));
            let (name, network) = (self.name, Arc::clone(self.network));
            let work = async {
                match task {
                    Task::Backup => self.back_up(&link).await,
                    Task::Forget => self.forget(&link).await,
                    Task::Prune => self.prune(&link).await,
                    Task::Restore => self.restore(&link).await,
                }
            };
            let ended = tokio::select! {
                biased;
                () = link.death() => Err("killed".into()),
                ended = work => ended,
            };
            match ended {
                Ok(what) => {
                    network.remark(name, what);
                    *self.ledger.borrow_mut().done.entry(what).or_default() += 1;
                }
                Err(error) => self.failed(error.as_ref()),
            }
            if let Some((_turn, pause)) = turn {
                sleep(pause).await;
            }
        }
    }

    // It may fail, but not where everything works.
    fn failed(&self, error: &(dyn Error + 'static)) {
        let what = format!("failed: {}", chain(error));
        self.network.remark(self.name, &what);
        let Nature { harm, lag, flaw, .. } = self.network.nature;
        let mut ledger = self.ledger.borrow_mut();
        if let Some(RepositoryError::Fenced(point)) = error.downcast_ref() {
            ledger.fenced.insert(*point);
        }
        if harm == 0 && lag.is_zero() && flaw.is_none() {
            ledger.broken.push(format!("{} {what}", self.name));
        }
    }

    async fn back_up(&mut self, link: &Arc<Link>) -> Result<&'static str, Failure> {
        let reader = reader(link).await?;
        let store: Arc<dyn Store> = Arc::<Link>::clone(link);
        let count = 2 + self.dice.below(8);
        let files: Files = (0..count).map(|number| self.file(number)).collect();
        let taken = self.now();
        let flaw = self.network.nature.flaw;
        let author = Author { store, reader, flaw };
        let manifest = author.store((&files, taken), &mut self.dice).await?;
        self.ledger.borrow_mut().committed.insert(manifest.point, files);
        Ok("backup")
    }

    async fn forget(&mut self, link: &Arc<Link>) -> Result<&'static str, Failure> {
        let maintainer = maintainer(link).await?;
        let mut points = Vec::new();
        {
            let ledger = self.ledger.borrow();
            for (point, files) in &ledger.committed {
                let is_kept = ledger.given_up.contains(point)
                    || self.dice.below(self.habits.keep_one_of) == 0;
                if !is_kept {
                    points.push((*point, files.clone()));
                }
            }
        }
        // Whoever gives them up could have read them until now; nobody looks later.
        if let Err(error) = self.all_there(&points).await {
            self.ledger.borrow_mut().broken.push(chain(error.as_ref()));
        }
        let points: Vec<_> = points.into_iter().map(|(point, _)| point).collect();
        // Whatever becomes of the request: nobody counts on them any more.
        self.ledger.borrow_mut().given_up.extend(&points);
        let request = Request { who: "policy".into(), when: self.now(), why: "old".into() };
        forget::forget(&maintainer, &points, &request).await?;
        self.ledger.borrow_mut().forgotten.extend(points);
        Ok("forget")
    }

    // In no time: no process asks that, and no request of it is in the trace.
    async fn all_there(&self, points: &[(PointId, Files)]) -> Result<(), Failure> {
        let readable: Arc<dyn ReadStore> = Arc::<dyn MaintainStore>::clone(&self.network.inner);
        all_there(&Reader::open(readable, &key()).await?, points).await
    }

    async fn prune(&mut self, link: &Arc<Link>) -> Result<&'static str, Failure> {
        let maintainer = maintainer(link).await?;
        let options = Options::usual(self.name, None);
        Prune::plan(&maintainer, options, Arc::default()).await?.execute().await?;
        match self.network.nature.flaw {
            Some(Flaw::DeletesFences) => delete_fences(link).await?,
            Some(Flaw::DeletesForgetRecords) => delete_all(link, Folder::Forgotten).await?,
            _ => {}
        }
        Ok("prune")
    }

    async fn restore(&mut self, link: &Arc<Link>) -> Result<&'static str, Failure> {
        let chosen = {
            let ledger = self.ledger.borrow();
            let kept: Vec<_> =
                ledger.committed.iter().filter(|(it, _)| !ledger.given_up.contains(*it)).collect();
            let number = usize::try_from(self.dice.below(kept.len() as u64)).unwrap();
            kept.get(number).map(|(point, files)| (**point, (*files).clone()))
        };
        let Some((point, files)) = chosen else { return Ok("nothing to restore") };
        let found = async {
            let reader = reader(link).await?;
            let manifest = reader.point(point).await?.ok_or("no such point")?;
            author::read(&reader, &manifest).await
        };
        let found = found.await;
        let mut ledger = self.ledger.borrow_mut();
        match found {
            Err(_) if ledger.given_up.contains(&point) => Ok("restore of what was then forgotten"),
            Ok(found) if found != files => {
                ledger.broken.push(format!("{point} was restored wrong"));
                Ok("wrong restore")
            }
            found => found.map(|_| "restore"),
        }
    }

    fn file(&mut self, number: u64) -> (String, Vec<u8>) {
        // Some contents come back after they were gone.
        let content = self.dice.below(self.habits.contents);
        (format!("{number}"), noise(content, 100 + usize::try_from(content).unwrap() * 40))
    }

    // What this actor takes for the time of day.
    fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.began.elapsed()).unwrap_or_default();
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365) + elapsed + self.skew
    }
}

fn skew(dice: &mut Dice) -> SignedDuration {
    let hours = i64::try_from(dice.below(2 * SKEW_HOURS + 1)).unwrap();
    SignedDuration::from_hours(hours - i64::try_from(SKEW_HOURS).unwrap())
}

// What a prune with such a flaw takes for leftovers.
async fn delete_fences(link: &Arc<Link>) -> Result<(), Failure> {
    let reader = reader(link).await?;
    for session in reader.sessions().await? {
        if reader.point(session).await?.is_none() {
            link.delete(ObjectName::Outcome(session)).await?;
        }
    }
    Ok(())
}

async fn delete_all(link: &Arc<Link>, folder: Folder) -> Result<(), Failure> {
    for listed in link.list(folder).await? {
        link.delete(listed.name).await?;
    }
    Ok(())
}
