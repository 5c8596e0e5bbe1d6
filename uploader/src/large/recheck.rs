//! What can be kept of a file when there is no map of its pages: every slice of the parent is
//! compared with the bytes that are at its place now.

use std::ops::Range;

use format::chunker::CHUNK_BYTES_MAX;
use format::keys::Keys;
use format::tree::Extent;

use super::assemble::{Assembler, ContentSink};
use super::block::Block;
use super::parent::Placed;
use super::segments::Segment;
use crate::error::UploadError;

/// Compares slice by slice. Holds the bytes of one slice at most, of which the rest is still to
/// come.
pub(super) struct Recheck<'a> {
    keys: &'a Keys,
    doubt: Option<Placed>,
    bytes: Vec<u8>,
}

impl<'a> Recheck<'a> {
    pub(super) fn new(keys: &'a Keys) -> Self {
        Self { keys, doubt: None, bytes: Vec::with_capacity(CHUNK_BYTES_MAX) }
    }

    /// Takes the next block, of which the parent has these extents.
    pub(super) fn block(
        &mut self,
        block: &Block,
        parent: &[Placed],
        assembler: &mut Assembler<'_>,
        sink: &mut dyn ContentSink,
    ) -> Result<(), UploadError> {
        for segment in block.segments() {
            match segment {
                Segment::Data(data) => {
                    let rest = self.go_on(block, data, assembler, sink)?;
                    self.data(block, rest, parent, (assembler, sink))?;
                }
                Segment::Hole(hole) => {
                    self.give_up(assembler, sink)?;
                    assembler.hole(hole.end - hole.start, sink)?;
                }
            }
        }
        Ok(())
    }

    /// The slice in doubt does not go on: a hole follows, or the end of the file.
    pub(super) fn give_up(
        &mut self,
        assembler: &mut Assembler<'_>,
        sink: &mut dyn ContentSink,
    ) -> Result<(), UploadError> {
        self.doubt = None;
        assembler.changed(&self.bytes, sink)?;
        self.bytes.clear();
        Ok(())
    }

    // Adds what is here of the slice in doubt; returns what of the data comes after it.
    fn go_on(
        &mut self,
        block: &Block,
        data: Range<u64>,
        assembler: &mut Assembler<'_>,
        sink: &mut dyn ContentSink,
    ) -> Result<Range<u64>, UploadError> {
        let Some(placed) = self.doubt else { return Ok(data) };
        let end = placed.range().end.min(data.end);
        self.bytes.extend_from_slice(block.bytes_at(&(data.start..end)));
        if end < placed.range().end {
            // Only at the end of the block may more follow.
            if end < block.range().end {
                self.give_up(assembler, sink)?;
            }
            return Ok(end..data.end);
        }
        if self.is_equal(&placed, &self.bytes) {
            assembler.kept(&placed, 0, &self.bytes, sink)?;
            self.doubt = None;
            self.bytes.clear();
        } else {
            self.give_up(assembler, sink)?;
        }
        Ok(end..data.end)
    }

    fn data(
        &mut self,
        block: &Block,
        mut data: Range<u64>,
        parent: &[Placed],
        (assembler, sink): (&mut Assembler<'_>, &mut dyn ContentSink),
    ) -> Result<(), UploadError> {
        while !data.is_empty() {
            let first = parent.partition_point(|placed| placed.range().end <= data.start);
            let next = parent.get(first);
            let end = match next {
                Some(placed) if placed.start < data.start => placed.range().end,
                Some(placed) if placed.start == data.start => {
                    if self.begin(block, placed, &data) {
                        return Ok(());
                    }
                    placed.range().end
                }
                Some(placed) => placed.start,
                None => data.end,
            };
            let here = data.start..end.min(data.end);
            let bytes = block.bytes_at(&here);
            match next {
                Some(placed) if placed.range() == here && self.is_equal(placed, bytes) => {
                    assembler.kept(placed, 0, bytes, sink)?;
                }
                _ => assembler.changed(bytes, sink)?,
            }
            data.start = here.end;
        }
        Ok(())
    }

    // Whether the slice goes on in the next block, so that nothing can be said of it yet.
    fn begin(&mut self, block: &Block, placed: &Placed, data: &Range<u64>) -> bool {
        let goes_on = data.end == block.range().end && placed.range().end > data.end;
        if goes_on && placed.slice.length as usize <= CHUNK_BYTES_MAX {
            self.doubt = Some(*placed);
            self.bytes.extend_from_slice(block.bytes_at(data));
            return true;
        }
        false
    }

    fn is_equal(&self, placed: &Placed, bytes: &[u8]) -> bool {
        match placed.extent {
            Extent::Whole(slice) => self.keys.chunk_id(bytes) == slice.chunk,
            Extent::Part { digest, .. } => self.keys.digest(bytes) == digest,
            Extent::Hole { .. } => false,
        }
    }
}
