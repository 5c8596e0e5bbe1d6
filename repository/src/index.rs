//! The index in memory: which frame of which pack holds a chunk.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use format::ids::ChunkId;
use format::names::PackName;
use format::pack::PackRecord;

use crate::error::RepositoryError;
use crate::reader::Reader;

/// Where the chunks of a repository are.
#[derive(Debug, Default)]
pub struct Index {
    packs: Vec<Arc<PackRecord>>,
    places: HashMap<ChunkId, Place>,
}

/// The place of one chunk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    pack: u32,
    pub(crate) frame: u32,
    /// Where the chunk begins in the frame's plaintext.
    pub(crate) offset: u32,
    pub(crate) length: u32,
}

impl Index {
    /// Reads every segment. Packs that are not there, or not of the size that the segment says,
    /// do not count: a segment alone proves nothing.
    pub(crate) async fn load(reader: &Reader) -> Result<Self, RepositoryError> {
        // Segments first: the packs of a segment were stored before it, so none is too new to list.
        let segments = reader.index_segments().await?;
        let present = reader.packs().await?;
        let mut index = Self::default();
        for (_, segment) in segments {
            index.add_present(segment?.packs, &present);
        }
        Ok(index)
    }

    fn add_present(&mut self, packs: Vec<PackRecord>, present: &BTreeMap<PackName, u64>) {
        for pack in packs {
            if present.get(&pack.name) == Some(&pack.size) {
                self.add(pack);
            }
        }
    }

    /// Adds a pack that is known to be there.
    pub(crate) fn add(&mut self, record: PackRecord) {
        let Ok(pack) = u32::try_from(self.packs.len()) else { return };
        for (frame, contents) in (0..).zip(&record.frames) {
            let mut offset = 0;
            for chunk in &contents.chunks {
                let place = Place { pack, frame, offset, length: chunk.length };
                self.places.insert(chunk.id, place);
                offset = offset.saturating_add(chunk.length);
            }
        }
        self.packs.push(Arc::new(record));
    }

    /// Whether a chunk is stored.
    pub fn contains(&self, chunk: ChunkId) -> bool {
        self.places.contains_key(&chunk)
    }

    /// How many chunks are stored.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The pack and the place of a chunk.
    pub(crate) fn find(&self, chunk: ChunkId) -> Option<(Arc<PackRecord>, Place)> {
        let place = *self.places.get(&chunk)?;
        Some((Arc::clone(self.packs.get(place.pack as usize)?), place))
    }
}
