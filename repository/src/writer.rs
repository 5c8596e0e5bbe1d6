//! A session: one writer's work in a repository, from registration to outcome.
//!
//! # Invariants
//! - A writer never deletes anything, and waits for nobody.
//! - What it relies on is listed, of the right size, and not condemned at the generation that it
//!   promised last; see docs/format.md#sessions.

mod outcome;
mod segments;
mod session;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use format::frame::Frame;
use format::ids::PointId;
use format::index::IndexSegment;
use format::keys::Keys;
use format::manifest::Manifest;
use format::names::{ObjectName, PackName};
use format::pack::{self, PackRecord, SealedPack};
use format::session::SessionEnd;
use tokio::task::JoinSet;

use self::segments::segments;
use self::session::{Session, keep_beating};
use crate::chunks::Chunks;
use crate::error::RepositoryError;
use crate::pool::Pool;
use crate::protocol::writer::HEARTBEAT_PERIOD;
use crate::random;
use crate::reader::Reader;
use crate::store::{Store, create_own};

/// The memory of how many packs is kept for the next ones.
const PACKS_KEPT: usize = 3;

/// Adds packs to a repository, and one restore point.
///
/// Nothing of it can be seen by others before the commit, and a writer that dies leaves packs that
/// nobody needs, and no more. While any clone of it lives, it says now and then that it is still
/// at work, and moves on to newer generations.
#[derive(Clone, Debug)]
pub struct Writer {
    session: Arc<Session>,
    /// That of packs, which are large.
    memory: Arc<Pool<Vec<u8>>>,
    /// Ends with the last clone.
    _heartbeats: Arc<JoinSet<()>>,
}

/// The chunks that a writer may rely on.
#[derive(Debug)]
pub struct Known {
    /// The chunks; what is condemned is left out.
    pub chunks: Chunks,
    /// The generation that this holds for.
    pub generation: u64,
}

/// A writer that promises nothing more, and whose restore point can be made to exist.
#[must_use = "the restore point exists only when it is committed"]
#[derive(Debug)]
pub struct Standing(Writer);

impl Writer {
    /// Registers a session.
    ///
    /// `store` must be the one that `reader` reads. Call it on a runtime: the heartbeats run there.
    pub async fn register(
        store: Arc<dyn Store>,
        reader: &Reader,
        host: &str,
    ) -> Result<Self, RepositoryError> {
        Self::register_beating(store, reader, host, HEARTBEAT_PERIOD).await
    }

    /// The same with another time between two heartbeats, which should be minutes.
    pub async fn register_beating(
        store: Arc<dyn Store>,
        reader: &Reader,
        host: &str,
        interval: Duration,
    ) -> Result<Self, RepositoryError> {
        let session = Arc::new(Session::register(store, reader, host).await?);
        let mut heartbeats = JoinSet::new();
        heartbeats.spawn(keep_beating(Arc::clone(&session), interval));
        let memory = Arc::new(Pool::new(PACKS_KEPT));
        Ok(Self { session, memory, _heartbeats: Arc::new(heartbeats) })
    }

    /// An id that no restore point has, for what is done in place of writing one.
    pub fn unused_point() -> PointId {
        random::point_id()
    }

    /// The id of the session, and of the restore point to be.
    pub fn point(&self) -> PointId {
        self.session.point
    }

    /// The keys that chunks are named and cut by.
    pub fn keys(&self) -> &Keys {
        self.session.reader.keys()
    }

    /// The newest generation that the session has moved on to.
    pub fn generation(&self) -> u64 {
        self.session.generation()
    }

    /// Says that the session is still at work, and moves on to the newest generation; that happens
    /// every five minutes anyway. What was loaded before a move may not be enough to commit.
    pub async fn beat(&self) -> Result<(), RepositoryError> {
        self.session.beat().await
    }

    /// Loads the index of what the session may rely on, under the newest generation that it has
    /// moved on to. What is read of it is kept below `cache`, as by [`Chunks::load`].
    pub async fn known(&self, cache: Option<&Path>) -> Result<Known, RepositoryError> {
        let reader = &self.session.reader;
        // Asked first: a move while the index is being loaded counts as one after it.
        let generation = self.generation();
        let condemned = reader.condemned(generation).await?;
        Ok(Known { chunks: Chunks::load_for_writer(reader, cache, condemned).await?, generation })
    }

    /// Seals frames into a pack, and opens it again to see that every chunk can be read.
    pub fn seal(&self, frames: Vec<Frame>) -> Result<SealedPack, RepositoryError> {
        let name = PackName { session: self.point(), id: random::object_id() };
        let sealed = pack::seal(self.keys(), name, frames, self.memory.take());
        pack::verify(self.keys(), name, &sealed.bytes).map_err(RepositoryError::Verification)?;
        Ok(sealed)
    }

    /// Whether a pack that has been out of memory is what [`Writer::seal`] made.
    pub fn verify(&self, pack: &SealedPack) -> Result<(), RepositoryError> {
        let verified = pack::verify(self.keys(), pack.record.name, &pack.bytes);
        verified.map(drop).map_err(RepositoryError::Verification)
    }

    /// Stores a pack; returns what the index has to say about it.
    pub async fn store_pack(&self, pack: SealedPack) -> Result<PackRecord, RepositoryError> {
        let name = ObjectName::Pack(pack.record.name);
        let bytes = Bytes::from(pack.bytes);
        create_own(self.session.store.as_ref(), name, bytes.clone()).await?;
        // A store that still holds on to it keeps it.
        if let Ok(memory) = bytes.try_into_mut() {
            self.memory.give(memory.into());
        }
        Ok(pack.record)
    }

    /// Stores index segments for packs that are stored already; returns their length in bytes.
    pub async fn store_index(&self, packs: Vec<PackRecord>) -> Result<u64, RepositoryError> {
        let mut length = 0;
        for packs in segments(packs) {
            let name = ObjectName::Index(self.point(), random::object_id());
            let segment = |previous| IndexSegment { packs, previous };
            length += self.session.create(name, segment).await?;
        }
        Ok(length)
    }

    /// Moves on no more, to commit what relies on chunks that were loaded at `generation`; see
    /// [`Known`]. A writer that has moved since comes back: what it relies on must be looked at
    /// again, once, for it moves no more from then on.
    pub async fn stand(self, generation: u64) -> Result<Standing, Self> {
        if self.session.stand(generation).await { Ok(Standing(self)) } else { Err(self) }
    }

    /// Ends the session without a restore point; what it stored stays.
    ///
    /// # Errors
    /// As [`Standing::commit`].
    pub async fn resolve(self) -> Result<(), RepositoryError> {
        outcome::end(&self.session, SessionEnd::Repacked).await
    }
}

impl Standing {
    /// The id of the restore point to be.
    pub fn point(&self) -> PointId {
        self.0.point()
    }

    /// Makes the restore point exist, in one step, or not at all.
    ///
    /// # Errors
    /// [`RepositoryError::Fenced`] when a prune has ended the session: then there is no point, and
    /// never will be. [`RepositoryError::UnknownOutcome`] when nobody can tell whether the point
    /// exists. After all others it does not.
    pub async fn commit(self, manifest: Manifest) -> Result<(), RepositoryError> {
        debug_assert_eq!(manifest.point, self.0.point());
        outcome::end(&self.0.session, SessionEnd::Commit(Box::new(manifest))).await
    }
}
