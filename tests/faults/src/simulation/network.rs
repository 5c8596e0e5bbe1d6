//! The way from a process to the store: every request takes a while, and some come to harm.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use format::names::{Folder, ObjectName};
use repository::simulation::is_running;
use repository::store::{Listed, MaintainStore, ReadStore, Store, StoreError};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::files::Dice;

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_mins(10);

/// The store that all processes share, and the record of what reached it.
#[derive(Debug)]
pub struct Network {
    /// What really is there.
    pub inner: Arc<dyn MaintainStore>,
    /// How many of a million requests come to harm in each of the ways.
    harm: u64,
    calm: AtomicBool,
    trace: Mutex<Trace>,
    /// Requests that nobody waits for any more, and that arrive all the same.
    late: Mutex<JoinSet<()>>,
}

/// What reached the store, in its order.
#[derive(Debug)]
struct Trace {
    began: Instant,
    hash: u64,
    requests: u64,
    /// The requests in words, where somebody wants to read them.
    lines: Option<Vec<String>>,
}

/// One process's way to the store. It ends with the process.
#[derive(Debug)]
pub struct Link {
    network: Arc<Network>,
    process: &'static str,
    dice: Mutex<Dice>,
    /// Until when the process stands still.
    still: Mutex<Instant>,
    dead: AtomicBool,
    died: Notify,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Done,
    /// Not done, and told so: it may be tried again, or not.
    Refused {
        passing: bool,
    },
    /// Done, and not told.
    Lost,
    /// Not done, and told after a long time.
    Silent,
    /// Told that nobody answers; it is done hours or days later.
    Late,
    /// Not done, and told that the name is taken.
    Conflict,
    /// Done, and told that the name is taken.
    OwnWrite,
    /// Another bit is read.
    Flipped,
    /// The process dies before or after it is done.
    Dies,
    DiesAfter,
}

impl Network {
    /// A network before this store; `harm` is how many of a million requests come to each harm.
    pub fn new(inner: Arc<dyn MaintainStore>, harm: u64, told: bool) -> Arc<Self> {
        let lines = told.then(Vec::new);
        let trace =
            Trace { began: Instant::now(), hash: 0xcbf2_9ce4_8422_2325, requests: 0, lines };
        let (trace, late, calm) = (Mutex::new(trace), Mutex::default(), AtomicBool::new(false));
        Arc::new(Self { inner, harm, calm, trace, late })
    }

    /// The way of one process to the store.
    pub fn link(self: &Arc<Self>, process: &'static str, dice: Dice) -> Arc<Link> {
        Arc::new(Link {
            network: Arc::clone(self),
            process,
            dice: Mutex::new(dice),
            still: Mutex::new(Instant::now()),
            dead: AtomicBool::new(false),
            died: Notify::new(),
        })
    }

    /// From now on nothing comes to harm.
    pub fn calm(&self) {
        self.calm.store(true, SeqCst);
    }

    /// How many requests were done, and a number that stands for all of them in their order.
    pub fn traced(&self) -> (u64, u64) {
        let trace = self.trace.lock().unwrap();
        (trace.requests, trace.hash)
    }

    /// The requests in words.
    pub fn lines(&self) -> Vec<String> {
        self.trace.lock().unwrap().lines.clone().unwrap_or_default()
    }

    /// Adds a line that is no request.
    pub fn remark(&self, process: &str, what: &str) {
        let mut trace = self.trace.lock().unwrap();
        let at = trace.began.elapsed().as_millis();
        let line = format!("{at} {process} {what}");
        for byte in line.bytes() {
            trace.hash = (trace.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        trace.requests += 1;
        if let Some(lines) = &mut trace.lines {
            lines.push(line);
        }
    }
}

impl Link {
    /// Waits until the process is to die.
    pub async fn death(&self) {
        self.died.notified().await;
    }

    // Waits until the request arrives, and says what becomes of it.
    async fn send(&self, operation: &str, name: &str) -> (Fate, String) {
        let (fate, pause) = {
            let mut dice = self.dice.lock().unwrap();
            let fate = self.fate(&mut dice, operation);
            let most = if dice.below(20) == 0 { 20_000 } else { 200 };
            let pause = Duration::from_millis(1 + dice.below(most));
            (fate, pause)
        };
        if is_running() {
            sleep(pause).await;
            self.wake().await;
        }
        let what = format!("{operation} {name} {fate:?}");
        if !matches!(fate, Fate::Silent | Fate::Late | Fate::Dies) {
            self.network.remark(self.process, &what);
        }
        (fate, what)
    }

    fn fate(&self, dice: &mut Dice, operation: &str) -> Fate {
        let network = &self.network;
        if network.calm.load(SeqCst) {
            return Fate::Done;
        }
        // Standing still is no fate of a request, but it begins with one.
        if dice.below(1_000_000) < network.harm {
            let length = match dice.below(3) {
                0 => Duration::from_secs(dice.below(2 * 3600)),
                1 => Duration::from_secs(dice.below(DAY.as_secs())),
                _ => Duration::from_secs(dice.below(4 * DAY.as_secs())),
            };
            *self.still.lock().unwrap() = Instant::now() + length;
        }
        let writes = matches!(operation, "create" | "delete");
        let fates = [
            (6, true, Fate::Refused { passing: true }),
            (2, true, Fate::Refused { passing: false }),
            (2, true, Fate::Silent),
            (1, true, Fate::Dies),
            (4, writes, Fate::Lost),
            (3, writes, Fate::Late),
            (1, writes, Fate::DiesAfter),
            (2, operation == "create", Fate::Conflict),
            (2, operation == "create", Fate::OwnWrite),
            (1, operation == "get" || operation == "range", Fate::Flipped),
        ];
        let mut chance = dice.below(1_000_000);
        for (weight, _, fate) in fates.into_iter().filter(|(_, applies, _)| *applies) {
            match chance.checked_sub(weight * network.harm) {
                None => return fate,
                Some(rest) => chance = rest,
            }
        }
        Fate::Done
    }

    // A process that stands still sends nothing and hears nothing; a dead one never again.
    async fn wake(&self) {
        loop {
            if self.dead.load(SeqCst) {
                std::future::pending::<()>().await;
            }
            let until = *self.still.lock().unwrap();
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }

    async fn receive<T>(&self, fate: Fate, what: &str, result: T) -> Result<T, StoreError> {
        let pause = Duration::from_millis(1 + self.dice.lock().unwrap().below(100));
        if matches!(fate, Fate::Dies | Fate::DiesAfter) {
            self.network.remark(self.process, "dies");
            self.dead.store(true, SeqCst);
            self.died.notify_one();
        }
        // A thread that somebody waits for gets its answer at once: time would stand still.
        if is_running() {
            let waits = matches!(fate, Fate::Silent | Fate::Late);
            sleep(if waits { PATIENCE } else { pause }).await;
            self.wake().await;
        }
        let passing = match fate {
            Fate::Done | Fate::Flipped => return Ok(result),
            Fate::Refused { passing } => passing,
            _ => true,
        };
        Err(StoreError::Failed {
            action: what.to_owned(),
            location: "the network".into(),
            passing,
            source: "harm on purpose".into(),
        })
    }

    // Does it when nobody counts on it any more.
    fn later(&self, what: String, work: impl Future<Output = ()> + Send + 'static) {
        let seconds = {
            let mut dice = self.dice.lock().unwrap();
            let most = if dice.below(2) == 0 { 3600 } else { 3 * DAY.as_secs() };
            dice.below(most)
        };
        let network = Arc::clone(&self.network);
        let process = self.process;
        self.network.late.lock().unwrap().spawn(async move {
            sleep(MINUTE + Duration::from_secs(seconds)).await;
            network.remark(process, &format!("late: {what}"));
            work.await;
        });
    }
}

#[async_trait]
impl ReadStore for Link {
    fn location(&self) -> String {
        "the network".into()
    }

    async fn get(&self, name: ObjectName) -> Result<Bytes, StoreError> {
        let (fate, what) = self.send("get", &name.to_string()).await;
        let result = self.network.inner.get(name).await.map(|bytes| flipped(fate, bytes));
        self.receive(fate, &what, result).await?
    }

    async fn get_range(&self, name: ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        let (fate, what) = self.send("range", &name.to_string()).await;
        let result = self.network.inner.get_range(name, range).await;
        self.receive(fate, &what, result.map(|bytes| flipped(fate, bytes))).await?
    }

    async fn list(&self, folder: Folder) -> Result<Vec<Listed>, StoreError> {
        let (fate, what) = self.send("list", folder.as_str()).await;
        let mut listed = self.network.inner.list(folder).await?;
        // A long listing takes its time: the names after this one are as of later.
        let (cut, pause) = {
            let mut dice = self.dice.lock().unwrap();
            let cut = usize::try_from(dice.below(3 * listed.len() as u64 + 1)).unwrap();
            (cut, Duration::from_millis(dice.below(5_000)))
        };
        listed.sort_unstable();
        if let Some(cut) = listed.get(cut).copied() {
            sleep(pause).await;
            self.wake().await;
            let later = self.network.inner.list(folder).await?;
            self.network.remark(self.process, "second page");
            listed.retain(|it| it.name < cut.name);
            listed.extend(later.into_iter().filter(|it| it.name >= cut.name));
        }
        self.receive(fate, &what, listed).await
    }
}

#[async_trait]
impl Store for Link {
    async fn create(&self, name: ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        let (fate, what) = self.send("create", &name.to_string()).await;
        let taken = || StoreError::Exists { name, location: "the network".into() };
        match fate {
            Fate::Conflict => return Err(taken()),
            Fate::Late => {
                let inner = Arc::clone(&self.network.inner);
                self.later(what.clone(), async move { drop(inner.create(name, bytes).await) });
                return self.receive(fate, &what, ()).await;
            }
            Fate::Silent | Fate::Refused { .. } | Fate::Dies => {
                return self.receive(fate, &what, ()).await;
            }
            _ => {}
        }
        let result = self.network.inner.create(name, bytes).await;
        if fate == Fate::OwnWrite {
            return Err(taken());
        }
        self.receive(fate, &what, result).await?
    }
}

#[async_trait]
impl MaintainStore for Link {
    async fn delete(&self, name: ObjectName) -> Result<(), StoreError> {
        let (fate, what) = self.send("delete", &name.to_string()).await;
        match fate {
            Fate::Late => {
                let inner = Arc::clone(&self.network.inner);
                self.later(what.clone(), async move { drop(inner.delete(name).await) });
            }
            Fate::Silent | Fate::Refused { .. } | Fate::Dies => {}
            _ => self.network.inner.delete(name).await?,
        }
        self.receive(fate, &what, ()).await
    }
}

fn flipped(fate: Fate, bytes: Bytes) -> Bytes {
    if fate != Fate::Flipped {
        return bytes;
    }
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes.iter_mut().skip(middle).take(1).for_each(|byte| *byte ^= 4);
    bytes.into()
}
