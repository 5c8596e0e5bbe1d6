//! Cuts a stream that comes in blocks, whatever their sizes, and looks at each byte once.

use super::seen::Seen;
use super::{CHUNK_BYTES_MIN, Chunker, Part, WINDOW_BYTES};

/// What is kept of the bytes before a block: the rest of the window of its first position.
const TAIL_BYTES: usize = WINDOW_BYTES - 1;

/// Finds where the chunks of a stream end while its blocks go by.
///
/// The cuts are those of [`Chunker::cut`] on the whole stream. No bytes are kept but the last 63.
pub struct Cutter {
    chunker: Chunker,
    seen: Seen,
    /// Where the current chunk starts in the stream.
    start: u64,
    /// How long it is so far.
    length: usize,
    /// The last bytes of the stream, at the right end.
    tail: [u8; TAIL_BYTES],
}

impl Cutter {
    /// A cutter that waits for the first block of a content.
    pub fn new(chunker: &Chunker) -> Self {
        let seen = Seen::new(&chunker.seen_key);
        Self { chunker: chunker.clone(), seen, start: 0, length: 0, tail: [0; TAIL_BYTES] }
    }

    /// Takes the next bytes of the content, and appends to `ends` the positions in the content at
    /// which chunks end, as far as these bytes decide.
    pub fn feed(&mut self, block: &[u8], ends: &mut Vec<u64>) {
        let mut rest = block;
        let beyond_tail = self.length.saturating_add(WINDOW_BYTES);
        let mut found = self.end_across(block).or_else(|| self.end(block, beyond_tail));
        while let Some(length) = found {
            rest = rest.get(length.saturating_sub(self.length)..).unwrap_or_default();
            self.start = self.start.saturating_add(length as u64);
            self.length = 0;
            ends.push(self.start);
            found = self.end(rest, 0);
        }
        self.length = self.length.saturating_add(rest.len());
        self.keep(block);
    }

    /// Where the last chunk of the content ends, unless it has ended already or there is none.
    ///
    /// The next block is the first of another content.
    pub fn finish(&mut self) -> Option<u64> {
        let end = self.start.saturating_add(self.length as u64);
        let unended = self.length > 0;
        self.start = 0;
        self.length = 0;
        unended.then_some(end)
    }

    // The length at which the chunk ends, if its next bytes are `rest` and decide so.
    fn end(&mut self, rest: &[u8], from: usize) -> Option<usize> {
        let part = Part { bytes: rest, before: self.length };
        self.chunker.end(part, from, &mut self.seen)
    }

    // The same for the positions whose windows begin before the block.
    fn end_across(&mut self, block: &[u8]) -> Option<usize> {
        let before = self.length.checked_sub(TAIL_BYTES)?;
        let (head, _) = block.split_at(block.len().min(TAIL_BYTES));
        if self.length.saturating_add(head.len()) < CHUNK_BYTES_MIN {
            return None;
        }
        let mut across = [0; 2 * TAIL_BYTES];
        let filled = TAIL_BYTES.saturating_add(head.len());
        for (byte, known) in across.iter_mut().zip(self.tail.iter().chain(head)) {
            *byte = *known;
        }
        let part = Part { bytes: across.get(..filled)?, before };
        self.chunker.end(part, self.length.saturating_add(1), &mut self.seen)
    }

    fn keep(&mut self, block: &[u8]) {
        let (_, new) = block.split_at(block.len().saturating_sub(TAIL_BYTES));
        self.tail.rotate_left(new.len());
        let (_, place) = self.tail.split_at_mut(TAIL_BYTES.saturating_sub(new.len()));
        place.copy_from_slice(new);
    }
}
