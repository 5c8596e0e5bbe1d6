//! What is read next: the pieces of many files, grouped by the frames and packs that hold them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use format::names::PackName;
use format::pack::FrameAddress;
use format::tree::Slice;
use repository::index::Place;

use crate::file::FileWork;

/// How many slices are looked at ahead.
pub(crate) const WINDOW_SLICES: usize = 16 << 10;
/// How many bytes of files they have at the most, but for the last of them.
pub(crate) const WINDOW_BYTES: u64 = 64 << 20;
/// How many bytes are asked for at once, unless a single frame has more.
const READ_BYTES: u64 = 4 << 20;
/// Bytes that nobody needs and that are cheaper to read than to ask twice.
const GAP_BYTES: u64 = 256 << 10;

/// A frame of the repository.
pub(crate) type FrameKey = (PackName, u32);

/// Bytes of a chunk that belong into a file.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) file: Arc<FileWork>,
    /// Where in the file.
    pub(crate) at: u64,
    pub(crate) slice: Slice,
    /// Where the chunk lies in the plaintext of its frame.
    pub(crate) chunk_offset: u32,
    pub(crate) chunk_length: u32,
}

/// A frame, and the pieces that are in it.
#[derive(Debug)]
pub(crate) struct FrameWork {
    pub(crate) address: FrameAddress,
    pub(crate) pieces: Vec<Piece>,
    /// The rank of its first piece in the window.
    first: usize,
}

/// Bytes of a pack that are fetched at once, with the frames in them.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) pack: PackName,
    pub(crate) range: Range<u64>,
    pub(crate) frames: Vec<FrameWork>,
}

/// The pieces that are planned together.
#[derive(Debug, Default)]
pub(crate) struct Window {
    frames: HashMap<FrameKey, FrameWork>,
    slices: usize,
    bytes: u64,
}

impl FrameWork {
    pub(crate) fn key(&self) -> FrameKey {
        (self.address.pack, self.address.number)
    }

    fn range(&self) -> Range<u64> {
        let start = self.address.offset;
        start..start.saturating_add(self.address.length.into())
    }

    /// Whether all bytes of the frame are asked for, so that nobody is likely to ask once more.
    pub(crate) fn is_used_up(&self) -> bool {
        let used = self.pieces.iter().map(|piece| u64::from(piece.slice.length));
        used.fold(0, u64::saturating_add) >= self.address.raw_length.into()
    }
}

impl Window {
    /// Adds bytes that belong at `at` in `file`, and whose chunk lies at `place`.
    pub(crate) fn add(&mut self, file: &Arc<FileWork>, at: u64, slice: Slice, place: Place) {
        let key = (place.frame.pack, place.frame.number);
        let (address, first) = (place.frame, self.slices);
        let frame = self.frames.entry(key);
        let frame = frame.or_insert_with(|| FrameWork { address, pieces: Vec::new(), first });
        frame.pieces.push(Piece {
            file: Arc::clone(file),
            at,
            slice,
            chunk_offset: place.offset,
            chunk_length: place.length,
        });
        self.slices += 1;
        self.bytes = self.bytes.saturating_add(slice.length.into());
    }

    /// Whether no more should be added.
    pub(crate) fn is_full(&self) -> bool {
        self.slices >= WINDOW_SLICES || self.bytes >= WINDOW_BYTES
    }

    /// The frames, in no particular order; the window is empty then.
    pub(crate) fn take(&mut self) -> Vec<FrameWork> {
        std::mem::take(self).frames.into_values().collect()
    }
}

/// The reads for these frames, those for the first pieces first. Each frame is in one read.
pub(crate) fn coalesce(mut frames: Vec<FrameWork>) -> Vec<Read> {
    frames.sort_unstable_by_key(|frame| (frame.address.pack, frame.address.offset));
    let mut reads: Vec<Read> = Vec::new();
    for frame in frames {
        let range = frame.range();
        match reads.last_mut() {
            Some(read)
                if read.pack == frame.address.pack
                    && range.start <= read.range.end.saturating_add(GAP_BYTES)
                    && range.end.saturating_sub(read.range.start) <= READ_BYTES =>
            {
                read.range.end = read.range.end.max(range.end);
                read.frames.push(frame);
            }
            _ => reads.push(Read { pack: frame.address.pack, range, frames: vec![frame] }),
        }
    }
    reads.sort_by_key(|read| read.frames.iter().map(|frame| frame.first).min());
    reads
}

#[cfg(test)]
mod tests {
    use super::*;
    use format::frame::{ChunkKind, Codec};
    use format::ids::{ObjectId, PointId};

    fn frame(pack: u8, offset: u64, length: u32, first: usize) -> FrameWork {
        let name = PackName { session: PointId::new([0; 16]), id: ObjectId::new([pack; 16]) };
        let number = u32::try_from(first).unwrap();
        let address = FrameAddress {
            pack: name,
            salt: [0; 32],
            count: 1000,
            number,
            offset,
            length,
            kind: ChunkKind::Data,
            codec: Codec::Plain,
            raw_length: length,
        };
        FrameWork { address, pieces: Vec::new(), first }
    }

    fn shown(reads: &[Read]) -> Vec<(Range<u64>, usize)> {
        reads.iter().map(|read| (read.range.clone(), read.frames.len())).collect()
    }

    #[test]
    fn neighbours_are_read_at_once_and_far_ones_apart() {
        let gap = u32::try_from(GAP_BYTES).unwrap();
        let frames = vec![
            frame(1, 3_000_000, 10, 4),
            frame(1, 100, 50, 1),
            frame(1, 150, 50, 0),
            frame(1, 200 + GAP_BYTES, gap, 2),
            frame(2, 200, 50, 3),
        ];
        let expected = [(100..200 + 2 * GAP_BYTES, 3), (200..250, 1), (3_000_000..3_000_010, 1)];
        assert_eq!(shown(&coalesce(frames)), expected);
    }

    #[test]
    fn reads_are_bounded_and_hold_every_frame_once() {
        let length = 700_000;
        let frames =
            (0..40_u8).map(|n| frame(1, u64::from(n) * u64::from(length), length, n.into()));
        let mut frames: Vec<_> = frames.collect();
        frames.push(frame(2, 0, 6 << 20, 40));
        let reads = coalesce(frames);
        let mut seen = 0;
        for read in &reads {
            let bytes = read.range.end - read.range.start;
            assert!(bytes <= READ_BYTES || read.frames.len() == 1);
            let inside = |f: &FrameWork| {
                f.range().start >= read.range.start && f.range().end <= read.range.end
            };
            assert!(read.frames.iter().all(inside));
            seen += read.frames.len();
        }
        assert_eq!((seen, reads.len()), (41, 9));
    }
}
