//! The index: which frame of which pack holds a chunk.
//!
//! Segments are read once and become sorted tables in files; see `table.rs`. What is in memory is
//! a few bytes a chunk, and what is in a cache is checked whenever it is read.

mod bits;
mod blocks;
mod build;
pub(crate) mod census;
mod fences;
mod filter;
mod gather;
mod load;
pub(crate) mod marks;
mod merge;
mod pieces;
mod row;
mod rows;
mod shelf;
mod sort;
mod table;
mod tag;
#[cfg(test)]
pub(crate) mod tests;
mod write;

use std::io;
use std::path::Path;

use format::ids::{ChunkId, Digest};
use format::names::{ObjectName, PackName};
use format::pack::FrameAddress;
use format::tree::Slice;
pub(crate) use gather::SegmentRecord;
pub(crate) use load::{Opened, add_footers};

use self::bits::Bits;
use self::table::Table;
use crate::error::RepositoryError;
use crate::protocol::condemned::Condemned;
use crate::reader::{PackListing, Reader};

/// How many places of one chunk are worth trying.
const PLACES_MAX: usize = 8;

/// Where the chunks of a repository are, as of when it was opened. Any number of threads may ask
/// at once.
#[derive(Debug)]
pub struct Index {
    tables: Vec<Table>,
    chunks: u64,
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

impl Index {
    /// Opens the index. Packs that are condemned, not there, or not of the size that the segment
    /// says, do not count: a segment alone proves nothing. When a segment is damaged or lost, the
    /// packs that no other one names are asked themselves.
    ///
    /// Tables are kept below `cache` for the next time; without it, or when it cannot be written,
    /// all segments are read and nothing is kept.
    pub(crate) async fn load(
        reader: &Reader,
        cache: Option<&Path>,
        condemned: &Condemned,
    ) -> Result<Self, RepositoryError> {
        let mut opened = load::open(reader, cache, condemned).await?;
        let orphans = opened.orphaned(reader).await?;
        add_footers(reader, &mut opened, orphans).await?;
        Ok(opened.index)
    }

    /// The same for whoever writes: only what segments name. While a segment cannot be read, readers
    /// also look at packs that none names, and those of a session that died are lost to them again
    /// when it can: nobody may rely on such a pack.
    pub(crate) async fn load_named(
        reader: &Reader,
        cache: Option<&Path>,
        condemned: &Condemned,
    ) -> Result<Self, RepositoryError> {
        Ok(load::open(reader, cache, condemned).await?.index)
    }

    /// Opens the index from its segments alone, however damaged, and keeps nothing.
    pub(crate) async fn read(reader: &Reader) -> Result<Opened, RepositoryError> {
        load::open(reader, None, &Condemned::default()).await
    }

    /// Whether a chunk is stored.
    pub fn contains(&self, chunk: ChunkId) -> Result<bool, RepositoryError> {
        Ok(self.find(chunk)?.is_some())
    }

    /// Whether all bytes of a slice are stored.
    pub fn holds(&self, slice: &Slice) -> Result<bool, RepositoryError> {
        let end = u64::from(slice.offset).saturating_add(u64::from(slice.length));
        Ok(self.find(slice.chunk)?.is_some_and(|place| end <= u64::from(place.length)))
    }

    /// How many chunks the packs have; one that lies in two of them counts twice.
    pub fn len(&self) -> u64 {
        self.chunks
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.chunks == 0
    }

    /// Where a chunk is; `None` when it is not stored.
    ///
    /// # Errors
    /// When a table was damaged after it was opened. It is removed, so that it is made again when
    /// the index is opened the next time.
    pub fn find(&self, chunk: ChunkId) -> Result<Option<Place>, RepositoryError> {
        for table in &self.tables {
            match table.find(chunk) {
                Ok(None) => {}
                Ok(place) => return Ok(place),
                Err(error) => return Err(unusable(table, error)),
            }
        }
        Ok(None)
    }

    /// All places of a chunk, or some when there are very many: each copy is as good.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn places(&self, chunk: ChunkId) -> Result<Vec<Place>, RepositoryError> {
        let mut places = Vec::new();
        for table in &self.tables {
            table.places(chunk, PLACES_MAX, &mut places).map_err(|e| unusable(table, e))?;
        }
        Ok(places)
    }

    /// Opens the index of everything that lies there, for whoever decides what may go: also the
    /// packs that no segment names, as far as `is_asked` says, by their own footers. What cannot be
    /// read and is condemned is left in [`Opened::damaged`].
    ///
    /// # Errors
    /// Also when a segment is damaged that is not condemned.
    pub(crate) async fn whole(
        reader: &Reader,
        cache: Option<&Path>,
        condemned: &Condemned,
        is_asked: impl Fn(PackName) -> bool,
    ) -> Result<Opened, RepositoryError> {
        let mut opened = load::open(reader, cache, &Condemned::default()).await?;
        let unread = |(name, _): &(ObjectName, _)| !condemned.contains(*name);
        if let Some(at) = opened.damaged.iter().position(unread) {
            return Err(opened.damaged.swap_remove(at).1);
        }
        let mut unnamed = opened.undescribed();
        unnamed.retain(|(pack, _)| is_asked(*pack));
        add_footers(reader, &mut opened, unnamed).await?;
        Ok(opened)
    }

    // From now on the packs count that are listed; returns which of them any table describes.
    fn settle(&mut self, packs: &PackListing) -> Bits {
        let mut counted = Bits::new(packs.len());
        let chunks = self.tables.iter_mut().map(|table| table.settle(packs, &mut counted));
        self.chunks = chunks.sum();
        counted
    }

    /// What the segments say of each pack: its name, its size, and the digest of its record. The
    /// order is that of the names, and a pack may come more than once.
    pub(crate) fn packs(&self) -> Vec<(PackName, u64, Digest)> {
        let rows = self.tables.iter().flat_map(Table::packs);
        let rows = rows.filter(|(_, stands)| *stands);
        let mut packs: Vec<_> = rows.map(|(row, _)| (row.name, row.size, row.digest)).collect();
        packs.sort_unstable_by_key(|(name, ..)| *name);
        packs
    }
}

fn unusable(table: &Table, source: io::Error) -> RepositoryError {
    let path = table.path().map(|path| path.display().to_string()).unwrap_or_default();
    if let Some(path) = table.path() {
        shelf::reject(path, &source);
    }
    RepositoryError::Cache { path, source }
}
