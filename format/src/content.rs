//! What a file holds as a whole, hashed page by page.
//!
//! Pages are hashed apart from one another, so that the pages that changed can be found by a list of
//! their digests; the hash over all digests binds such a list to the record of the file.
//! See docs/format.md#content-hash.

use crate::ids::{ContentHash, Digest};
use crate::keys::Keys;

/// How many bytes a page has; the last one of a file may be shorter.
pub const PAGE_BYTES: usize = 4096;

/// Hashes the digests of a file's pages.
#[derive(Clone, Debug)]
pub struct ContentHasher(blake3::Hasher);

impl ContentHasher {
    /// A hasher for one file.
    pub fn new(keys: &Keys) -> Self {
        Self(keys.content_hasher())
    }

    /// Adds the page with this number. Pages come in the order of their numbers; those that lie
    /// in a hole from end to end are left out.
    pub fn page(&mut self, number: u64, digest: Digest) {
        self.0.update(&number.to_le_bytes());
        self.0.update(digest.as_bytes());
    }

    /// The hash of a file of `size` bytes whose pages were added.
    pub fn finish(mut self, size: u64) -> ContentHash {
        self.0.update(&size.to_le_bytes());
        ContentHash::new(*self.0.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RepositoryId;
    use crate::keys::RootKey;

    #[test]
    fn every_page_its_place_and_the_size_count() {
        let keys = Keys::derive(&RootKey::new([1; 32]), RepositoryId::new([2; 16]));
        let hash = |pages: &[(u64, &[u8])], size| {
            let mut hasher = ContentHasher::new(&keys);
            for (number, page) in pages {
                hasher.page(*number, keys.digest(page));
            }
            hasher.finish(size)
        };
        let whole = hash(&[(0, b"a"), (1, b"b")], 4097);
        assert_eq!(whole, hash(&[(0, b"a"), (1, b"b")], 4097));
        assert_ne!(whole, hash(&[(0, b"a"), (2, b"b")], 4097));
        assert_ne!(whole, hash(&[(0, b"a"), (1, b"c")], 4097));
        assert_ne!(whole, hash(&[(0, b"a"), (1, b"b")], 4098));
    }
}
