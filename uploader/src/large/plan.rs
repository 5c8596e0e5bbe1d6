//! What becomes of each part of a block, decided before anything of it is stored.

use std::ops::Range;

use format::changed_ranges::ChangedRanges;

use super::block::Block;
use super::page_map::PageMap;
use super::pages::Pages;
use super::parent::Placed;
use super::segments::Segment;
use super::wear;

/// A part of a block, as positions in the file.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Changed(Range<u64>),
    Hole(Range<u64>),
    Kept(Placed, Range<u64>),
}

/// What the pages of a block say.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    changed: ChangedRanges,
    /// How many pages the map has, and how many of them are others now.
    pages: (usize, usize),
}

/// Digests the pages of a block and compares them with those of the parent.
pub(super) fn compare(block: &Block, pages: &mut Pages<'_>, map: &mut PageMap) -> Comparison {
    let mut found = Comparison::default();
    pages.block(block, |page| {
        let before = map.digest(page.number);
        if before != Some(page.digest) {
            found.changed.add(page.range.clone());
        }
        let (known, differing) = &mut found.pages;
        *known += usize::from(before.is_some());
        *differing += usize::from(before.is_some_and(|before| before != page.digest));
    });
    found
}

/// The pieces of a block from its first byte to its last. `parent` has what can be kept of it.
pub(super) fn plan(block: &Block, found: Comparison, parent: &[Placed]) -> Vec<Piece> {
    let Comparison { mut changed, pages: (known, differing) } = found;
    if differing * 2 > known {
        changed.add(block.range());
        return pieces(block, &changed, parent);
    }
    // What the parent has as a hole, or not any more, is new even if its page is the same.
    let mut at = block.offset;
    for placed in parent {
        changed.add(at..placed.start);
        at = placed.range().end;
    }
    changed.add(at..block.range().end);
    let fine = pieces(block, &changed, parent);
    let holes = fine.iter().filter(|piece| matches!(piece, Piece::Hole(_))).count();
    if wear::is_scattered(block, fine.len() - holes, holes) {
        changed.add(block.range());
        return pieces(block, &changed, parent);
    }
    fine
}

fn pieces(block: &Block, changed: &ChangedRanges, parent: &[Placed]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for segment in block.segments() {
        let data = match segment {
            Segment::Data(data) => data,
            Segment::Hole(hole) => {
                pieces.push(Piece::Hole(hole));
                continue;
            }
        };
        let mut at = data.start;
        for unchanged in changed.unchanged(data.clone()) {
            if at < unchanged.start {
                pieces.push(Piece::Changed(at..unchanged.start));
            }
            at = unchanged.end;
            let first = parent.partition_point(|placed| placed.range().end <= unchanged.start);
            let overlapping = parent.get(first..).unwrap_or_default().iter();
            for placed in overlapping.take_while(|placed| placed.start < unchanged.end) {
                let range = placed.range();
                let range = range.start.max(unchanged.start)..range.end.min(unchanged.end);
                pieces.push(Piece::Kept(*placed, range));
            }
        }
        if at < data.end {
            pieces.push(Piece::Changed(at..data.end));
        }
    }
    pieces
}
