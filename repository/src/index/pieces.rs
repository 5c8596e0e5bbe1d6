//! What is read as a whole when a table is opened: bytes in pieces, each with its tag.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use super::tag::{Part, TAG_BYTES, Tagger, altered};

/// How many bytes a piece has, its tag not counted; the last one has fewer.
const PIECE_BYTES: usize = 64 << 10;

/// Writes bytes in pieces, each with its tag.
pub(super) struct PieceWriter<'a, W> {
    output: &'a mut W,
    tagger: &'a Tagger,
    piece: Vec<u8>,
    number: u64,
}

impl<'a, W: Write> PieceWriter<'a, W> {
    pub(super) fn new(output: &'a mut W, tagger: &'a Tagger) -> Self {
        Self { output, tagger, piece: Vec::with_capacity(PIECE_BYTES + TAG_BYTES), number: 0 }
    }

    pub(super) fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = PIECE_BYTES - self.piece.len();
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.piece.extend_from_slice(now);
            bytes = later;
            if self.piece.len() == PIECE_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        if self.piece.is_empty() { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.piece.extend_from_slice(&[0; TAG_BYTES]);
        let tag = self.tagger.tag(Part::Piece(self.number), &mut self.piece);
        self.piece.truncate(self.piece.len() - TAG_BYTES);
        self.output.write_all(&self.piece)?;
        self.output.write_all(&tag)?;
        self.piece.clear();
        self.number += 1;
        Ok(())
    }
}

/// How many bytes so many take in pieces.
pub(super) fn length_in_pieces(bytes: u64) -> u64 {
    bytes.saturating_add(bytes.div_ceil(PIECE_BYTES as u64).saturating_mul(TAG_BYTES as u64))
}

/// Reads bytes that lie in pieces, and checks each piece before any of it is used.
#[derive(Debug)]
pub(super) struct PieceReader {
    tagger: Tagger,
    at: u64,
    end: u64,
    number: u64,
    /// What was read, and not taken yet.
    left: Vec<u8>,
}

impl PieceReader {
    /// Reads the pieces that lie in this part of a file.
    pub(super) fn new(tagger: Tagger, range: Range<u64>) -> Self {
        Self { tagger, at: range.start, end: range.end, number: 0, left: Vec::new() }
    }

    /// The next so many bytes.
    pub(super) fn take(&mut self, file: &File, count: u64) -> io::Result<Vec<u8>> {
        let count = usize::try_from(count).map_err(|_| altered())?;
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count {
            if self.left.is_empty() {
                self.read(file)?;
            }
            let now = self.left.len().min(count - taken.len());
            taken.extend_from_slice(self.left.get(..now).unwrap_or_default());
            self.left.drain(..now);
        }
        Ok(taken)
    }

    fn read(&mut self, file: &File) -> io::Result<()> {
        let length = self.end.saturating_sub(self.at).min((PIECE_BYTES + TAG_BYTES) as u64);
        let mut piece = vec![0; usize::try_from(length).map_err(|_| altered())?];
        file.read_exact_at(&mut piece, self.at)?;
        self.tagger.check(Part::Piece(self.number), &mut piece)?;
        piece.truncate(piece.len().checked_sub(TAG_BYTES).filter(|l| *l > 0).ok_or_else(altered)?);
        (self.at, self.number, self.left) = (self.at + length, self.number + 1, piece);
        Ok(())
    }
}
