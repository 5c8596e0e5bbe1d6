//! One table: the chunks of some index segments, sorted, in a file.
//!
//! ```text
//! header    256 bytes: magic, identity, counts; tag
//! blocks    256 bytes each: 4 chunk rows in ascending order of their ids; tag
//! pieces    64 KiB each and a tag: names of segments, packs in ascending order of their names,
//!           fences, filter
//! ```
//!
//! The pieces are read and checked when the table is opened and stay in memory: about 3.3 bytes a
//! chunk and 100 a pack. Blocks are read one at a time, checked each time, and stay in the page
//! cache alone.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use format::ids::ChunkId;
use format::keys::Keys;

use super::Place;
use super::bits::Bits;
use super::fences::{FENCE_BYTES, Fences};
use super::filter::Filter;
use super::pieces::{PieceReader, length_in_pieces};
use super::row::{
    CHUNK_BYTES, ChunkRow, Fields, NO_SEGMENT, PACK_BYTES, PackRow, SEGMENT_BYTES, SegmentName,
    Writer,
};
use super::rows::Rows;
use super::tag::{Part, TAG_BYTES, Tagger, altered};
use crate::reader::PackListing;

pub(super) const BLOCK_BYTES: usize = 256;
/// How many rows a block has.
pub(super) const BLOCK_ROWS: usize = (BLOCK_BYTES - TAG_BYTES) / CHUNK_BYTES;
// With the tag's context in its place, a block is exactly four of BLAKE3's.
const _: () = assert!(BLOCK_ROWS * CHUNK_BYTES + TAG_BYTES == BLOCK_BYTES);
/// The last digit is the version.
const MAGIC: [u8; 8] = *b"SPtable1";

/// How much there is in a table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Header {
    pub(super) identity: u64,
    pub(super) chunks: u64,
    pub(super) segments: u64,
    pub(super) packs: u64,
    pub(super) filter_bytes: u64,
}

impl Header {
    pub(super) fn to_block(self, keys: &Arc<Keys>) -> [u8; BLOCK_BYTES] {
        let mut fields = Writer::<BLOCK_BYTES>::new();
        fields.put(&MAGIC);
        for number in [self.identity, self.chunks, self.segments, self.packs, self.filter_bytes] {
            fields.put(&number.to_le_bytes());
        }
        let mut block = fields.bytes;
        let tag = Tagger::new(Arc::clone(keys), self.identity).tag(Part::Header, &mut block);
        if let Some(end) = block.last_chunk_mut() {
            *end = tag;
        }
        block
    }

    fn from_block(keys: &Arc<Keys>, mut block: [u8; BLOCK_BYTES]) -> io::Result<Self> {
        Tagger::new(Arc::clone(keys), 0).check(Part::Header, &mut block)?;
        let mut fields = Fields(&block);
        let magic: [u8; 8] = fields.take();
        let header = Self {
            identity: fields.long(),
            chunks: fields.long(),
            segments: fields.long(),
            packs: fields.long(),
            filter_bytes: fields.long(),
        };
        if magic == MAGIC { Ok(header) } else { Err(altered()) }
    }

    fn blocks(&self) -> u64 {
        self.chunks.div_ceil(BLOCK_ROWS as u64)
    }

    fn pieces_start(&self) -> u64 {
        self.blocks().saturating_add(1).saturating_mul(BLOCK_BYTES as u64)
    }

    fn file_bytes(&self) -> u64 {
        let parts = [
            self.segments.saturating_mul(SEGMENT_BYTES as u64),
            self.packs.saturating_mul(PACK_BYTES as u64),
            self.blocks().saturating_mul(FENCE_BYTES as u64),
            self.filter_bytes,
        ];
        let pieces = parts.into_iter().fold(0, u64::saturating_add);
        self.pieces_start().saturating_add(length_in_pieces(pieces))
    }
}

/// A table whose names of segments are known, before the rest is read.
#[derive(Debug)]
pub(super) struct Cover {
    file: File,
    path: Option<PathBuf>,
    keys: Arc<Keys>,
    header: Header,
    pieces: PieceReader,
    segments: Vec<SegmentName>,
}

impl Cover {
    /// Opens the table in this file; `path` is its name, when it has one.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when it is damaged.
    pub(super) fn open(file: File, path: Option<PathBuf>, keys: &Arc<Keys>) -> io::Result<Self> {
        let mut block = [0; BLOCK_BYTES];
        let length = file.metadata()?.len();
        if length < BLOCK_BYTES as u64 {
            return Err(altered());
        }
        file.read_exact_at(&mut block, 0)?;
        let header = Header::from_block(keys, block)?;
        // Before anything is allocated by these counts.
        if length != header.file_bytes() {
            return Err(altered());
        }
        let tagger = Tagger::new(Arc::clone(keys), header.identity);
        let mut pieces = PieceReader::new(tagger, header.pieces_start()..length);
        let names = pieces.take(&file, header.segments.saturating_mul(SEGMENT_BYTES as u64))?;
        let (names, _) = names.as_chunks::<SEGMENT_BYTES>();
        let segments = names.iter().map(SegmentName::from_bytes).collect();
        Ok(Self { file, path, keys: Arc::clone(keys), header, pieces, segments })
    }

    pub(super) fn segments(&self) -> &[SegmentName] {
        &self.segments
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Reads the rest.
    pub(super) fn load(mut self) -> io::Result<Table> {
        let header = self.header;
        let mut take = |count: u64, bytes: usize| {
            self.pieces.take(&self.file, count.saturating_mul(bytes as u64))
        };
        let packs = take(header.packs, PACK_BYTES)?;
        let fences = take(header.blocks(), FENCE_BYTES)?;
        let filter = take(header.filter_bytes, 1)?;
        Ok(Table {
            provides: Bits::new(self.segments.len()),
            present: Bits::new(packs.len() / PACK_BYTES),
            file: self.file,
            path: self.path,
            tagger: Tagger::new(self.keys, header.identity),
            header,
            segments: self.segments,
            packs,
            fences: Fences::new(fences),
            filter: Filter::from_bytes(filter),
        })
    }
}

/// A table that is open.
#[derive(Debug)]
pub(super) struct Table {
    file: File,
    path: Option<PathBuf>,
    tagger: Tagger,
    header: Header,
    segments: Vec<SegmentName>,
    /// Which of the segments are listed, and provided by no other table.
    provides: Bits,
    packs: Vec<u8>,
    /// Which of the packs count.
    present: Bits,
    fences: Fences,
    filter: Filter,
}

impl Table {
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// How many chunks it has, present or not.
    pub(super) fn chunks(&self) -> u64 {
        self.header.chunks
    }

    /// Its packs, in ascending order of their names, each with whether a segment that counts, or
    /// the pack itself, says so.
    pub(super) fn packs(&self) -> impl Iterator<Item = (PackRow, bool)> {
        let (rows, _) = self.packs.as_chunks::<PACK_BYTES>();
        rows.iter().map(|row| {
            let row = PackRow::from_bytes(row);
            let stands = row.segment == NO_SEGMENT || self.provides.get(row.segment as usize);
            (row, stands)
        })
    }

    /// The segments that it provides.
    pub(super) fn provided(&self) -> impl Iterator<Item = (u32, SegmentName)> {
        let segments = (0..).zip(self.segments.iter().copied());
        segments.filter(|(number, _)| self.provides.get(*number as usize))
    }

    /// How many segments it once had.
    pub(super) fn segments(&self) -> usize {
        self.segments.len()
    }

    /// From now on it provides those of its segments that are still `wanted`, which are taken out.
    pub(super) fn adopt(&mut self, wanted: &mut HashSet<SegmentName>) {
        self.provides = Bits::new(self.segments.len());
        for (number, segment) in self.segments.iter().enumerate() {
            if wanted.remove(segment) {
                self.provides.set(number);
            }
        }
    }

    /// From now on its packs count that are listed with their size. Marks them in `counted`, and
    /// returns how many chunks are in those that were not marked before.
    pub(super) fn settle(&mut self, listing: &PackListing, counted: &mut Bits) -> u64 {
        let mut present = Bits::new(self.packs.len() / PACK_BYTES);
        let mut chunks = 0;
        let mut listed = (0..).zip(listing.iter()).peekable();
        for (number, (pack, _)) in self.packs().enumerate().filter(|(_, (_, stands))| *stands) {
            // Both are in ascending order.
            while listed.next_if(|(_, (name, _))| *name < pack.name).is_some() {}
            if let Some((at, found)) = listed.peek()
                && *found == (pack.name, pack.size)
            {
                present.set(number);
                if counted.set(*at) {
                    chunks += u64::from(pack.chunks);
                }
            }
        }
        self.present = present;
        chunks
    }

    /// A place of the chunk in a pack that counts.
    pub(super) fn find(&self, chunk: ChunkId) -> io::Result<Option<Place>> {
        let mut first = None;
        self.search(chunk, |place| {
            first = Some(place);
            ControlFlow::Break(())
        })?;
        Ok(first)
    }

    /// All places of the chunk in packs that count.
    pub(super) fn places(&self, chunk: ChunkId) -> io::Result<Vec<Place>> {
        let mut places = Vec::new();
        self.search(chunk, |place| {
            places.push(place);
            ControlFlow::Continue(())
        })?;
        Ok(places)
    }

    fn search(
        &self,
        chunk: ChunkId,
        mut found: impl FnMut(Place) -> ControlFlow<()>,
    ) -> io::Result<()> {
        if !self.filter.may_have(chunk) {
            return Ok(());
        }
        let prefix = Fields(chunk.as_bytes()).take();
        for number in self.fences.blocks(u64::from_be_bytes(prefix)).into_iter().flatten() {
            let block = self.block(number)?;
            let (rows, _) = block.as_chunks::<CHUNK_BYTES>();
            let rows = rows.iter().take(self.rows_in(number));
            for row in rows.filter(|row| row.starts_with(chunk.as_bytes())) {
                let row = ChunkRow(*row);
                let counts = self.present.get(row.pack() as usize);
                let Some(pack) = self.pack(row.pack()).filter(|_| counts) else { continue };
                if found(row.place(&pack)).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// All rows, in order.
    pub(super) fn rows(&self) -> impl Rows + '_ {
        TableRows { table: self, block: 0, rows: Vec::new() }
    }

    pub(super) fn pack(&self, number: u32) -> Option<PackRow> {
        let (rows, _) = self.packs.as_chunks::<PACK_BYTES>();
        rows.get(number as usize).map(PackRow::from_bytes)
    }

    fn block(&self, number: u64) -> io::Result<[u8; BLOCK_BYTES]> {
        let mut block = [0; BLOCK_BYTES];
        self.file.read_exact_at(&mut block, (number + 1) * BLOCK_BYTES as u64)?;
        self.tagger.check(Part::Block(number), &mut block)?;
        Ok(block)
    }

    // The last block may not be full.
    fn rows_in(&self, block: u64) -> usize {
        let before = block.saturating_mul(BLOCK_ROWS as u64);
        usize::try_from(self.header.chunks.saturating_sub(before))
            .unwrap_or(usize::MAX)
            .min(BLOCK_ROWS)
    }
}

/// How many blocks are read at once where all are read.
const BLOCKS_READ: u64 = 256;

/// The rows of a table, read many blocks at a time.
struct TableRows<'a> {
    table: &'a Table,
    block: u64,
    /// Rows that were read, the next one last.
    rows: Vec<ChunkRow>,
}

impl Rows for TableRows<'_> {
    fn next(&mut self) -> io::Result<Option<ChunkRow>> {
        if self.rows.is_empty() {
            self.read()?;
        }
        Ok(self.rows.pop())
    }
}

impl TableRows<'_> {
    fn read(&mut self) -> io::Result<()> {
        let table = self.table;
        let end = table.header.blocks().min(self.block + BLOCKS_READ);
        let count = usize::try_from(end - self.block).unwrap_or(0);
        let mut bytes = vec![0; count * BLOCK_BYTES];
        table.file.read_exact_at(&mut bytes, (self.block + 1) * BLOCK_BYTES as u64)?;
        let (blocks, _) = bytes.as_chunks_mut::<BLOCK_BYTES>();
        for (number, block) in (self.block..).zip(blocks) {
            table.tagger.check(Part::Block(number), block)?;
            let (rows, _) = block.as_chunks();
            let rows = rows.iter().take(table.rows_in(number));
            self.rows.extend(rows.map(|row| ChunkRow(*row)));
        }
        self.rows.reverse();
        self.block = end;
        Ok(())
    }
}
