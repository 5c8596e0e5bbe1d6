//! The chunks of a repository, read by name.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use format::names::{ObjectName, PackName};
use format::pack::{self, PackRecord};
use format::tree::Slice;

use crate::blocking;
use crate::error::RepositoryError;
use crate::index::Index;
use crate::reader::Reader;

/// How many bytes of decoded frames are kept for the chunks beside the one that was asked for.
const CACHE_BYTES_MAX: usize = 64 << 20;

/// No directory has a longer listing: 1 GiB is several million names.
const LISTING_BYTES_MAX: u64 = 1 << 30;

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

    /// The bytes of a slice.
    pub async fn read(&self, slice: Slice) -> Result<Bytes, RepositoryError> {
        let missing = RepositoryError::MissingChunk(slice.chunk);
        let Some((pack, place)) = self.index.find(slice.chunk) else { return Err(missing) };
        let key = (pack.name, place.frame);
        let cached = self.cache().get(key);
        let frame = if let Some(frame) = cached {
            frame
        } else {
            let frame = self.fetch(Arc::clone(&pack), place.frame).await?;
            self.cache().insert(key, frame.clone());
            frame
        };
        let start = place.offset.saturating_add(slice.offset) as usize;
        let end = start.saturating_add(slice.length as usize);
        if slice.offset.saturating_add(slice.length) > place.length || end > frame.len() {
            return Err(RepositoryError::damaged(
                ObjectName::Pack(pack.name),
                "a slice leaves its chunk",
            ));
        }
        Ok(frame.slice(start..end))
    }

    /// The bytes of the slices of a listing, one after another.
    pub async fn read_listing(&self, slices: &[Slice]) -> Result<Vec<u8>, RepositoryError> {
        let length: u64 = slices.iter().map(|slice| u64::from(slice.length)).sum();
        if length > LISTING_BYTES_MAX {
            return Err(RepositoryError::ListingTooLong(length));
        }
        let mut bytes = Vec::new();
        for slice in slices {
            bytes.extend_from_slice(&self.read(*slice).await?);
        }
        Ok(bytes)
    }

    async fn fetch(&self, record: Arc<PackRecord>, number: u32) -> Result<Bytes, RepositoryError> {
        let name = ObjectName::Pack(record.name);
        let frame = record.frames.get(number as usize).ok_or_else(|| {
            RepositoryError::damaged(name, "it has fewer frames than the index says")
        })?;
        let range = frame.offset..frame.offset.saturating_add(u64::from(frame.length));
        let sealed = self.reader.store().get_range(name, range).await?;
        let keys = Arc::clone(self.reader.keys());
        // Opening takes milliseconds of computing, so several frames are opened on several cores.
        let opening = blocking::run(move || pack::open_frame(&keys, &record, number, &sealed));
        Ok(opening.await.map_err(|e| RepositoryError::damaged(name, e))?.into())
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        // The cache is whole between any two of its operations, so a panic elsewhere leaves it so.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type FrameKey = (PackName, u32);

/// Decoded frames; the one that came first goes first.
#[derive(Debug, Default)]
struct Cache {
    frames: HashMap<FrameKey, Bytes>,
    order: VecDeque<FrameKey>,
    bytes: usize,
}

impl Cache {
    fn get(&self, key: FrameKey) -> Option<Bytes> {
        self.frames.get(&key).cloned()
    }

    fn insert(&mut self, key: FrameKey, frame: Bytes) {
        let length = frame.len();
        if self.frames.insert(key, frame).is_none() {
            self.order.push_back(key);
            self.bytes += length;
        }
        while self.bytes > CACHE_BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { return };
            self.bytes -= self.frames.remove(&oldest).map_or(0, |frame| frame.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use format::ids::{ObjectId, PointId};

    #[test]
    fn the_cache_stays_within_its_bytes() {
        let mut cache = Cache::default();
        let key = |n| (PackName { session: PointId::new([0; 16]), id: ObjectId::new([0; 16]) }, n);
        for n in 0..200 {
            cache.insert(key(n), Bytes::from(vec![0; 1 << 20]));
            assert!(cache.bytes <= CACHE_BYTES_MAX);
        }
        assert!(cache.get(key(199)).is_some() && cache.get(key(0)).is_none());
    }
}
