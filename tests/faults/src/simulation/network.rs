//! The way from processes to the store, and the record of what went over it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use format::names::{Folder, ObjectName};
use repository::store::{Listed, MaintainStore, StoreError};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::flaw::Flaw;
use super::link::Link;
use crate::files::Dice;

/// What a network is like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nature {
    /// How many of a million requests come to harm in each of the ways.
    pub harm: u64,
    /// How old a listing may be.
    pub lag: Duration,
    /// A rule that is broken.
    pub flaw: Option<Flaw>,
    /// Whether the requests are kept in words.
    pub told: bool,
}

/// The store that all processes share, and the record of what reached it.
#[derive(Debug)]
pub struct Network {
    /// What really is there.
    pub inner: Arc<dyn MaintainStore>,
    /// What it is like, while it is not calm.
    pub nature: Nature,
    calm: AtomicBool,
    trace: Mutex<Trace>,
    /// Requests that nobody waits for any more, and that arrive all the same.
    late: Mutex<JoinSet<()>>,
    /// When each object came and went, where listings may be old.
    lives: Mutex<BTreeMap<ObjectName, Life>>,
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

#[derive(Clone, Copy, Debug)]
struct Life {
    size: u64,
    from: Instant,
    until: Option<Instant>,
}

impl Network {
    /// A network before this store.
    pub fn new(inner: Arc<dyn MaintainStore>, nature: Nature) -> Arc<Self> {
        let lines = nature.told.then(Vec::new);
        let trace =
            Trace { began: Instant::now(), hash: 0xcbf2_9ce4_8422_2325, requests: 0, lines };
        Arc::new(Self {
            inner,
            nature,
            calm: AtomicBool::new(false),
            trace: Mutex::new(trace),
            late: Mutex::default(),
            lives: Mutex::default(),
        })
    }

    /// The way of one process to the store.
    pub fn link(self: &Arc<Self>, process: &'static str, dice: Dice) -> Arc<Link> {
        Arc::new(Link::new(Arc::clone(self), process, dice))
    }

    /// From now on nothing comes to harm.
    pub fn calm(&self) {
        self.calm.store(true, SeqCst);
    }

    /// Whether nothing comes to harm any more.
    pub fn is_calm(&self) -> bool {
        self.calm.load(SeqCst)
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

    /// Does something later, whatever becomes of who asked for it.
    pub(super) fn do_later(
        self: &Arc<Self>,
        time: Duration,
        (process, what): (&'static str, String),
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let network = Arc::clone(self);
        self.late.lock().unwrap().spawn(async move {
            sleep(time).await;
            network.remark(process, &format!("late: {what}"));
            work.await;
        });
    }

    /// Creates an object.
    pub(super) async fn create(&self, name: ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        let size = bytes.len() as u64;
        self.inner.create(name, bytes).await?;
        if !self.nature.lag.is_zero() {
            let life = Life { size, from: Instant::now(), until: None };
            self.lives.lock().unwrap().insert(name, life);
        }
        Ok(())
    }

    /// Deletes an object.
    pub(super) async fn delete(&self, name: ObjectName) -> Result<(), StoreError> {
        self.inner.delete(name).await?;
        if let Some(life) = self.lives.lock().unwrap().get_mut(&name) {
            life.until.get_or_insert(Instant::now());
        }
        Ok(())
    }

    /// What a listing gives that is as of so long ago.
    pub(super) async fn list(
        &self,
        folder: Folder,
        age: Duration,
    ) -> Result<Vec<Listed>, StoreError> {
        let mut listed = self.inner.list(folder).await?;
        let then = Instant::now().checked_sub(age);
        let lives = self.lives.lock().unwrap();
        if let Some(then) = then.filter(|_| !age.is_zero()) {
            listed.retain(|it| lives.get(&it.name).is_none_or(|life| life.from <= then));
            let gone = lives.iter().filter(|(name, life)| {
                life.from <= then
                    && life.until.is_some_and(|until| until > then)
                    && name.to_string().starts_with(&format!("{}/", folder.as_str()))
            });
            listed.extend(gone.map(|(name, life)| Listed { name: *name, size: life.size }));
        }
        Ok(listed)
    }
}
