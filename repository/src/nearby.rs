//! Chunks that are at hand on this machine: what a writer has just made need not be fetched.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use format::ids::ChunkId;
use format::keys::Keys;
use format::tree::Slice;

/// Chunks in a file without a name: they go with the process.
#[derive(Debug)]
pub struct Nearby {
    file: File,
    places: Mutex<Places>,
    /// Why a chunk could not be kept.
    failure: Mutex<Option<io::Error>>,
}

#[derive(Debug, Default)]
struct Places {
    chunks: HashMap<ChunkId, (u64, u32)>,
    end: u64,
}

impl Nearby {
    /// No chunks yet, in an empty file that nobody else uses.
    pub fn new(file: File) -> Self {
        Self { file, places: Mutex::default(), failure: Mutex::default() }
    }

    /// Keeps a chunk, if it is not kept already. One that cannot be kept has to be fetched.
    pub fn keep(&self, chunk: ChunkId, bytes: &[u8]) {
        if let Err(error) = self.put(chunk, bytes) {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }

    /// Why a chunk could not be kept, if any could not since this was asked last.
    pub fn failure(&self) -> Option<io::Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, chunk: ChunkId, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let offset = {
            let mut places = self.places();
            if places.chunks.contains_key(&chunk) {
                return Ok(());
            }
            let offset = places.end;
            places.end += u64::from(length);
            offset
        };
        self.file.write_all_at(bytes, offset)?;
        // Only now: others may look for it at any time.
        self.places().chunks.insert(chunk, (offset, length));
        Ok(())
    }

    /// The bytes of a slice; `None` when its chunk is not kept, or is not what it was any more.
    pub(crate) fn read(&self, slice: Slice, keys: &Keys) -> Option<Bytes> {
        let (offset, length) = self.places().chunks.get(&slice.chunk).copied()?;
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        if keys.chunk_id(&bytes) != slice.chunk {
            return None;
        }
        let start = slice.offset as usize;
        let end = start.checked_add(slice.length as usize)?;
        (end <= bytes.len()).then(|| Bytes::from(bytes).slice(start..end))
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        // It is whole between any two operations, so a panic elsewhere leaves it so.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use format::ids::RepositoryId;
    use format::keys::RootKey;

    use super::*;

    #[test]
    fn what_was_put_is_found_and_what_was_spoiled_is_not() {
        let keys = Keys::derive(&RootKey::new([1; 32]), RepositoryId::new([2; 16]));
        let file = tempfile::tempfile().unwrap();
        let nearby = Nearby::new(file.try_clone().unwrap());
        let [one, two] = [b"first".as_slice(), b"second"].map(|bytes| {
            let chunk = keys.chunk_id(bytes);
            nearby.put(chunk, bytes).unwrap();
            nearby.put(chunk, bytes).unwrap();
            Slice { chunk, offset: 1, length: 4 }
        });
        assert_eq!(nearby.read(one, &keys).unwrap(), b"irst".as_slice());
        assert_eq!(nearby.read(two, &keys).unwrap(), b"econ".as_slice());
        assert_eq!(nearby.read(Slice { length: 9, ..one }, &keys), None);
        assert_eq!(nearby.read(Slice { chunk: keys.chunk_id(b"x"), ..one }, &keys), None);
        assert_eq!(file.metadata().unwrap().len(), 11);
        file.write_all_at(b"F", 0).unwrap();
        assert_eq!(nearby.read(one, &keys), None);
        file.set_len(7).unwrap();
        assert_eq!(nearby.read(two, &keys), None);
    }
}
