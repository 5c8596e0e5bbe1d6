//! The chunks of a repository, read by name.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use format::ids::ChunkId;
use format::keys::Keys;
use format::names::{ObjectName, PackName};
use format::pack::{self, FrameAddress, OpenedFrame};
use format::tree::Slice;

use crate::blocking;
use crate::condemned::Condemned;
use crate::error::RepositoryError;
use crate::frames::Frames;
use crate::index::{Index, Place};
use crate::reader::Reader;

/// Reads chunks, each checked against its name.
#[derive(Debug)]
pub struct Chunks {
    reader: Reader,
    index: Index,
    frames: Frames,
}

impl Chunks {
    /// Loads the index of the repository.
    ///
    /// What was read of it is kept below `cache` for the next time, as far as that can be written:
    /// a directory that any number of processes may share and that may be deleted at any time.
    pub async fn load(reader: &Reader, cache: Option<&Path>) -> Result<Self, RepositoryError> {
        Ok(Self::with(reader, Index::load(reader, cache, &Condemned::default()).await?))
    }

    /// The same without what is condemned.
    pub(crate) async fn load_for_writer(
        reader: &Reader,
        cache: Option<&Path>,
        condemned: Condemned,
    ) -> Result<Self, RepositoryError> {
        Ok(Self::with(reader, Index::load(reader, cache, &condemned).await?))
    }

    /// Reads by an index that is loaded already.
    pub(crate) fn with(reader: &Reader, index: Index) -> Self {
        Self { reader: reader.clone(), index, frames: Frames::default() }
    }

    /// Which chunks there are.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The keys that chunks are named by.
    pub fn keys(&self) -> &Keys {
        self.reader.keys()
    }

    /// The bytes of a slice.
    pub async fn read(&self, slice: Slice) -> Result<Bytes, RepositoryError> {
        let place = self.find(slice.chunk)?;
        match self.read_at(slice, place).await {
            Err(error) => match self.read_elsewhere(slice, place.frame.pack).await {
                Some(bytes) => Ok(bytes),
                None => Err(error),
            },
            read => read,
        }
    }

    /// The bytes of a slice from any pack but this one, which does not give them; `None` where no
    /// other does.
    pub async fn read_elsewhere(&self, slice: Slice, than: PackName) -> Option<Bytes> {
        let places = self.index.places(slice.chunk).ok()?;
        for place in places.into_iter().filter(|place| place.frame.pack != than) {
            if let Ok(bytes) = self.read_at(slice, place).await {
                return Some(bytes);
            }
        }
        None
    }

    async fn read_at(&self, slice: Slice, place: Place) -> Result<Bytes, RepositoryError> {
        let frame = self.frame(place.frame).await?;
        let name = ObjectName::Pack(place.frame.pack);
        let chunk = frame
            .chunk(self.keys(), slice.chunk, place.offset, place.length)
            .map_err(|e| RepositoryError::damaged(name, e))?;
        let end = (slice.offset as usize).saturating_add(slice.length as usize);
        let bytes = chunk.get(slice.offset as usize..end);
        let bytes =
            bytes.ok_or_else(|| RepositoryError::damaged(name, "a slice leaves its chunk"))?;
        Ok(Bytes::copy_from_slice(bytes))
    }

    /// Where a chunk is.
    ///
    /// # Errors
    /// [`RepositoryError::MissingChunk`] when no pack that is there has it.
    pub fn find(&self, chunk: ChunkId) -> Result<Place, RepositoryError> {
        self.index.find(chunk)?.ok_or(RepositoryError::MissingChunk(chunk))
    }

    /// Exactly these bytes of a pack, as they are stored.
    pub async fn fetch_range(
        &self,
        pack: PackName,
        range: Range<u64>,
    ) -> Result<Bytes, RepositoryError> {
        Ok(self.reader.store().get_range(ObjectName::Pack(pack), range).await?)
    }

    // Many may want the same frame at once: it is fetched and opened for all of them.
    async fn frame(&self, address: FrameAddress) -> Result<Arc<OpenedFrame>, RepositoryError> {
        let key = (address.pack, address.number);
        let opening = async || {
            let end = address.offset.saturating_add(u64::from(address.length));
            let sealed = self.fetch_range(address.pack, address.offset..end).await?;
            let keys = Arc::clone(self.reader.keys());
            // Opening takes milliseconds of computing: not on a thread that others wait for.
            let opening = blocking::run(move || open_frame(&keys, &address, &sealed));
            let frame = Arc::new(opening.await?);
            self.frames.opened(key, &frame);
            Ok(frame)
        };
        let cell = self.frames.cell(key);
        cell.get_or_try_init(opening).await.cloned()
    }
}

/// Opens a frame, of which `sealed` are the stored bytes; names the pack when that fails.
pub fn open_frame(
    keys: &Keys,
    frame: &FrameAddress,
    sealed: &[u8],
) -> Result<OpenedFrame, RepositoryError> {
    pack::open_frame(keys, frame, sealed)
        .map_err(|error| RepositoryError::damaged(ObjectName::Pack(frame.pack), error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::world::{World, chunk_id, plaintext};

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_frame_that_many_want_at_once_is_fetched_once() {
        let world = World::new();
        world.segment([world.pack(0..6)]);
        let chunks = Arc::new(Chunks::load(&world.reader(), None).await.unwrap());
        let mut reads = tokio::task::JoinSet::new();
        for number in (0..6).cycle().take(60) {
            let chunks = Arc::clone(&chunks);
            reads.spawn(async move {
                let wanted = plaintext(number);
                let length = u32::try_from(wanted.len()).unwrap();
                let slice = Slice { chunk: chunk_id(number), offset: 0, length };
                assert_eq!(chunks.read(slice).await.unwrap(), wanted);
            });
        }
        while let Some(read) = reads.join_next().await {
            read.unwrap();
        }
        assert_eq!(world.reads(|name| matches!(name, ObjectName::Pack(_))), 2);
    }

    #[tokio::test]
    async fn what_could_not_be_fetched_is_tried_again() {
        let world = World::new();
        let pack = world.pack(0..3);
        world.segment([pack.clone()]);
        let chunks = Chunks::load(&world.reader(), None).await.unwrap();
        let slice = Slice { chunk: chunk_id(1), offset: 8, length: 8 };
        let good = world.remove(ObjectName::Pack(pack.name));
        assert!(matches!(chunks.read(slice).await, Err(RepositoryError::Store(_))));
        world.put(ObjectName::Pack(pack.name), good);
        assert_eq!(chunks.read(slice).await.unwrap(), plaintext(1)[8..]);
        let missing = chunks.read(Slice { chunk: chunk_id(7), ..slice }).await;
        assert!(matches!(missing, Err(RepositoryError::MissingChunk(_))));
    }
}
