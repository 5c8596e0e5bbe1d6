//! The hash of a file's content, from pages that come block by block in any order.

use std::collections::BTreeMap;

use format::content::{ContentHasher, PAGE_BYTES};
use format::ids::{ContentHash, Digest};
use format::keys::Keys;

use crate::block::BLOCK_BYTES;

const PAGES: u64 = (BLOCK_BYTES / PAGE_BYTES) as u64;

/// Puts the digests of pages in order. What waits for its turn is bounded by the blocks that are
/// in memory at once.
#[derive(Debug)]
pub(crate) struct PageOrder {
    hasher: ContentHasher,
    /// The block whose turn it is.
    next: u64,
    waiting: BTreeMap<u64, Turn>,
}

#[derive(Debug)]
enum Turn {
    /// The data pages of a block, with their numbers in it.
    Block(Vec<(u64, Digest)>),
    /// Nothing but holes up to this block.
    Holes(u64),
}

impl PageOrder {
    pub(crate) fn new(keys: &Keys) -> Self {
        Self { hasher: ContentHasher::new(keys), next: 0, waiting: BTreeMap::new() }
    }

    /// The data pages of a block.
    pub(crate) fn block(&mut self, number: u64, pages: Vec<(u64, Digest)>) {
        self.waiting.insert(number, Turn::Block(pages));
        self.advance();
    }

    /// The blocks from `start` up to `end` hold no data.
    pub(crate) fn holes(&mut self, start: u64, end: u64) {
        self.waiting.insert(start, Turn::Holes(end));
        self.advance();
    }

    fn advance(&mut self) {
        while let Some(turn) = self.waiting.remove(&self.next) {
            match turn {
                Turn::Holes(end) => self.next = end,
                Turn::Block(pages) => {
                    let first = self.next.saturating_mul(PAGES);
                    for (number, digest) in pages {
                        self.hasher.page(first.saturating_add(number), digest);
                    }
                    self.next += 1;
                }
            }
        }
    }

    /// The hash of the file, of which all blocks were told.
    pub(crate) fn finish(self, size: u64) -> ContentHash {
        debug_assert!(self.waiting.is_empty());
        self.hasher.finish(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_count_in_their_order_however_they_come() {
        let root = format::keys::RootKey::new([1; 32]);
        let keys = Keys::derive(&root, format::ids::RepositoryId::new([2; 16]));
        let pages = |seed: u8| vec![(0, Digest::new([seed; 16])), (7, Digest::new([seed + 1; 16]))];
        let mut expected = ContentHasher::new(&keys);
        for (block, seed) in [(0, 1), (1, 3), (1000, 5)] {
            for (number, digest) in pages(seed) {
                expected.page(block * PAGES + number, digest);
            }
        }
        let expected = expected.finish(9);
        for turns in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
            let mut order = PageOrder::new(&keys);
            for turn in turns {
                match turn {
                    0 => order.block(0, pages(1)),
                    1 => order.block(1, pages(3)),
                    2 => order.holes(2, 1000),
                    _ => order.block(1000, pages(5)),
                }
            }
            assert_eq!(order.finish(9), expected);
        }
    }
}
