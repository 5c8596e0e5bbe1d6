//! One process and its store: every request takes a while, and some come to harm.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use format::names::{Folder, ObjectName};
use repository::simulation::sleep;
use repository::store::{Listed, MaintainStore, ReadStore, Store, StoreError};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::fate::{self, Fate};
use super::flaw::Flaw;
use super::network::Network;
use crate::files::Dice;

const MINUTE: Duration = Duration::from_mins(1);
const LOCATION: &str = "the network";
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_mins(10);

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
    seen: Mutex<Seen>,
}

/// What a process with a flaw goes by.
#[derive(Debug, Default)]
struct Seen {
    /// Whether it has listed the pins last, as a mark does before it lists the points.
    is_marking: bool,
    /// The points of the first mark.
    points: Option<Vec<Listed>>,
}

impl Link {
    /// The way of one process.
    pub(super) fn new(network: Arc<Network>, process: &'static str, dice: Dice) -> Self {
        Self {
            network,
            process,
            dice: Mutex::new(dice),
            still: Mutex::new(Instant::now()),
            dead: AtomicBool::new(false),
            died: Notify::new(),
            seen: Mutex::default(),
        }
    }

    /// Waits until the process is to die.
    pub async fn death(&self) {
        self.died.notified().await;
    }

    // Waits until the request arrives, and says what becomes of it.
    async fn send(&self, operation: &str, name: &str) -> Result<(Fate, String), StoreError> {
        let (fate, pause) = {
            let mut dice = self.dice.lock().unwrap();
            let fate = self.fate(&mut dice, operation, name);
            let most = if dice.below(20) == 0 { 20_000 } else { 200 };
            let pause = Duration::from_millis(1 + dice.below(most));
            (fate, pause)
        };
        self.pass(pause).await?;
        let what = format!("{operation} {name} {fate:?}");
        if !matches!(fate, Fate::Silent | Fate::Late | Fate::Dies) {
            self.network.remark(self.process, &what);
        }
        Ok((fate, what))
    }

    fn fate(&self, dice: &mut Dice, operation: &str, name: &str) -> Fate {
        if self.network.is_calm() {
            return Fate::Done;
        }
        let harm = self.network.nature.harm;
        // Where much depends on it, it is likelier.
        let decides = operation == "create"
            && ["ses", "gen", "cnd", "out"].iter().any(|folder| name.starts_with(folder));
        let standstill = if decides { 20 * harm } else { harm };
        if let Some(length) = fate::standstill(dice, standstill) {
            *self.still.lock().unwrap() = Instant::now() + length;
        }
        fate::of_request(dice, harm, operation)
    }

    // A process that stands still sends nothing and hears nothing; a dead one never again.
    async fn pass(&self, time: Duration) -> Result<(), StoreError> {
        let mut time = time;
        loop {
            if !sleep(time).await {
                return Err(failed("wait", false));
            }
            let now = Instant::now();
            time = match *self.still.lock().unwrap() {
                _ if self.dead.load(SeqCst) => Duration::MAX,
                until if until <= now => return Ok(()),
                until => until - now,
            };
        }
    }

    async fn receive<T>(&self, fate: Fate, what: &str, result: T) -> Result<T, StoreError> {
        let pause = Duration::from_millis(1 + self.dice.lock().unwrap().below(100));
        if matches!(fate, Fate::Dies | Fate::DiesAfter) {
            self.network.remark(self.process, "dies");
            self.dead.store(true, SeqCst);
            self.died.notify_one();
        }
        let waits = matches!(fate, Fate::Silent | Fate::Late);
        self.pass(if waits { PATIENCE } else { pause }).await?;
        match fate {
            Fate::Done | Fate::Flipped => Ok(result),
            Fate::Refused { passing } => Err(failed(what, passing)),
            _ => Err(failed(what, true)),
        }
    }

    // Does it when nobody counts on it any more.
    fn later(&self, what: &str, work: impl Future<Output = ()> + Send + 'static) {
        let seconds = fate::delay_seconds(&mut self.dice.lock().unwrap());
        let time = MINUTE + Duration::from_secs(seconds);
        self.network.do_later(time, (self.process, what.to_owned()), work);
    }

    // How old the next listing is.
    fn age(&self) -> Duration {
        let lag = if self.network.is_calm() { Duration::ZERO } else { self.network.nature.lag };
        match u64::try_from(lag.as_millis()).unwrap() {
            0 => Duration::ZERO,
            most => Duration::from_millis(self.dice.lock().unwrap().below(most)),
        }
    }

    // What a process with a flaw sees of a listing.
    async fn distorted(
        &self,
        folder: Folder,
        listed: Vec<Listed>,
    ) -> Result<Vec<Listed>, StoreError> {
        let flaw = self.network.nature.flaw;
        let is_prune = self.process.starts_with("prune");
        match (flaw, folder) {
            (Some(Flaw::WaitsForNobody), Folder::Sessions | Folder::Heartbeats) if is_prune => {
                Ok(Vec::new())
            }
            (Some(Flaw::TakesAllForEnded), Folder::Forgotten) if is_prune => {
                let sessions = self.network.inner.list(Folder::Sessions).await?;
                let ended = self.network.inner.list(Folder::Outcomes).await?;
                let is_ended = |point| ended.iter().any(|it| it.name == ObjectName::Outcome(point));
                let at_work = sessions.into_iter().filter_map(|it| match it.name {
                    ObjectName::Session(_, point) if !is_ended(point) => {
                        Some(Listed { name: ObjectName::Forgotten(point), size: 0 })
                    }
                    _ => None,
                });
                Ok(listed.into_iter().chain(at_work).collect())
            }
            (Some(Flaw::MarksOnce), _) if is_prune => {
                let mut seen = self.seen.lock().unwrap();
                let was_marking = std::mem::replace(&mut seen.is_marking, false);
                match folder {
                    Folder::Pins => seen.is_marking = true,
                    Folder::Outcomes if was_marking => {
                        return Ok(seen.points.get_or_insert(listed).clone());
                    }
                    _ => {}
                }
                Ok(listed)
            }
            _ => Ok(listed),
        }
    }
}

#[async_trait]
impl ReadStore for Link {
    fn location(&self) -> String {
        LOCATION.into()
    }

    async fn get(&self, name: ObjectName) -> Result<Bytes, StoreError> {
        let (fate, what) = self.send("get", &name.to_string()).await?;
        let result = self.network.inner.get(name).await.map(|bytes| flipped(fate, bytes));
        self.receive(fate, &what, result).await?
    }

    async fn get_range(&self, name: ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        let (fate, what) = self.send("range", &name.to_string()).await?;
        let result = self.network.inner.get_range(name, range).await;
        self.receive(fate, &what, result.map(|bytes| flipped(fate, bytes))).await?
    }

    async fn list(&self, folder: Folder) -> Result<Vec<Listed>, StoreError> {
        let (fate, what) = self.send("list", folder.as_str()).await?;
        let mut listed = self.network.list(folder, self.age()).await?;
        // A long listing takes its time: the names after this one are as of later.
        let (cut, pause) = {
            let mut dice = self.dice.lock().unwrap();
            let cut = usize::try_from(dice.below(3 * listed.len() as u64 + 1)).unwrap();
            (cut, Duration::from_millis(dice.below(5_000)))
        };
        listed.sort_unstable();
        if let Some(cut) = listed.get(cut).copied() {
            self.pass(pause).await?;
            let later = self.network.list(folder, self.age()).await?;
            self.network.remark(self.process, "second page");
            listed.retain(|it| it.name < cut.name);
            listed.extend(later.into_iter().filter(|it| it.name >= cut.name));
        }
        let listed = self.distorted(folder, listed).await?;
        self.receive(fate, &what, listed).await
    }
}

#[async_trait]
impl Store for Link {
    async fn create(&self, name: ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        let (fate, what) = self.send("create", &name.to_string()).await?;
        let taken = || StoreError::Exists { name, location: LOCATION.into() };
        match fate {
            Fate::Conflict => return Err(taken()),
            Fate::Late => {
                let network = Arc::clone(&self.network);
                self.later(&what, async move { drop(network.create(name, bytes).await) });
                return self.receive(fate, &what, ()).await;
            }
            Fate::Silent | Fate::Refused { .. } | Fate::Dies => {
                return self.receive(fate, &what, ()).await;
            }
            _ => {}
        }
        let result = self.network.create(name, bytes).await;
        if fate == Fate::OwnWrite {
            return Err(taken());
        }
        self.receive(fate, &what, result).await?
    }
}

#[async_trait]
impl MaintainStore for Link {
    async fn delete(&self, name: ObjectName) -> Result<(), StoreError> {
        let (fate, what) = self.send("delete", &name.to_string()).await?;
        match fate {
            Fate::Late => {
                let network = Arc::clone(&self.network);
                self.later(&what, async move { drop(network.delete(name).await) });
            }
            Fate::Silent | Fate::Refused { .. } | Fate::Dies => {}
            _ => self.network.delete(name).await?,
        }
        self.receive(fate, &what, ()).await
    }
}

fn failed(what: &str, passing: bool) -> StoreError {
    StoreError::Failed {
        action: what.to_owned(),
        location: LOCATION.into(),
        passing,
        source: "harm on purpose".into(),
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
