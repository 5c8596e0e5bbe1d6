//! A session: one writer's work in a repository, from registration to commit.

use std::sync::Arc;

use format::control;
use format::frame::Frame;
use format::ids::PointId;
use format::index::IndexSegment;
use format::keys::Keys;
use format::manifest::Manifest;
use format::names::{Folder, ObjectName, PackName};
use format::pack::{self, PackRecord, SealedPack};
use format::session::{Outcome, Registration, SessionEnd};
use serde::Serialize;

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
        let writer = Self { store, keys: Arc::clone(reader.keys()), point: random::point_id() };
        let generation = writer.newest_generation().await?;
        let registration = Registration { host: host.to_owned(), nonce: random::object_id() };
        writer.create(ObjectName::Session(generation, writer.point), &registration).await?;
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
            length += self.create(name, &IndexSegment { packs }).await?;
        }
        Ok(length)
    }

    /// Makes the restore point exist, in one step, or not at all.
    pub async fn commit(self, manifest: Manifest) -> Result<(), RepositoryError> {
        debug_assert_eq!(manifest.point, self.point);
        let name = ObjectName::Outcome(self.point);
        let end = SessionEnd::Commit(Box::new(manifest));
        match self.create(name, &Outcome { nonce: random::object_id(), end }).await {
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

    async fn create<T: Serialize>(
        &self,
        name: ObjectName,
        content: &T,
    ) -> Result<u64, RepositoryError> {
        let bytes = control::seal(&self.keys, name, content, random::bytes())
            .map_err(|e| RepositoryError::damaged(name, e))?;
        let length = bytes.len() as u64;
        create_own(self.store.as_ref(), name, bytes.into()).await?;
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
    use format::ids::{ChunkId, ObjectId};
    use format::pack::FrameRecord;

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
}
