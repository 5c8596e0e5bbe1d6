//! One simulation: who does what when, and what must hold at the end.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use format::ids::PointId;
use jiff::{SignedDuration, Timestamp};
use repository::check;
use repository::error::chain;
use repository::forget::{self, Request};
use repository::maintainer::Maintainer;
use repository::prune::{Options, Prune};
use repository::reader::Reader;
use repository::simulation::Simulation;
use repository::store::remote::RemoteStore;
use repository::store::{MaintainStore, ReadStore, Store};
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep, timeout};

use super::author;
use super::network::{Link, Network};
use crate::files::{Dice, Files, noise};
use crate::world::{Failure, init, key};

const HOUR: u64 = 3600;
/// How long everybody works.
const TERM: Duration = Duration::from_secs(8 * 24 * HOUR);
/// After that all late requests have arrived.
const SETTLING: Duration = Duration::from_secs(4 * 24 * HOUR);
/// How wrong a clock is, at most.
const SKEW_HOURS: u64 = 25;
/// How many contents there are that a file can have.
const CONTENTS: u64 = 40;

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

/// What was promised, by anybody to anybody.
#[derive(Debug, Default)]
struct Ledger {
    committed: BTreeMap<PointId, Files>,
    given_up: BTreeSet<PointId>,
    done: BTreeMap<&'static str, u64>,
    broken: Vec<String>,
}

/// Somebody who works on the repository.
struct Actor<'a> {
    name: &'static str,
    network: &'a Arc<Network>,
    ledger: &'a RefCell<Ledger>,
    dice: Dice,
    began: Instant,
    skew: SignedDuration,
}

/// Runs the simulation of this seed. The same seed gives the same outcome.
pub fn run(seed: u64, told: bool) -> Outcome {
    let _chance = Simulation::begin(seed);
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(simulate(seed, told))
}

async fn simulate(seed: u64, told: bool) -> Outcome {
    let mut dice = Dice(seed);
    let inner: Arc<dyn MaintainStore> = Arc::new(RemoteStore::in_memory());
    init(inner.as_ref()).await.unwrap();
    // From a quiet day to a bad one.
    let harm = [0, 100, 400, 1_500][usize::try_from(dice.below(4)).unwrap()];
    let network = Network::new(inner, harm, told);
    let ledger = RefCell::new(Ledger::default());
    let began = Instant::now();
    let mut actor = |name| Actor {
        name,
        network: &network,
        ledger: &ledger,
        dice: Dice(dice.next()),
        began,
        skew: skew(&mut dice),
    };
    let mut work: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
    for name in ["writer 1", "writer 2"] {
        work.push(Box::pin(actor(name).live(14 * HOUR, Task::Backup)));
    }
    for name in ["prune 1", "prune 2"] {
        work.push(Box::pin(actor(name).live(36 * HOUR, Task::Prune)));
    }
    work.push(Box::pin(actor("forget").live(20 * HOUR, Task::Forget)));
    work.push(Box::pin(actor("restore").live(16 * HOUR, Task::Restore)));
    let _ = timeout(TERM, futures::future::join_all(work)).await;
    network.calm();
    sleep(SETTLING).await;
    let (requests, trace) = network.traced();
    settle(&network, &ledger).await;
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

impl Actor<'_> {
    // One process after another, each with one task. A process may die in the middle of it.
    async fn live(mut self, pause: u64, task: Task) {
        loop {
            sleep(Duration::from_secs(self.dice.below(pause))).await;
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
                Err(error) => network.remark(name, &format!("failed: {}", chain(error.as_ref()))),
            }
        }
    }

    async fn back_up(&mut self, link: &Arc<Link>) -> Result<&'static str, Failure> {
        let reader = reader(link).await?;
        let store: Arc<dyn Store> = Arc::<Link>::clone(link);
        let count = 2 + self.dice.below(8);
        let files: Files = (0..count).map(|number| file(number, &mut self.dice)).collect();
        let taken = self.now();
        let manifest = author::store(store, &reader, (&files, taken), &mut self.dice).await?;
        self.ledger.borrow_mut().committed.insert(manifest.point, files);
        Ok("backup")
    }

    async fn forget(&mut self, link: &Arc<Link>) -> Result<&'static str, Failure> {
        let maintainer = maintainer(link).await?;
        let mut points = Vec::new();
        {
            let mut ledger = self.ledger.borrow_mut();
            let Ledger { committed, given_up, .. } = &mut *ledger;
            let kept: Vec<_> = committed.keys().filter(|it| !given_up.contains(*it)).collect();
            for point in kept {
                if self.dice.below(3) == 0 {
                    points.push(*point);
                }
            }
            // Whatever becomes of the request: nobody counts on them any more.
            given_up.extend(&points);
        }
        let request = Request { who: "policy".into(), when: self.now(), why: "old".into() };
        forget::forget(&maintainer, &points, &request).await?;
        Ok("forget")
    }

    async fn prune(&mut self, link: &Arc<Link>) -> Result<&'static str, Failure> {
        let maintainer = maintainer(link).await?;
        let options = Options::usual(self.name, None);
        Prune::plan(&maintainer, options, Arc::default()).await?.execute().await?;
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
        let reader = reader(link).await?;
        let manifest = reader.point(point).await?.ok_or("no such point")?;
        let found = author::read(&reader, &manifest).await?;
        if found != files {
            self.ledger.borrow_mut().broken.push(format!("{point} was restored wrong"));
        }
        Ok("restore")
    }

    // What this actor takes for the time of day.
    fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.began.elapsed()).unwrap_or_default();
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365) + elapsed + self.skew
    }
}

// What must hold when the network is well: every promised point is there, the check is clean after
// one prune, and the points are still there.
async fn settle(network: &Arc<Network>, ledger: &RefCell<Ledger>) {
    let link = network.link("settle", Dice(1));
    if let Err(error) = promised(&link, ledger).await {
        ledger
            .borrow_mut()
            .broken
            .push(format!("before the last prune: {}", chain(error.as_ref())));
        return;
    }
    let pruned = async {
        let maintainer = maintainer(&link).await?;
        let options = Options::usual("settle", None);
        Prune::plan(&maintainer, options, Arc::default()).await?.execute().await?;
        let report = check::check(&reader(&link).await?, true).await?;
        match report.findings.as_slice() {
            [] => promised(&link, ledger).await,
            findings => Err(format!("the check is not clean: {findings:?}").into()),
        }
    };
    if let Err(error) = pruned.await {
        ledger.borrow_mut().broken.push(format!("after the last prune: {}", chain(error.as_ref())));
    }
}

async fn promised(link: &Arc<Link>, ledger: &RefCell<Ledger>) -> Result<(), Failure> {
    let reader = reader(link).await?;
    let promised: Vec<_> = {
        let ledger = ledger.borrow();
        let kept = ledger.committed.iter().filter(|(it, _)| !ledger.given_up.contains(*it));
        kept.map(|(point, files)| (*point, files.clone())).collect()
    };
    for (point, files) in promised {
        let found = async {
            let manifest = reader.point(point).await?.ok_or("it was fenced")?;
            author::read(&reader, &manifest).await
        };
        let found =
            found.await.map_err(|error| format!("{point} is lost: {}", chain(error.as_ref())))?;
        if found != files {
            return Err(format!("{point} has other files").into());
        }
    }
    Ok(())
}

async fn reader(link: &Arc<Link>) -> Result<Reader, Failure> {
    let readable: Arc<dyn ReadStore> = Arc::<Link>::clone(link);
    Ok(Reader::open(readable, &key()).await?)
}

async fn maintainer(link: &Arc<Link>) -> Result<Maintainer, Failure> {
    let store: Arc<dyn MaintainStore> = Arc::<Link>::clone(link);
    Ok(Maintainer::open(store, &key()).await?)
}

fn file(number: u64, dice: &mut Dice) -> (String, Vec<u8>) {
    // Some contents come back after they were gone.
    let content = dice.below(CONTENTS);
    (format!("{number}"), noise(content, 100 + usize::try_from(content).unwrap() * 40))
}

fn skew(dice: &mut Dice) -> SignedDuration {
    let hours = i64::try_from(dice.below(2 * SKEW_HOURS + 1)).unwrap();
    SignedDuration::from_hours(hours - i64::try_from(SKEW_HOURS).unwrap())
}
