//! A file that the parent point does not have, or that is better stored anew.

use format::chunker::Chunker;
use format::keys::Keys;
use format::tree::Extent;

use super::assemble::ContentSink;
use super::block::Block;
use super::page_map::PageMapWriter;
use super::pages::{Digested, Pages};
use super::run::Run;
use super::segments::Segment;
use crate::error::UploadError;

/// Makes the extents of a file by cutting its content; behind a hole, cutting starts anew. Besides
/// the block that it is given, it holds some 4 MiB at most.
pub(crate) struct Cutting<'a> {
    pages: Pages<'a>,
    run: Run,
    hole: u64,
    position: u64,
}

impl<'a> Cutting<'a> {
    /// For one file, the digests of whose pages go into `map`.
    pub(crate) fn new(keys: &'a Keys, chunker: &'a Chunker, map: Option<PageMapWriter>) -> Self {
        Self { pages: Pages::new(keys, map), run: Run::new(chunker), hole: 0, position: 0 }
    }

    /// Takes the next block; between it and the one before lies a hole, if they do not touch.
    pub(crate) fn block(
        &mut self,
        block: &Block,
        sink: &mut dyn ContentSink,
    ) -> Result<(), UploadError> {
        self.hole(block.offset.saturating_sub(self.position), sink)?;
        self.position = block.range().end;
        self.pages.block(block, |_| ());
        for segment in block.segments() {
            match segment {
                Segment::Data(data) => {
                    self.end_hole(sink)?;
                    self.run.push(block.bytes_at(&data), |chunk| store(chunk, sink))?;
                }
                Segment::Hole(hole) => self.hole(hole.end - hole.start, sink)?,
            }
        }
        Ok(())
    }

    /// Ends the file, which has `size` bytes; those after the last block are a hole.
    pub(crate) fn finish(
        mut self,
        size: u64,
        sink: &mut dyn ContentSink,
    ) -> Result<Digested, UploadError> {
        self.hole(size.saturating_sub(self.position), sink)?;
        self.run.end(|chunk| store(chunk, sink))?;
        self.end_hole(sink)?;
        Ok(self.pages.finish(size))
    }

    // A hole is told of when its end is known: it may go on in the next block.
    fn hole(&mut self, length: u64, sink: &mut dyn ContentSink) -> Result<(), UploadError> {
        if length > 0 {
            self.run.end(|chunk| store(chunk, sink))?;
            self.hole += length;
        }
        Ok(())
    }

    fn end_hole(&mut self, sink: &mut dyn ContentSink) -> Result<(), UploadError> {
        let length = std::mem::take(&mut self.hole);
        if length == 0 { Ok(()) } else { sink.extent(Extent::Hole { length }) }
    }
}

fn store(chunk: &[u8], sink: &mut dyn ContentSink) -> Result<(), UploadError> {
    let slice = sink.chunk(chunk)?;
    sink.extent(Extent::Whole(slice))
}
