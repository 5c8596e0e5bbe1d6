//! The pages of a file: their digests, the hash over them, and the map that keeps them.

use std::ops::Range;

use format::content::{ContentHasher, PAGE_BYTES};
use format::ids::{ContentHash, Digest};
use format::keys::Keys;
use format::tree::CONTENT_HASH_BYTES_MIN;

use super::block::{BLOCK_BYTES, Block};
use super::page_map::{NewPageMap, PageMapWriter};

/// A page that does not lie in a hole from end to end.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// Counted from the start of the file.
    pub(crate) number: u64,
    /// Where it lies in the file.
    pub(crate) range: Range<u64>,
    /// Of its bytes, those in holes being zero.
    pub(crate) digest: Digest,
}

/// What was found out about a file by reading all of it.
#[derive(Debug, Default)]
pub(crate) struct Digested {
    /// Its size in bytes.
    pub(crate) size: u64,
    /// What it holds as a whole, if it is large enough to have a hash.
    pub(crate) hash: Option<ContentHash>,
    /// The digests of its pages, to be kept when the point is committed; absent where there is no
    /// hash, and where the map could not be written.
    pub(crate) map: Option<NewPageMap>,
}

/// Digests a file page by page.
pub(crate) struct Pages<'a> {
    keys: &'a Keys,
    hasher: ContentHasher,
    map: Option<PageMapWriter>,
}

impl<'a> Pages<'a> {
    /// For one file, whose digests go into `map` if there is one.
    pub(crate) fn new(keys: &'a Keys, map: Option<PageMapWriter>) -> Self {
        Self { keys, hasher: ContentHasher::new(keys), map }
    }

    /// Digests the pages of the next block and shows each of them. Blocks that are left out lie
    /// in holes.
    pub(crate) fn block(&mut self, block: &Block, mut show: impl FnMut(&Page)) {
        for page in pages(block, self.keys) {
            self.page(page.number, page.digest);
            show(&page);
        }
    }

    /// The next page, whose digest is known already.
    pub(crate) fn page(&mut self, number: u64, digest: Digest) {
        self.hasher.page(number, digest);
        // Without its map the next backup has to look closer; that is no reason to fail this.
        if self.map.as_mut().is_some_and(|map| map.page(number, digest).is_err()) {
            self.map = None;
        }
    }

    /// Ends the file, which has `size` bytes.
    pub(crate) fn finish(self, size: u64) -> Digested {
        if size < CONTENT_HASH_BYTES_MIN {
            return Digested { size, ..Digested::default() };
        }
        let hash = self.hasher.finish(size);
        let map = self.map.and_then(|map| map.finish(size, hash).ok());
        Digested { size, hash: Some(hash), map }
    }
}

fn pages<'a>(block: &'a Block, keys: &'a Keys) -> impl Iterator<Item = Page> + 'a {
    places(block.range(), &block.holes).map(|(number, range)| {
        let digest = keys.digest(block.bytes_at(&range));
        Page { number, range, digest }
    })
}

/// The numbers and places of the pages in a range that do not lie in its holes from end to end. It
/// begins with a page, and ends with one, or with the file.
pub(crate) fn places(
    range: Range<u64>,
    holes: &[Range<u64>],
) -> impl Iterator<Item = (u64, Range<u64>)> + '_ {
    let mut holes = holes.iter().peekable();
    let page = PAGE_BYTES as u64;
    let numbers = range.start / page..range.end.div_ceil(page);
    numbers.filter_map(move |number| {
        let place = number * page..range.end.min((number + 1) * page);
        while holes.next_if(|hole| hole.end < place.end).is_some() {}
        if holes.peek().is_some_and(|hole| hole.start <= place.start) {
            return None;
        }
        Some((number, place))
    })
}

// So that no page lies in two blocks.
const _: () = assert!(BLOCK_BYTES.is_multiple_of(PAGE_BYTES));

#[cfg(test)]
mod tests {
    use format::ids::RepositoryId;
    use format::keys::RootKey;

    use super::*;

    #[test]
    fn pages_that_are_hole_from_end_to_end_have_no_digest() {
        let keys = Keys::derive(&RootKey::new([1; 32]), RepositoryId::new([2; 16]));
        let offset = BLOCK_BYTES as u64;
        let block = |length, holes: &[(u64, u64)]| Block {
            offset,
            bytes: vec![0; length].as_slice().into(),
            holes: holes.iter().map(|(start, end)| offset + start..offset + end).collect(),
        };
        let numbers = |block: &Block| pages(block, &keys).map(|p| p.number).collect::<Vec<_>>();
        assert_eq!(numbers(&block(3 * 4096, &[])), [1024, 1025, 1026]);
        assert_eq!(numbers(&block(3 * 4096, &[(0, 4096)])), [1025, 1026]);
        assert_eq!(numbers(&block(3 * 4096, &[(1, 8191), (8192, 12288)])), [1024, 1025]);
        assert_eq!(numbers(&block(3 * 4096, &[(1, 8193)])), [1024, 1026]);
        // The last page is short, and what is there of it is a hole.
        assert_eq!(numbers(&block(4097, &[(4096, 4097)])), [1024]);
        let last = pages(&block(4097, &[]), &keys).last().unwrap();
        assert_eq!((last.range.end, last.digest), (offset + 4097, keys.digest(&[0])));
    }
}
