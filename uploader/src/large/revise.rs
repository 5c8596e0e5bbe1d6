//! A file that the parent point has, and that was changed in place: what did not change keeps its
//! slices, and only the rest is stored.
//!
//! See docs/format.md#files-changed-in-place.

use std::ops::Range;

use format::chunker::Chunker;
use format::keys::Keys;

use super::assemble::{Assembler, ContentSink};
use super::block::{Block, Same};
use super::page_map::{PageMap, PageMapWriter};
use super::pages::{Digested, Pages, places};
use super::parent::{Parent, Placed};
use super::plan::{self, Piece};
use super::recheck::Recheck;
use super::segments::{Segment, segments};
use crate::error::UploadError;

/// Makes the extents of a file from those that the parent has of it. Besides the block that it is
/// given, it holds some 11 MiB at most.
pub(crate) struct Reviser<'a> {
    parent: Parent<'a>,
    finder: Finder<'a>,
    pages: Pages<'a>,
    assembler: Assembler<'a>,
    position: u64,
}

// How changes are found.
enum Finder<'a> {
    Pages(PageMap),
    Slices(Recheck<'a>),
}

impl<'a> Reviser<'a> {
    /// For one file. `map` has the digests of the pages that the parent's extents hold; without
    /// it every slice is read again and compared. The digests of the pages go into `new_map`.
    pub(crate) fn new(
        parent: Parent<'a>,
        map: Option<PageMap>,
        keys: &'a Keys,
        chunker: &'a Chunker,
        new_map: Option<PageMapWriter>,
    ) -> Self {
        let finder = map.map_or_else(|| Finder::Slices(Recheck::new(keys)), Finder::Pages);
        let (pages, assembler) = (Pages::new(keys, new_map), Assembler::new(keys, chunker));
        Self { parent, finder, pages, assembler, position: 0 }
    }

    /// Takes the next block; between it and the one before lies a hole, if they do not touch.
    pub(crate) fn block(
        &mut self,
        block: &Block,
        sink: &mut dyn ContentSink,
    ) -> Result<(), UploadError> {
        self.hole_until(block.offset, sink)?;
        self.position = block.range().end;
        let (parent, assembler) = (self.parent.overlapping(&block.range())?, &mut self.assembler);
        match &mut self.finder {
            Finder::Pages(map) => {
                let found = plan::compare(block, &mut self.pages, map);
                let mut pieces = plan::plan(block, found, parent).into_iter();
                pieces.try_for_each(|piece| put(&piece, block, assembler, sink))
            }
            Finder::Slices(recheck) => {
                self.pages.block(block, |_| ());
                recheck.block(block, parent, assembler, sink)
            }
        }
    }

    /// Takes a run that is as the parent has it in place of the next block. False when its bytes are
    /// needed all the same; then the block is the next.
    pub(crate) fn same(
        &mut self,
        same: &Same,
        sink: &mut dyn ContentSink,
    ) -> Result<bool, UploadError> {
        self.hole_until(same.range.start, sink)?;
        let Finder::Pages(map) = &mut self.finder else { return Ok(false) };
        let parent = self.parent.overlapping(&same.range)?;
        let Some(parts) = stored(same, parent) else { return Ok(false) };
        let digest = |(number, _): (u64, Range<u64>)| Some((number, map.digest(number)?));
        let digests: Option<Vec<_>> = places(same.range.clone(), &same.holes).map(digest).collect();
        let Some(digests) = digests else { return Ok(false) };
        for (number, digest) in digests {
            self.pages.page(number, digest);
        }
        for part in parts {
            match part {
                Part::Hole(length) => self.assembler.hole(length, sink)?,
                Part::Stored(placed, part) => self.assembler.kept_unread(&placed, part, sink)?,
            }
        }
        self.position = same.range.end;
        Ok(true)
    }

    /// Whether it can do without bytes that are as the parent has them.
    pub(crate) fn knows_pages(&self) -> bool {
        matches!(self.finder, Finder::Pages(_))
    }

    /// Ends the file, which has `size` bytes; those after the last block are a hole.
    pub(crate) fn finish(
        mut self,
        size: u64,
        sink: &mut dyn ContentSink,
    ) -> Result<Digested, UploadError> {
        self.hole_until(size, sink)?;
        if let Finder::Slices(recheck) = &mut self.finder {
            recheck.give_up(&mut self.assembler, sink)?;
        }
        self.assembler.finish(sink)?;
        Ok(self.pages.finish(size))
    }

    fn hole_until(&mut self, position: u64, sink: &mut dyn ContentSink) -> Result<(), UploadError> {
        let length = position.saturating_sub(self.position);
        if length == 0 {
            return Ok(());
        }
        if let Finder::Slices(recheck) = &mut self.finder {
            recheck.give_up(&mut self.assembler, sink)?;
        }
        self.position = position;
        self.assembler.hole(length, sink)
    }
}

/// A part of a run that was not read.
enum Part {
    Hole(u64),
    /// How much of an extent is skipped, and how much of it is here.
    Stored(Placed, (u32, u32)),
}

// Where the parent has all that is no hole; nothing where it has not.
fn stored(same: &Same, parent: &[Placed]) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    for segment in segments(same.range.clone(), &same.holes) {
        let mut data = match segment {
            Segment::Data(data) => data,
            Segment::Hole(hole) => {
                parts.push(Part::Hole(hole.end - hole.start));
                continue;
            }
        };
        let first = parent.partition_point(|placed| placed.range().end <= data.start);
        for placed in parent.get(first..)? {
            if data.is_empty() {
                break;
            }
            let skip = data.start.checked_sub(placed.start)?;
            let end = placed.range().end.min(data.end);
            let length = end - data.start;
            parts.push(Part::Stored(
                *placed,
                (u32::try_from(skip).ok()?, u32::try_from(length).ok()?),
            ));
            data.start = end;
        }
        if !data.is_empty() {
            return None;
        }
    }
    Some(parts)
}

fn put(
    piece: &Piece,
    block: &Block,
    assembler: &mut Assembler<'_>,
    sink: &mut dyn ContentSink,
) -> Result<(), UploadError> {
    match piece {
        Piece::Changed(range) => assembler.changed(block.bytes_at(range), sink),
        Piece::Hole(range) => assembler.hole(range.end - range.start, sink),
        Piece::Kept(placed, range) => {
            let bytes = block.bytes_at(range);
            match u32::try_from(range.start - placed.start) {
                Ok(skip) => assembler.kept(placed, skip, bytes, sink),
                Err(_) => assembler.changed(bytes, sink),
            }
        }
    }
}
