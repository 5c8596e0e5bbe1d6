//! What keeps a session alive: its objects, its heartbeats, and the generation it keeps to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use format::control::{self, Link};
use format::ids::PointId;
use format::names::{Folder, ObjectName};
use format::session::{Heartbeat, Registration};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::sleep;

use crate::error::RepositoryError;
use crate::random;
use crate::reader::Reader;
use crate::store::{Store, create_own};

/// How often a session says that it is still at work. A prune ends one that was silent for half an
/// hour.
pub(super) const HEARTBEAT_INTERVAL: Duration = Duration::from_mins(5);
/// After how long a heartbeat is tried again that could not be stored.
const HEARTBEAT_RETRY: Duration = Duration::from_mins(1);

/// One session. The writer and the task of its heartbeats share it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) store: Arc<dyn Store>,
    pub(super) reader: Reader,
    pub(super) point: PointId,
    /// Leads to the newest control object, heartbeats aside.
    newest: Mutex<Option<Link>>,
    pulse: Mutex<Pulse>,
    /// What the pulse says, for those who do not want to wait for a heartbeat.
    generation: AtomicU64,
}

#[derive(Debug)]
struct Pulse {
    /// The number of the next heartbeat.
    number: u64,
    /// The newest generation that was promised: nothing is committed that relies on what is
    /// condemned at it.
    generation: u64,
    /// No further generation is promised.
    stands: bool,
    /// Leads to the last heartbeat, or to the registration.
    previous: Option<Link>,
}

impl Session {
    /// Registers under the newest generation, and looks again: a prune that was just publishing
    /// a newer one does not know of this session, unless it is told.
    pub(super) async fn register(
        store: Arc<dyn Store>,
        reader: &Reader,
        host: &str,
    ) -> Result<Self, RepositoryError> {
        let (point, reader) = (random::point_id(), reader.clone());
        let generation = newest_generation(store.as_ref()).await?;
        let pulse = Pulse { number: 0, generation, stands: false, previous: None };
        let (newest, pulse) = (Mutex::default(), Mutex::new(pulse));
        let session =
            Self { store, reader, point, newest, pulse, generation: AtomicU64::new(generation) };
        let (host, nonce) = (host.to_owned(), random::object_id());
        let registration = |previous| Registration { host, nonce, previous };
        session.create(ObjectName::Session(generation, point), registration).await?;
        session.pulse.lock().await.previous = *session.newest.lock().await;
        if newest_generation(session.store.as_ref()).await? > generation {
            session.beat().await?;
        }
        Ok(session)
    }

    /// The newest generation that was promised.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Says that the session is still at work, and moves on to the newest generation.
    pub(super) async fn beat(&self) -> Result<(), RepositoryError> {
        let mut pulse = self.pulse.lock().await;
        if !pulse.stands {
            // Promised before it is said: the heartbeat may arrive and its acknowledgement not.
            pulse.generation = pulse.generation.max(newest_generation(self.store.as_ref()).await?);
            self.generation.store(pulse.generation, Ordering::Release);
        }
        // One that fails may have arrived all the same, so its number is not used again.
        let number = pulse.number;
        pulse.number += 1;
        let name = ObjectName::Heartbeat(self.point, number);
        let (generation, previous) = (pulse.generation, pulse.previous);
        let (bytes, link) = self.seal(name, &Heartbeat { number, generation, previous })?;
        create_own(self.store.as_ref(), name, bytes.into()).await?;
        pulse.previous = Some(link);
        Ok(())
    }

    /// Promises nothing more, if nothing was promised after `generation`.
    pub(super) async fn stand(&self, generation: u64) -> bool {
        let mut pulse = self.pulse.lock().await;
        pulse.stands = pulse.generation <= generation;
        pulse.stands
    }

    /// Creates a control object that links to the one before it; returns its length in bytes. One
    /// at a time, for the objects of a session are a chain.
    pub(super) async fn create<T: Serialize>(
        &self,
        name: ObjectName,
        content: impl FnOnce(Option<Link>) -> T,
    ) -> Result<u64, RepositoryError> {
        let mut newest = self.newest.lock().await;
        let (bytes, link) = self.seal(name, &content(*newest))?;
        let length = bytes.len() as u64;
        create_own(self.store.as_ref(), name, bytes.into()).await?;
        *newest = Some(link);
        Ok(length)
    }

    fn seal<T: Serialize>(
        &self,
        name: ObjectName,
        content: &T,
    ) -> Result<(Vec<u8>, Link), RepositoryError> {
        let keys = self.reader.keys();
        let bytes = control::seal(keys, name, content, random::bytes())
            .map_err(|e| RepositoryError::damaged(name, e))?;
        let link = control::link(keys, name, &bytes);
        Ok((bytes, link))
    }
}

/// Stores heartbeats for ever. By the machine's monotonic time alone: a clock that is set says
/// nothing about how long a session was silent.
pub(super) async fn keep_beating(session: Arc<Session>, interval: Duration) {
    let mut pause = interval;
    loop {
        sleep(pause).await;
        pause = match session.beat().await {
            Ok(()) => interval,
            Err(error) => {
                // The session goes on: at worst a prune ends it, and the commit finds that out.
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "a heartbeat could not be stored; it is tried again");
                interval.min(HEARTBEAT_RETRY)
            }
        };
    }
}

async fn newest_generation(store: &dyn Store) -> Result<u64, RepositoryError> {
    let listed = store.list(Folder::Generations).await?;
    let number = |name| match name {
        ObjectName::Generation(number) => Some(number),
        _ => None,
    };
    Ok(listed.into_iter().filter_map(|l| number(l.name)).max().unwrap_or(0))
}
