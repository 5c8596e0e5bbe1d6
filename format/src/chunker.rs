//! Content-defined chunking: where a stream of bytes is cut depends on its bytes alone.
//!
//! Two filters in a row. The first is a multiply-and-add over the last 8 bytes that passes one
//! position in 1,024; the second is a keyed BLAKE3 over the last 64 bytes, asked only there. Both
//! are keyed, so that the lengths of chunks say nothing about known files.
//! See docs/format.md#cut-points.
//!
//! # What it costs at worst
//! Some keys let the first filter pass at every position of some data: one key in 1,024 does so
//! on zeros. Then the second filter decides alone, at some 70 ns a position, but not for long: it
//! is asked once for each *different* window (see `seen.rs`), and each has its own chance of one in
//! 2,048 to end the chunk. So whatever the data, some 2,048 hashes end a chunk that has its 256
//! KiB; measured (`benches/chunker.rs`), that is a quarter of the usual speed. Only who holds the
//! key can make data of more windows than that which never pass.

mod cutter;
mod seen;
mod sieve;

#[cfg(test)]
mod tests;

pub use self::cutter::Cutter;
pub use self::sieve::Instructions;

use self::seen::Seen;
use self::sieve::Sieve;

/// No chunk but the last of a stream is shorter.
pub const CHUNK_BYTES_MIN: usize = 256 << 10;
/// About the mean length of chunks.
pub const CHUNK_BYTES_AVERAGE: usize = 1 << 20;
/// No chunk is longer.
pub const CHUNK_BYTES_MAX: usize = 4 << 20;

/// How many bytes the second filter looks at.
const WINDOW_BYTES: usize = 64;
/// The second filter asks for 11 zero bits before the average, and for 9 after it, which keeps
/// the lengths close to the average (the normalisation of `FastCDC`, Xia et al. 2016).
const MASK_BEFORE: u32 = (1 << 11) - 1;
const MASK_AFTER: u32 = (1 << 9) - 1;
/// The last position that the stricter mask decides.
const BEFORE_AVERAGE: usize = CHUNK_BYTES_AVERAGE - 1;

/// Cuts streams of one repository.
#[derive(Clone)]
pub struct Chunker {
    sieve: Sieve,
    window_key: [u8; 32],
    seen_key: [u8; 64],
}

impl Chunker {
    /// A chunker that cuts as the repository with this cut key does.
    pub fn new(cut_key: &[u8; 32]) -> Self {
        let mut output = blake3::Hasher::new_keyed(cut_key).finalize_xof();
        let (mut sieve, mut window_key, mut seen_key) = ([0; 12], [0; 32], [0; 64]);
        output.fill(&mut sieve);
        output.fill(&mut window_key);
        // No part of the rule: it decides only which windows are remembered.
        output.fill(&mut seen_key);
        Self { sieve: Sieve::new(sieve), window_key, seen_key }
    }

    /// The same chunker on other instructions; the cuts are the same.
    #[must_use]
    pub fn on(self, instructions: Instructions) -> Self {
        Self { sieve: self.sieve.on(instructions), ..self }
    }

    /// The length of the first chunk of `data`.
    ///
    /// `data` is the rest of the stream, or at least its next [`CHUNK_BYTES_MAX`] bytes.
    pub fn cut(&self, data: &[u8]) -> usize {
        if data.len() <= CHUNK_BYTES_MIN {
            return data.len();
        }
        let part = Part { bytes: data, before: 0 };
        self.end(part, CHUNK_BYTES_MIN, &mut Seen::new(&self.seen_key)).unwrap_or(data.len())
    }

    // Where the chunk ends, if that is at `from` or later and within this part of it.
    fn end(&self, part: Part<'_>, from: usize, seen: &mut Seen) -> Option<usize> {
        let last = part.before.saturating_add(part.bytes.len()).min(CHUNK_BYTES_MAX);
        let from = from.max(CHUNK_BYTES_MIN);
        let before = Search { from, to: last.min(BEFORE_AVERAGE), mask: MASK_BEFORE };
        let after = Search { from: from.max(CHUNK_BYTES_AVERAGE), to: last, mask: MASK_AFTER };
        self.find(part, before, seen)
            .or_else(|| self.find(part, after, seen))
            .or_else(|| (last == CHUNK_BYTES_MAX).then_some(last))
    }

    // The first position at which both filters pass; a chunk would end before it.
    fn find(&self, part: Part<'_>, search: Search, seen: &mut Seen) -> Option<usize> {
        let bytes = part.bytes;
        let from = search.from.checked_sub(part.before)?;
        let to = search.to.checked_sub(part.before)?;
        let mut next = from;
        while let Some(group) = self.sieve.next_group(bytes, next, to) {
            next = group.end();
            let mut unsettled = group.start;
            for candidate in group.candidates() {
                if candidate < unsettled {
                    continue;
                }
                if let Some(later) = seen.refused(bytes, from..candidate, to) {
                    unsettled = later;
                } else if self.window_passes(bytes, candidate, search.mask) {
                    return candidate.checked_add(part.before);
                }
            }
            next = next.max(unsettled);
        }
        None
    }

    fn window_passes(&self, data: &[u8], position: usize, mask: u32) -> bool {
        window(data, position).is_some_and(|window| {
            let hash = blake3::keyed_hash(&self.window_key, window);
            let [a, b, c, d, ..] = *hash.as_bytes();
            u32::from_le_bytes([a, b, c, d]) & mask == 0
        })
    }
}

/// A part of a chunk that is at hand. Positions count from the start of the chunk, and the window
/// of each that is asked for lies within the part.
#[derive(Clone, Copy)]
struct Part<'a> {
    bytes: &'a [u8],
    /// How many bytes of the chunk lie before these.
    before: usize,
}

/// Which positions of a chunk to try, the last one included, and how strictly.
#[derive(Clone, Copy)]
struct Search {
    from: usize,
    to: usize,
    mask: u32,
}

// The bytes before a position that the second filter looks at.
fn window(data: &[u8], position: usize) -> Option<&[u8; WINDOW_BYTES]> {
    data.get(position.checked_sub(WINDOW_BYTES)?..position)?.first_chunk()
}

const _: () = assert!(WINDOW_BYTES <= CHUNK_BYTES_MIN && sieve::BYTES <= WINDOW_BYTES);
