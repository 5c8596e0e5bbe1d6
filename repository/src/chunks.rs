//! The chunks of a repository, read by name.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use format::keys::Keys;
use format::names::{ObjectName, PackName};
use format::pack::{self, FrameAddress, OpenedFrame};
use format::tree::Slice;

use crate::blocking;
use crate::error::RepositoryError;
use crate::index::Index;
use crate::reader::Reader;

/// How many bytes of decoded frames are kept for the chunks beside the one that was asked for.
const CACHE_BYTES_MAX: usize = 64 << 20;

/// Reads chunks, each checked against its name.
#[derive(Debug)]
pub struct Chunks {
    reader: Reader,
    index: Index,
    cache: Mutex<Cache>,
}

impl Chunks {
    /// Loads the index of the repository.
    pub async fn load(reader: &Reader) -> Result<Self, RepositoryError> {
        Ok(Self::with(reader, Index::load(reader).await?))
    }

    /// Reads by an index that is loaded already.
    pub(crate) fn with(reader: &Reader, index: Index) -> Self {
        Self { reader: reader.clone(), index, cache: Mutex::default() }
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
        let missing = || RepositoryError::MissingChunk(slice.chunk);
        let place = self.index.find(slice.chunk)?.ok_or_else(missing)?;
        let key = (place.frame.pack, place.frame.number);
        let cached = self.cache().get(key);
        let frame = if let Some(frame) = cached {
            frame
        } else {
            let sealed = self.fetch(&place.frame).await?;
            let keys = Arc::clone(self.reader.keys());
            // Opening takes milliseconds of computing: not on a thread that others wait for.
            let opening =
                blocking::run(move || open_frame(&keys, &place.frame, &sealed).map(Arc::new));
            let frame = opening.await?;
            self.cache().insert(key, Arc::clone(&frame));
            frame
        };
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

    /// Exactly these bytes of a pack.
    pub async fn fetch_range(
        &self,
        pack: PackName,
        range: Range<u64>,
    ) -> Result<Bytes, RepositoryError> {
        Ok(self.reader.store().get_range(ObjectName::Pack(pack), range).await?)
    }

    /// The sealed bytes of a frame.
    async fn fetch(&self, frame: &FrameAddress) -> Result<Bytes, RepositoryError> {
        let range = frame.offset..frame.offset.saturating_add(u64::from(frame.length));
        self.fetch_range(frame.pack, range).await
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        // The cache is whole between any two of its operations, so a panic elsewhere leaves it so.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
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

type FrameKey = (PackName, u32);

/// Decoded frames; the one that came first goes first.
#[derive(Debug, Default)]
struct Cache {
    frames: HashMap<FrameKey, Arc<OpenedFrame>>,
    order: VecDeque<FrameKey>,
    bytes: usize,
}

impl Cache {
    fn get(&self, key: FrameKey) -> Option<Arc<OpenedFrame>> {
        self.frames.get(&key).cloned()
    }

    fn insert(&mut self, key: FrameKey, frame: Arc<OpenedFrame>) {
        let length = frame.length();
        if self.frames.insert(key, frame).is_none() {
            self.order.push_back(key);
            self.bytes += length;
        }
        while self.bytes > CACHE_BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { return };
            self.bytes -= self.frames.remove(&oldest).map_or(0, |frame| frame.length());
        }
    }
}
