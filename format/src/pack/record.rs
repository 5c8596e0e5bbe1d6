//! What the footer and the index say about a pack, and what can be true of it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{HEADER_BYTES, PACK_BYTES_MAX, PackError, TRAILER_BYTES};
use crate::frame::{ChunkKind, ChunkRecord, Codec, FRAME_BYTES_MAX};
use crate::ids::Digest;
use crate::keys::Keys;
use crate::names::PackName;
use crate::seal::TAG_BYTES;

/// What a reader must know about a pack to read any frame of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PackRecord {
    /// Its name.
    pub name: PackName,
    /// Its length in bytes.
    pub size: u64,
    /// The salt of its key.
    pub salt: [u8; 32],
    /// Its frames, in order.
    pub frames: Vec<FrameRecord>,
}

/// Where a frame lies in its pack, and what it holds.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct FrameRecord {
    /// Where its sealed bytes begin.
    pub offset: u64,
    /// How many sealed bytes it has.
    pub length: u32,
    /// What its chunks hold.
    pub kind: ChunkKind,
    /// How it is encoded.
    pub codec: Codec,
    /// The length of its plaintext.
    pub raw_length: u32,
    /// Its chunks, in the order of the plaintext.
    pub chunks: Vec<ChunkRecord>,
}

/// Where a frame lies, and all that is needed to open it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct FrameAddress {
    /// The pack.
    pub pack: PackName,
    /// The salt of the pack's key.
    pub salt: [u8; 32],
    /// How many frames the pack has.
    pub count: u32,
    /// Which one it is, counted from 0.
    pub number: u32,
    /// Where its sealed bytes begin in the pack.
    pub offset: u64,
    /// How many sealed bytes it has.
    pub length: u32,
    /// What its chunks hold.
    pub kind: ChunkKind,
    /// How it is encoded.
    pub codec: Codec,
    /// The length of its plaintext.
    pub raw_length: u32,
}

/// What cannot be true of any pack.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Flaw {
    /// The lengths of a frame's chunks do not add up to its own.
    #[error("the chunks of frame {0} are not as long as the frame")]
    ChunkSum(u32),
    /// A chunk has no bytes.
    #[error("frame {0} has an empty chunk")]
    EmptyChunk(u32),
    /// A frame's plaintext, or its sealed form, is longer than any may be.
    #[error("frame {0} is too long")]
    FrameTooLong(u32),
    /// A frame has fewer sealed bytes than any has.
    #[error("frame {0} is too short")]
    FrameTooShort(u32),
    /// A frame does not begin where the one before it ends, or leaves the pack.
    #[error("frame {0} lies where it cannot")]
    Misplaced(u32),
    /// The pack is shorter or longer than any may be.
    #[error("it has {0} bytes")]
    Size(u64),
}

impl PackRecord {
    /// Whether a pack can be as it is described here, so that nothing that is computed from the
    /// record leaves the pack, a frame or the limits of the format. Whoever decodes one asks.
    pub(crate) fn possible(&self) -> Result<(), PackError> {
        let flawed = |flaw| Err(PackError::Impossible { pack: self.name, flaw });
        let Some(room) = self.size.checked_sub(REST_BYTES).filter(|_| self.size <= PACK_BYTES_MAX)
        else {
            return flawed(Flaw::Size(self.size));
        };
        let mut end = HEADER_BYTES as u64;
        for (number, frame) in (0..).zip(&self.frames) {
            if frame.offset != end {
                return flawed(Flaw::Misplaced(number));
            }
            end = end.saturating_add(u64::from(frame.length));
            if end > room {
                return flawed(Flaw::Misplaced(number));
            }
            if let Err(flaw) = frame.possible(number) {
                return flawed(flaw);
            }
        }
        Ok(())
    }

    /// The digest of all that is said here: two records are equal when their digests are.
    pub fn digest(&self, keys: &Keys) -> Digest {
        let mut digester = keys.digester();
        digester.update(b"stillpoint pack record");
        for id in [self.name.session.as_bytes(), self.name.id.as_bytes()] {
            digester.update(id);
        }
        digester.update(&self.size.to_le_bytes());
        digester.update(&self.salt);
        for frame in &self.frames {
            digester.update(&frame.offset.to_le_bytes());
            digester.update(&[frame.kind as u8, frame.codec as u8]);
            for number in [frame.length, frame.raw_length] {
                digester.update(&number.to_le_bytes());
            }
            digester.update(&(frame.chunks.len() as u64).to_le_bytes());
            for chunk in &frame.chunks {
                digester.update(chunk.id.as_bytes());
                digester.update(&chunk.length.to_le_bytes());
            }
        }
        digester.finish()
    }

    pub(super) fn frames_end(&self) -> u64 {
        let last = self.frames.last();
        last.map_or(HEADER_BYTES as u64, |f| f.offset.saturating_add(u64::from(f.length)))
    }

    /// The address of a frame, counted from 0.
    pub fn address(&self, number: u32) -> Option<FrameAddress> {
        let frame = self.frames.get(number as usize)?;
        Some(FrameAddress {
            pack: self.name,
            salt: self.salt,
            count: u32::try_from(self.frames.len()).ok()?,
            number,
            offset: frame.offset,
            length: frame.length,
            kind: frame.kind,
            codec: frame.codec,
            raw_length: frame.raw_length,
        })
    }
}

/// What a pack has after its frames, at least: the seal of an empty footer, and the trailer.
const REST_BYTES: u64 = (TAG_BYTES + TRAILER_BYTES) as u64;
/// How long a sealed frame may be: encoding never makes one longer.
const SEALED_BYTES_MAX: u64 = FRAME_BYTES_MAX as u64 + TAG_BYTES as u64;

// What a frame's seal says about its content.
pub(super) type Description = (ChunkKind, Codec, u32);

impl FrameRecord {
    fn possible(&self, number: u32) -> Result<(), Flaw> {
        if self.raw_length > FRAME_BYTES_MAX || u64::from(self.length) > SEALED_BYTES_MAX {
            return Err(Flaw::FrameTooLong(number));
        }
        if (self.length as usize) < TAG_BYTES {
            return Err(Flaw::FrameTooShort(number));
        }
        let mut sum: u32 = 0;
        for chunk in &self.chunks {
            if chunk.length == 0 {
                return Err(Flaw::EmptyChunk(number));
            }
            sum = sum.checked_add(chunk.length).ok_or(Flaw::ChunkSum(number))?;
        }
        if sum == self.raw_length { Ok(()) } else { Err(Flaw::ChunkSum(number)) }
    }

    pub(super) fn description(&self) -> Description {
        (self.kind, self.codec, self.raw_length)
    }
}

impl FrameAddress {
    pub(super) fn description(&self) -> Description {
        (self.kind, self.codec, self.raw_length)
    }
}
