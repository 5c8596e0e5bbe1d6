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
use tokio::time::{Instant, sleep};

use crate::error::RepositoryError;
use crate::protocol::generation;
use crate::protocol::writer::{Beat, Next, Progress};
use crate::random;
use crate::reader::Reader;
use crate::store::{Store, create_own};

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
    /// What was promised, for those who do not want to wait for a heartbeat.
    generation: AtomicU64,
    /// What its own time is counted from.
    began: Instant,
}

#[derive(Debug)]
struct Pulse {
    progress: Progress,
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
        let (progress, _) = Progress::registered(generation, generation, Duration::ZERO);
        let session = Self {
            store,
            reader,
            point,
            newest: Mutex::default(),
            pulse: Mutex::new(Pulse { progress, previous: None }),
            generation: AtomicU64::new(generation),
            began: Instant::now(),
        };
        let (host, nonce) = (host.to_owned(), random::object_id());
        let registration = |previous| Registration { host, nonce, previous };
        session.create(ObjectName::Session(generation, point), registration).await?;
        session.pulse.lock().await.previous = *session.newest.lock().await;
        let newest = newest_generation(session.store.as_ref()).await?;
        let mut pulse = session.pulse.lock().await;
        let (progress, beat) = Progress::registered(generation, newest, session.began.elapsed());
        pulse.progress = progress;
        if let Some(beat) = beat {
            session.send(&mut pulse, beat).await?;
        }
        drop(pulse);
        Ok(session)
    }

    /// The newest generation that was promised.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Says that the session is still at work, and moves on to the newest generation.
    pub(super) async fn beat(&self) -> Result<(), RepositoryError> {
        let mut pulse = self.pulse.lock().await;
        let newest = newest_generation(self.store.as_ref()).await?;
        let beat = pulse.progress.beat(newest, self.began.elapsed());
        self.send(&mut pulse, beat).await
    }

    // One that fails may have arrived all the same: the promise holds, and its number is not used
    // again.
    async fn send(&self, pulse: &mut Pulse, beat: Beat) -> Result<(), RepositoryError> {
        let Beat { number, generation } = beat;
        self.generation.store(generation, Ordering::Release);
        let name = ObjectName::Heartbeat(self.point, number);
        let content = Heartbeat { number, generation, previous: pulse.previous };
        let (bytes, link) = self.seal(name, &content)?;
        create_own(self.store.as_ref(), name, bytes.into()).await?;
        pulse.previous = Some(link);
        Ok(())
    }

    /// Promises nothing more, if what was looked up in an index that was loaded at `generation`
    /// is enough to commit.
    pub(super) async fn stand(&self, generation: u64) -> bool {
        let mut pulse = self.pulse.lock().await;
        pulse.progress.loaded(generation);
        pulse.progress.walked();
        pulse.progress.advance() == Next::Commit
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
    Ok(generation::newest(listed.into_iter().map(|listed| listed.name)))
}
