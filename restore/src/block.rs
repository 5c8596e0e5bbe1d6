//! One block of a file, put together from pieces that come in any order.

use std::ops::Range;

use format::content::PAGE_BYTES;
use format::ids::Digest;
use format::keys::Keys;
use platform::files::direct::AlignedBuffer;

use crate::budget::Share;

/// Files are put together in blocks of this size, each at a multiple of it.
pub(crate) const BLOCK_BYTES: usize = 1 << 20;

const PAGES: usize = BLOCK_BYTES / PAGE_BYTES;

/// A block that is being put together.
#[derive(Debug)]
pub(crate) struct Block {
    buffer: AlignedBuffer,
    filled: usize,
    /// Which pages hold data, and not only holes.
    data: Pages,
    /// Which pages are not in the file yet.
    fresh: Pages,
    _memory: Share,
}

/// A set of a block's pages.
#[derive(Clone, Copy, Debug, Default)]
struct Pages([u64; PAGES / 64]);

impl Block {
    /// A block of `length` bytes, in `buffer`, whatever is in that.
    pub(crate) fn new(mut buffer: AlignedBuffer, length: usize, memory: Share) -> Self {
        buffer.resize(length);
        let (data, fresh) = Default::default();
        Self { buffer, filled: 0, data, fresh, _memory: memory }
    }

    /// Puts bytes in; answers whether the block is complete. Those that are in the file already are
    /// not written again, unless they share a page with others.
    pub(crate) fn fill(&mut self, at: usize, bytes: &[u8], in_file: bool) -> bool {
        if let Some(place) = self.buffer.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        self.data.insert(at..at + bytes.len());
        if !in_file {
            self.fresh.insert(at..at + bytes.len());
        }
        self.count(bytes.len())
    }

    /// Puts a hole in; answers whether the block is complete.
    pub(crate) fn fill_hole(&mut self, at: usize, length: usize) -> bool {
        if let Some(place) = self.buffer.get_mut(at..at + length) {
            place.fill(0);
        }
        self.count(length)
    }

    fn count(&mut self, length: usize) -> bool {
        self.filled += length;
        debug_assert!(self.filled <= self.buffer.len());
        self.filled == self.buffer.len()
    }

    /// The runs that must be written: where each begins in the block, and its bytes.
    pub(crate) fn fresh(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.fresh.runs().map(|run| {
            let end = run.end.min(self.buffer.len());
            (run.start, self.buffer.get(run.start..end).unwrap_or_default())
        })
    }

    /// The digests of the pages that hold data, with their numbers in the block.
    pub(crate) fn digests(&self, keys: &Keys) -> Vec<(u64, Digest)> {
        let pages = self.buffer.chunks(PAGE_BYTES).zip(0..);
        let pages = pages.filter(|(_, number)| self.data.contains(*number));
        pages.map(|(page, number)| (number as u64, keys.digest(page))).collect()
    }

    /// The memory, for another block.
    pub(crate) fn into_buffer(self) -> AlignedBuffer {
        self.buffer
    }
}

impl Pages {
    // The pages that these bytes touch.
    fn insert(&mut self, bytes: Range<usize>) {
        if bytes.is_empty() {
            return;
        }
        for page in bytes.start / PAGE_BYTES..=(bytes.end - 1) / PAGE_BYTES {
            if let Some(word) = self.0.get_mut(page / 64) {
                *word |= 1 << (page % 64);
            }
        }
    }

    fn contains(&self, page: usize) -> bool {
        self.0.get(page / 64).is_some_and(|word| word & (1 << (page % 64)) != 0)
    }

    // Neighbouring pages together, as ranges of bytes.
    fn runs(&self) -> impl Iterator<Item = Range<usize>> {
        let mut page = 0;
        std::iter::from_fn(move || {
            let start = (page..PAGES).find(|page| self.contains(*page))?;
            let end = (start..PAGES).find(|page| !self.contains(*page)).unwrap_or(PAGES);
            page = end;
            Some(start * PAGE_BYTES..end * PAGE_BYTES)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;

    fn block(length: usize) -> Block {
        Block::new(AlignedBuffer::new(), length, Budget::new(1).take(1))
    }

    #[test]
    fn only_pages_that_are_new_are_written() {
        let mut block = block(10 * PAGE_BYTES + 5);
        assert!(!block.fill(0, &[1; 2 * PAGE_BYTES], true));
        assert!(!block.fill(2 * PAGE_BYTES, &[2; PAGE_BYTES + 1], false));
        assert!(!block.fill_hole(3 * PAGE_BYTES + 1, 5 * PAGE_BYTES));
        assert!(block.fill(8 * PAGE_BYTES + 1, &[3; 2 * PAGE_BYTES + 4], false));
        let runs: Vec<_> = block.fresh().map(|(at, bytes)| (at, bytes.len())).collect();
        let page = PAGE_BYTES;
        assert_eq!(runs, [(2 * page, 2 * page), (8 * page, 2 * page + 5)]);
        let written = block.fresh().nth(1).unwrap().1;
        assert_eq!((written[0], written[1]), (0, 3));
    }

    #[test]
    fn pages_of_holes_are_not_hashed_and_zeros_beside_data_are() {
        let root = format::keys::RootKey::new([1; 32]);
        let keys = Keys::derive(&root, format::ids::RepositoryId::new([2; 16]));
        let mut buffer = AlignedBuffer::new();
        buffer.resize(BLOCK_BYTES);
        buffer.fill(0xff);
        let mut block = Block::new(buffer, 3 * PAGE_BYTES, Budget::new(1).take(1));
        block.fill(10, &[1; 20], true);
        block.fill_hole(0, 10);
        assert!(block.fill_hole(30, 3 * PAGE_BYTES - 30));
        let mut page = [0; PAGE_BYTES];
        page[10..30].fill(1);
        assert_eq!(block.digests(&keys), [(0, keys.digest(&page))]);
    }
}
