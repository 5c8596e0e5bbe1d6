//! The index in memory: which frame of which pack holds a chunk.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use format::ids::ChunkId;
use format::index::IndexSegment;
use format::names::{ObjectName, PackName};
use format::pack::{self, FrameAddress, PackRecord};
use format::tree::Slice;

use crate::error::RepositoryError;
use crate::reader::Reader;

/// Where the chunks of a repository are.
#[derive(Debug, Default)]
pub struct Index {
    packs: Vec<Arc<PackRecord>>,
    places: HashMap<ChunkId, Entry>,
}

/// The place of one chunk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// The frame that holds it.
    pub frame: FrameAddress,
    /// Where it begins in the frame's plaintext.
    pub offset: u32,
    /// Its length in bytes.
    pub length: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    pack: u32,
    frame: u32,
    offset: u32,
    length: u32,
}

impl Index {
    /// Reads every segment. Packs that are not there, or not of the size that the segment says,
    /// do not count: a segment alone proves nothing. When a segment is damaged, the packs that no
    /// other one names are asked themselves.
    pub(crate) async fn load(reader: &Reader) -> Result<Self, RepositoryError> {
        // Segments first: the packs of a segment were stored before it, so none is too new to list.
        let segments = reader.index_segments().await?;
        let present = reader.packs().await?;
        let mut index = Self::default();
        let mut damaged = false;
        for (name, segment) in segments {
            match segment {
                Ok(segment) => index.add_present(segment.packs, &present),
                Err(error) => {
                    damaged = true;
                    tracing::warn!(%name, error = &error as &dyn std::error::Error, "damaged index");
                }
            }
        }
        if damaged {
            index.add_from_footers(reader, &present).await?;
        }
        Ok(index)
    }

    async fn add_from_footers(
        &mut self,
        reader: &Reader,
        present: &BTreeMap<PackName, u64>,
    ) -> Result<(), RepositoryError> {
        let known: BTreeSet<PackName> = self.packs.iter().map(|pack| pack.name).collect();
        for name in present.keys().filter(|name| !known.contains(name)) {
            let bytes = reader.store().get(ObjectName::Pack(*name)).await?;
            match pack::read_footer(reader.keys(), *name, &bytes) {
                Ok(record) => self.add(record),
                Err(error) => tracing::warn!(%name, %error, "damaged pack"),
            }
        }
        Ok(())
    }

    /// The index of these segments, as far as their packs are there.
    pub(crate) fn of<'a>(
        segments: impl IntoIterator<Item = &'a IndexSegment>,
        present: &BTreeMap<PackName, u64>,
    ) -> Self {
        let mut index = Self::default();
        for segment in segments {
            index.add_present(segment.packs.clone(), present);
        }
        index
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
                let place = Entry { pack, frame, offset, length: chunk.length };
                self.places.insert(chunk.id, place);
                offset = offset.saturating_add(chunk.length);
            }
        }
        self.packs.push(Arc::new(record));
    }

    /// Whether a chunk is stored.
    pub fn contains(&self, chunk: ChunkId) -> Result<bool, RepositoryError> {
        Ok(self.places.contains_key(&chunk))
    }

    /// Whether all bytes of a slice are stored.
    pub fn holds(&self, slice: &Slice) -> Result<bool, RepositoryError> {
        let end = u64::from(slice.offset).saturating_add(u64::from(slice.length));
        Ok(self.find(slice.chunk)?.is_some_and(|place| end <= u64::from(place.length)))
    }

    /// How many chunks are stored.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Where a chunk is; `None` when it is not stored.
    pub fn find(&self, chunk: ChunkId) -> Result<Option<Place>, RepositoryError> {
        let Some(entry) = self.places.get(&chunk) else { return Ok(None) };
        let pack = self.packs.get(entry.pack as usize);
        let frame = pack.and_then(|pack| pack.address(entry.frame));
        Ok(frame.map(|frame| Place { frame, offset: entry.offset, length: entry.length }))
    }
}
