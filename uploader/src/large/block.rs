//! What is read of a large file at a time.

use std::ops::Range;

use platform::files::direct::AlignedBuffer;

/// Blocks begin at multiples of this many bytes of the file, and have as many, but for the last.
pub(crate) const BLOCK_BYTES: usize = 4 << 20;

/// A run of a file. Blocks come in the order of the file; those that lie in a hole from end to
/// end are left out.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// Where it begins in the file.
    pub(crate) offset: u64,
    /// Its bytes, those in holes being zero. Only the last block of a file is shorter than
    /// [`BLOCK_BYTES`].
    pub(crate) bytes: AlignedBuffer,
    /// Which of the file's bytes in this block are holes: in order, apart from one another, none
    /// empty, as positions in the file.
    pub(crate) holes: Vec<Range<u64>>,
}

/// A run of a file that is as the parent has it, and that was not read; otherwise as a [`Block`].
#[derive(Clone, Debug)]
pub(crate) struct Same {
    /// Where it lies in the file.
    pub(crate) range: Range<u64>,
    /// As those of a block.
    pub(crate) holes: Vec<Range<u64>>,
}
