//! The key tree: everything secret in a repository follows from its root key.
//!
//! See docs/format.md#keys.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::ids::{ChunkId, Digest, RepositoryId};

/// The secret that a key slot wraps.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RootKey([u8; 32]);

impl RootKey {
    /// The key made of these bytes, which must be random.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(..)")
    }
}

/// The keys of one repository, ready for use.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Keys {
    #[zeroize(skip)]
    repository: RepositoryId,
    chunk: [u8; 32],
    content: [u8; 32],
    cut: [u8; 32],
    part: [u8; 32],
    seal: [u8; 32],
    salt: [u8; 32],
    cache: [u8; 32],
    slot: [u8; 32],
}

impl Keys {
    /// The key tree below `root` for `repository`.
    pub fn derive(root: &RootKey, repository: RepositoryId) -> Self {
        let tree = Hkdf::<Sha256>::new(Some(repository.as_bytes()), root.as_bytes());
        let branch = |label: &[u8]| {
            let mut key = [0; 32];
            expand(&tree, label, &mut key);
            key
        };
        Self {
            repository,
            chunk: branch(b"stillpoint chunk id"),
            content: branch(b"stillpoint content"),
            part: branch(b"stillpoint part"),
            cut: branch(b"stillpoint cut points"),
            seal: branch(b"stillpoint seal"),
            salt: branch(b"stillpoint salt"),
            cache: branch(b"stillpoint cache"),
            slot: branch(b"stillpoint slot proof"),
        }
    }

    /// The repository that these keys belong to.
    pub fn repository(&self) -> RepositoryId {
        self.repository
    }

    /// The name of the chunk with this plaintext.
    pub fn chunk_id(&self, plaintext: &[u8]) -> ChunkId {
        ChunkId::new(*blake3::keyed_hash(&self.chunk, plaintext).as_bytes())
    }

    /// The digest of bytes that are no chunk: a page of a file, or part of a chunk.
    pub fn digest(&self, bytes: &[u8]) -> Digest {
        Digester::truncate(blake3::keyed_hash(&self.part, bytes))
    }

    /// Digests bytes that come piece by piece.
    pub fn digester(&self) -> Digester {
        Digester(blake3::Hasher::new_keyed(&self.part))
    }

    /// The tag of some bytes that are kept on this machine, outside the repository, and must come
    /// back as they were. The bytes have to say themselves what they are and where they belong.
    pub fn cache_tag(&self, bytes: &[u8]) -> [u8; 16] {
        *Digester::truncate(blake3::keyed_hash(&self.cache, bytes)).as_bytes()
    }

    pub(crate) fn slot_hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.slot)
    }

    pub(crate) fn content_hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.content)
    }

    /// The key that decides where content is cut.
    pub fn cut_key(&self) -> &[u8; 32] {
        &self.cut
    }

    // A salt that covers the exact bytes to be sealed: even with a broken source of randomness, or
    // on a cloned machine, two different contents never share a key and a nonce.
    pub(crate) fn salt<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.salt);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    }

    // The key of one sealed object, and the commitment that is stored beside it.
    pub(crate) fn object_key(&self, salt: &[u8; 32]) -> (Zeroizing<[u8; 32]>, [u8; 32]) {
        let tree = Hkdf::<Sha256>::new(Some(salt), &self.seal);
        let (mut key, mut commitment) = (Zeroizing::new([0; 32]), [0; 32]);
        expand(&tree, b"stillpoint object key", &mut key);
        expand(&tree, b"stillpoint commitment", &mut commitment);
        (key, commitment)
    }
}

/// The digest of bytes that come piece by piece.
#[derive(Clone, Debug)]
pub struct Digester(blake3::Hasher);

impl Digester {
    /// Adds bytes at the end.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all that was added.
    pub fn finish(&self) -> Digest {
        Self::truncate(self.0.finalize())
    }

    fn truncate(hash: blake3::Hash) -> Digest {
        let [half @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *hash.as_bytes();
        Digest::new(half)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys(of {})", self.repository)
    }
}

fn expand(tree: &Hkdf<Sha256>, label: &[u8], key: &mut [u8; 32]) {
    // HKDF-SHA-256 yields up to 8,160 bytes; 32 cannot be too many.
    let expanded = tree.expand(label, key);
    debug_assert!(expanded.is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_chunks_have_other_names_in_another_repository() {
        let root = RootKey::new([7; 32]);
        let here = Keys::derive(&root, RepositoryId::new([1; 16]));
        let there = Keys::derive(&root, RepositoryId::new([2; 16]));
        assert_eq!(here.chunk_id(b"x"), here.chunk_id(b"x"));
        assert_ne!(here.chunk_id(b"x"), there.chunk_id(b"x"));
    }

    #[test]
    fn debug_output_shows_no_key() {
        let root = RootKey::new([0xAB; 32]);
        let keys = Keys::derive(&root, RepositoryId::new([1; 16]));
        let shown = format!("{root:?} {keys:?}");
        assert_eq!(shown, "RootKey(..) Keys(of 01010101010101010101010101010101)");
    }
}
