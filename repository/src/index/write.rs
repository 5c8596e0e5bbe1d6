//! Writing a table, from rows that are in order.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use format::keys::Keys;

use super::filter::Filter;
use super::pieces::PieceWriter;
use super::row::{CHUNK_BYTES, ChunkRow, PACK_BYTES, SegmentName};
use super::rows::Rows;
use super::table::{BLOCK_BYTES, BLOCK_ROWS, Header};
use super::tag::{Part, TAG_BYTES, Tagger};
use crate::random;

const BUFFER_BYTES: usize = 256 << 10;

/// What goes into a table.
pub(super) struct Contents<'a> {
    /// The segments that it is made of.
    pub(super) segments: &'a [SegmentName],
    /// How many packs there are.
    pub(super) packs: u64,
    /// Their rows, in ascending order of their names.
    pub(super) pack_rows: Box<dyn Iterator<Item = [u8; PACK_BYTES]> + 'a>,
    /// How many chunks there are at most.
    pub(super) chunks_max: u64,
    /// Their rows, in order.
    pub(super) chunk_rows: &'a mut dyn Rows,
}

/// Writes a table into `file`, which is empty.
pub(super) fn write(file: &File, keys: &Arc<Keys>, contents: Contents<'_>) -> io::Result<()> {
    let identity = u64::from_le_bytes(random::bytes());
    let tagger = Tagger::new(Arc::clone(keys), identity);
    let mut output = BufWriter::with_capacity(BUFFER_BYTES, file);
    // The header last: a table that was not finished has none.
    output.write_all(&[0; BLOCK_BYTES])?;
    let mut blocks = Blocks {
        output: &mut output,
        tagger: &tagger,
        fences: Vec::new(),
        filter: Filter::new(contents.chunks_max),
        block: Vec::with_capacity(BLOCK_BYTES),
        chunks: 0,
        number: 0,
    };
    while let Some(row) = contents.chunk_rows.next()? {
        blocks.put(&row)?;
    }
    let (chunks, fences, filter) = blocks.finish()?;
    let mut pieces = PieceWriter::new(&mut output, &tagger);
    for segment in contents.segments {
        pieces.put(&segment.to_bytes())?;
    }
    for pack in contents.pack_rows {
        pieces.put(&pack)?;
    }
    pieces.put(&fences)?;
    pieces.put(filter.as_bytes())?;
    pieces.finish()?;
    output.flush()?;
    let header = Header {
        identity,
        chunks,
        segments: contents.segments.len() as u64,
        packs: contents.packs,
        filter_bytes: filter.as_bytes().len() as u64,
    };
    file.write_all_at(&header.to_block(keys), 0)
}

/// The blocks as they are written, and what is gathered from them.
struct Blocks<'a, W> {
    output: &'a mut W,
    tagger: &'a Tagger,
    fences: Vec<u8>,
    filter: Filter,
    block: Vec<u8>,
    chunks: u64,
    number: u64,
}

impl<W: io::Write> Blocks<'_, W> {
    fn put(&mut self, row: &ChunkRow) -> io::Result<()> {
        if self.block.is_empty() {
            self.fences.extend_from_slice(&row.prefix().to_be_bytes());
        }
        self.filter.insert(row.id());
        self.block.extend_from_slice(&row.0);
        self.chunks += 1;
        if self.block.len() == BLOCK_ROWS_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.block.resize(BLOCK_BYTES, 0);
        let tag = self.tagger.tag(Part::Block(self.number), &mut self.block);
        self.block.truncate(BLOCK_ROWS_BYTES);
        self.output.write_all(&self.block)?;
        self.output.write_all(&tag)?;
        self.block.clear();
        self.number += 1;
        Ok(())
    }

    fn finish(mut self) -> io::Result<(u64, Vec<u8>, Filter)> {
        if !self.block.is_empty() {
            self.flush()?;
        }
        Ok((self.chunks, self.fences, self.filter))
    }
}

const BLOCK_ROWS_BYTES: usize = BLOCK_ROWS * CHUNK_BYTES;
const _: () = assert!(BLOCK_ROWS_BYTES + TAG_BYTES == BLOCK_BYTES);
