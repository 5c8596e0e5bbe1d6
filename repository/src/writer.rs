//! A session: one writer's work in a repository, from registration to commit.

use std::sync::Arc;

use format::control::{self, Link};
use format::frame::Frame;
use format::ids::PointId;
use format::index::IndexSegment;
use format::keys::Keys;
use format::manifest::Manifest;
use format::names::{Folder, ObjectName, PackName};
use format::pack::{self, PackRecord, SealedPack};
use format::session::{Outcome, Registration, SessionEnd};
use serde::Serialize;
use tokio::sync::Mutex;

use crate::error::RepositoryError;
use crate::random;
use crate::reader::Reader;
use crate::store::{Store, StoreError, create_own};

/// How many packs one index segment names.
const SEGMENT_PACKS: usize = 512;
/// How many chunks one index segment names, if more than one pack: 7 MiB of them, for whoever
/// reads the index holds a whole segment.
const SEGMENT_CHUNKS: usize = 200_000;

/// Adds one restore point to a repository.
///
/// Nothing of it can be seen by others before [`Writer::commit`], and a writer that dies leaves
/// packs that nobody needs, and no more.
#[derive(Clone, Debug)]
pub struct Writer {
    store: Arc<dyn Store>,
    keys: Arc<Keys>,
    point: PointId,
    /// Leads to the session's newest control object.
    newest: Arc<Mutex<Option<Link>>>,
}

impl Writer {
    /// Registers a session under the newest generation.
    ///
    /// `store` must be the one that `reader` reads.
    pub async fn register(
        store: Arc<dyn Store>,
        reader: &Reader,
        host: &str,
    ) -> Result<Self, RepositoryError> {
        let keys = Arc::clone(reader.keys());
        let writer = Self { store, keys, point: random::point_id(), newest: Arc::default() };
        let generation = writer.newest_generation().await?;
        let (host, nonce) = (host.to_owned(), random::object_id());
        let registration = |previous| Registration { host, nonce, previous };
        writer.create(ObjectName::Session(generation, writer.point), registration).await?;
        Ok(writer)
    }

    /// An id that no restore point has, for what is done in place of writing one.
    pub fn unused_point() -> PointId {
        random::point_id()
    }

    /// The id of the restore point to be.
    pub fn point(&self) -> PointId {
        self.point
    }

    /// The keys that chunks are named and cut by.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Seals frames into a pack, and opens it again to see that every chunk can be read.
    pub fn seal(&self, frames: Vec<Frame>) -> Result<SealedPack, RepositoryError> {
        let name = PackName { session: self.point, id: random::object_id() };
        let sealed = pack::seal(&self.keys, name, frames);
        pack::verify(&self.keys, name, &sealed.bytes).map_err(RepositoryError::Verification)?;
        Ok(sealed)
    }

    /// Stores a pack; returns what the index has to say about it.
    pub async fn store_pack(&self, pack: SealedPack) -> Result<PackRecord, RepositoryError> {
        create_own(self.store.as_ref(), ObjectName::Pack(pack.record.name), pack.bytes.into())
            .await?;
        Ok(pack.record)
    }

    /// Stores index segments for packs that are stored already; returns their length in bytes.
    pub async fn store_index(&self, packs: Vec<PackRecord>) -> Result<u64, RepositoryError> {
        let mut length = 0;
        for packs in segments(packs) {
            let name = ObjectName::Index(self.point, random::object_id());
            let segment = |previous| IndexSegment { packs, previous };
            length += self.create(name, segment).await?;
        }
        Ok(length)
    }

    /// Makes the restore point exist, in one step, or not at all.
    pub async fn commit(self, manifest: Manifest) -> Result<(), RepositoryError> {
        debug_assert_eq!(manifest.point, self.point);
        let name = ObjectName::Outcome(self.point);
        let (nonce, end) = (random::object_id(), SessionEnd::Commit(Box::new(manifest)));
        match self.create(name, |previous| Outcome { nonce, end, previous }).await {
            // Only a prune writes the outcome of somebody else's session.
            Err(RepositoryError::Store(StoreError::Exists { .. })) => {
                Err(RepositoryError::Fenced(self.point))
            }
            result => result.map(|_| ()),
        }
    }

    async fn newest_generation(&self) -> Result<u64, RepositoryError> {
        let listed = self.store.list(Folder::Generations).await?;
        let number = |name| match name {
            ObjectName::Generation(number) => Some(number),
            _ => None,
        };
        Ok(listed.into_iter().filter_map(|l| number(l.name)).max().unwrap_or(0))
    }

    // Creates a control object that links to the one before it; returns its length in bytes. One
    // at a time, for the objects of a session are a chain.
    async fn create<T: Serialize>(
        &self,
        name: ObjectName,
        content: impl FnOnce(Option<Link>) -> T,
    ) -> Result<u64, RepositoryError> {
        let mut newest = self.newest.lock().await;
        let bytes = control::seal(&self.keys, name, &content(*newest), random::bytes())
            .map_err(|e| RepositoryError::damaged(name, e))?;
        let (length, link) = (bytes.len() as u64, control::link(&self.keys, name, &bytes));
        create_own(self.store.as_ref(), name, bytes.into()).await?;
        *newest = Some(link);
        Ok(length)
    }
}

// Packs in their order, in groups that are not too large.
fn segments(packs: Vec<PackRecord>) -> impl Iterator<Item = Vec<PackRecord>> {
    let chunks = |pack: &PackRecord| pack.frames.iter().map(|frame| frame.chunks.len()).sum();
    let mut packs = packs.into_iter().peekable();
    std::iter::from_fn(move || {
        let first = packs.next()?;
        let mut left = SEGMENT_CHUNKS.saturating_sub(chunks(&first));
        let mut segment = vec![first];
        while segment.len() < SEGMENT_PACKS {
            let Some(next) = packs.next_if(|next| chunks(next) <= left) else { break };
            left -= chunks(&next);
            segment.push(next);
        }
        Some(segment)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use format::frame::{ChunkKind, ChunkRecord, Codec};
    use format::ids::{ChunkId, ObjectId, RepositoryId};
    use format::keys::RootKey;
    use format::pack::FrameRecord;

    use crate::store::ReadStore;
    use crate::store::remote::RemoteStore;

    #[test]
    fn no_segment_is_too_large_and_no_pack_is_lost() {
        let pack = |number: u32| {
            let chunk = ChunkRecord { id: ChunkId::new([0; 32]), length: 1 };
            let frame = FrameRecord {
                offset: 0,
                length: 0,
                kind: ChunkKind::Data,
                codec: Codec::Plain,
                raw_length: 0,
                chunks: vec![chunk; number as usize % 1500],
            };
            let id = ObjectId::new(u128::from(number).to_be_bytes());
            let name = PackName { session: PointId::new([0; 16]), id };
            PackRecord { name, size: 0, salt: [0; 32], frames: vec![frame] }
        };
        let mut packs: Vec<_> = (0..2000).map(pack).collect();
        let chunk = packs[1].frames[0].chunks[0];
        packs[1000].frames[0].chunks.resize(SEGMENT_CHUNKS + 1, chunk);
        let segments: Vec<_> = segments(packs.clone()).collect();
        for segment in &segments {
            let chunks: usize = segment.iter().map(|pack| pack.frames[0].chunks.len()).sum();
            assert!(segment.len() <= SEGMENT_PACKS);
            assert!(chunks <= SEGMENT_CHUNKS || segment.len() == 1);
        }
        assert_eq!(segments.concat(), packs);
        assert!(segments.len() < 15, "{}", segments.len());
    }

    #[tokio::test]
    async fn the_control_objects_of_a_session_are_a_chain() {
        let store: Arc<dyn Store> = Arc::new(RemoteStore::in_memory());
        let readable: Arc<dyn ReadStore> = Arc::<dyn Store>::clone(&store);
        let keys = Keys::derive(&RootKey::new([1; 32]), RepositoryId::new([2; 16]));
        let reader = Reader::with_keys(readable, keys);
        let writer = Writer::register(Arc::clone(&store), &reader, "here").await.unwrap();
        let session = ObjectName::Session(0, writer.point());
        let bytes = store.get(session).await.unwrap();
        let keys = writer.keys();
        let first: Registration = control::open(keys, session, &bytes).unwrap();
        assert_eq!(first.previous, None);
        let mut previous = control::link(keys, session, &bytes);
        for _ in 0..2 {
            let known = store.list(Folder::Indexes).await.unwrap();
            let packs = vec![writer.seal(Vec::new()).unwrap().record];
            writer.store_index(packs).await.unwrap();
            let mut segments = store.list(Folder::Indexes).await.unwrap();
            segments.retain(|listed| !known.contains(listed));
            let name = segments[0].name;
            let bytes = store.get(name).await.unwrap();
            assert_eq!(IndexSegment::open(keys, name, &bytes).unwrap().previous, Some(previous));
            previous = control::link(keys, name, &bytes);
        }
    }
}
