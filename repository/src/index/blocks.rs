//! The rows of a table, read a block at a time.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::table::BLOCK_BYTES;
use super::tag::{Part, Tagger};

/// Blocks of a table with no more bytes than this come into memory when it is asked often: each
/// is asked for several times then, and to read it costs more than all else of a look-up.
const KEPT_BYTES_MAX: u64 = 16 << 20;
/// What often means: a backup asks once for each chunk, the restore of a file a few times.
const READS_BEFORE_KEPT: u64 = 4096;

/// One block, checked.
pub(super) type Block = [u8; BLOCK_BYTES];

/// The blocks of one table.
#[derive(Debug)]
pub(super) struct Blocks {
    file: File,
    tagger: Tagger,
    count: u64,
    reads: AtomicU64,
    kept: OnceLock<Vec<u8>>,
}

impl Blocks {
    /// The first `count` blocks after the header of this file.
    pub(super) fn new(file: File, tagger: Tagger, count: u64) -> Self {
        Self { file, tagger, count, reads: AtomicU64::new(0), kept: OnceLock::new() }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// One of them.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when it is damaged.
    pub(super) fn get(&self, number: u64) -> io::Result<Block> {
        if let Some(block) = self.kept(number) {
            return Ok(block);
        }
        let is_small = self.count.saturating_mul(BLOCK_BYTES as u64) <= KEPT_BYTES_MAX;
        if is_small && self.reads.fetch_add(1, Relaxed) == READS_BEFORE_KEPT {
            // Of two threads that come here one only does the work again.
            let _ = self.kept.set(self.range(0, self.count)?);
        }
        let mut block = [0; BLOCK_BYTES];
        self.file.read_exact_at(&mut block, place(number))?;
        self.tagger.check(Part::Block(number), &mut block)?;
        Ok(block)
    }

    /// Blocks that follow one another, from `first` to before `end`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(super) fn range(&self, first: u64, end: u64) -> io::Result<Vec<u8>> {
        let count = usize::try_from(end.saturating_sub(first)).unwrap_or(0);
        let mut bytes = vec![0; count.saturating_mul(BLOCK_BYTES)];
        self.file.read_exact_at(&mut bytes, place(first))?;
        let (blocks, _) = bytes.as_chunks_mut::<BLOCK_BYTES>();
        for (number, block) in (first..).zip(blocks) {
            self.tagger.check(Part::Block(number), block)?;
        }
        Ok(bytes)
    }

    fn kept(&self, number: u64) -> Option<Block> {
        let (blocks, _) = self.kept.get()?.as_chunks::<BLOCK_BYTES>();
        blocks.get(usize::try_from(number).ok()?).copied()
    }
}

// The header takes the place of one.
fn place(block: u64) -> u64 {
    block.saturating_add(1).saturating_mul(BLOCK_BYTES as u64)
}
