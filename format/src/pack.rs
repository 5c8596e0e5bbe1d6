//! Packs: objects full of sealed frames, with a sealed footer that says what is in them.
//!
//! See docs/format.md#packs.

mod record;
#[cfg(test)]
mod tests;

use std::fmt;

pub use record::{Flaw, FrameAddress, FrameRecord, PackRecord};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::record::Description;
use crate::frame::{self, ChunkKind, ChunkRecord, Codec, Decoder, Frame, FrameError};
use crate::ids::ChunkId;
use crate::keys::Keys;
use crate::names::PackName;
use crate::seal::{BrokenSeal, Seal, TAG_BYTES};

/// A pack is closed when its frames reach this many bytes.
pub const PACK_BYTES_TARGET: usize = 16 << 20;
/// No pack is longer than this.
pub const PACK_BYTES_MAX: u64 = 1 << 30;
/// How many bytes of a pack come before its frames.
pub const HEADER_BYTES: usize = MAGIC.len() + 32 + 32;
/// How many bytes of a pack come after its sealed footer.
pub const TRAILER_BYTES: usize = 8 + MAGIC.len();

const MAGIC: [u8; 8] = *b"SPpack\0\0";
/// The number under which the footer is sealed; no pack has as many frames.
const FOOTER_NUMBER: u32 = u32::MAX;

/// A pack ready to be stored.
#[derive(Clone, Debug)]
pub struct SealedPack {
    /// The object's bytes.
    pub bytes: Vec<u8>,
    /// What the index says about it.
    pub record: PackRecord,
}

/// Why a pack, or a frame of it, cannot be read.
#[derive(Debug, Error)]
pub enum PackError {
    /// A chunk's bytes are not those that its name promises.
    #[error("chunk {0} has other bytes than its name says")]
    ChunkMismatch(ChunkId),
    /// A frame decodes to something else than it should.
    #[error("frame {number} is damaged")]
    Frame {
        /// Which frame, counted from 0.
        number: u32,
        /// What is wrong with it.
        source: FrameError,
    },
    /// What a footer or an index segment says about a pack cannot be true.
    #[error("what is said about `{pack}` cannot be: {flaw}")]
    Impossible {
        /// The pack.
        pack: PackName,
        /// What is wrong.
        flaw: Flaw,
    },
    /// The lengths inside the pack do not add up, or it is no pack at all.
    #[error("the pack is torn, or not a pack")]
    Malformed,
    /// A sealed part is not what was written.
    #[error("the pack was altered")]
    Seal(#[from] BrokenSeal),
}

/// Seals frames into a pack, all at once, under a salt that covers their exact bytes. The memory
/// of each frame is given back when it is sealed; `memory` becomes the pack's.
pub fn seal(keys: &Keys, name: PackName, frames: Vec<Frame>, memory: Vec<u8>) -> SealedPack {
    let record_of_frames = layout(&frames);
    let footer = encode_footer(&record_of_frames);
    let identity = name.to_string();
    let parts = frames.iter().map(|frame| frame.bytes.as_slice());
    let salt = keys.salt([identity.as_bytes(), &footer].into_iter().chain(parts));
    let seal = Seal::new(keys, &salt);

    let count = u32::try_from(frames.len()).unwrap_or(FOOTER_NUMBER);
    let total: usize = frames.iter().map(|f| f.bytes.len().saturating_add(TAG_BYTES)).sum();
    let slack = HEADER_BYTES.saturating_add(footer.len()).saturating_add(TAG_BYTES + TRAILER_BYTES);
    let mut bytes = memory;
    bytes.clear();
    bytes.reserve(total.saturating_add(slack));
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&salt);
    bytes.extend_from_slice(seal.commitment());
    for (number, (frame, record)) in (0..).zip(frames.into_iter().zip(&record_of_frames)) {
        seal.seal(
            number,
            &binding(keys, name, number, count, Some(record.description())),
            &frame.bytes,
            &mut bytes,
        );
    }
    let footer_start = bytes.len();
    // Footer last: a torn upload has no footer, so it cannot be mistaken for a whole pack.
    seal.seal(FOOTER_NUMBER, &binding(keys, name, FOOTER_NUMBER, count, None), &footer, &mut bytes);
    let footer_length = bytes.len().saturating_sub(footer_start);
    bytes.extend_from_slice(&u32::try_from(footer_length).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&MAGIC);
    let record = PackRecord { name, size: bytes.len() as u64, salt, frames: record_of_frames };
    SealedPack { bytes, record }
}

/// What a whole pack holds, from its own footer.
pub fn read_footer(keys: &Keys, name: PackName, bytes: &[u8]) -> Result<PackRecord, PackError> {
    read_footer_of(keys, name, bytes.len() as u64, bytes, bytes)
}

/// What a pack of `size` bytes holds, from the parts of it that say so.
///
/// `head` is how it begins, at least [`HEADER_BYTES`]; `tail` is how it ends, at least
/// [`footer_bytes`].
pub fn read_footer_of(
    keys: &Keys,
    name: PackName,
    size: u64,
    head: &[u8],
    tail: &[u8],
) -> Result<PackRecord, PackError> {
    let header = head.get(..HEADER_BYTES).ok_or(PackError::Malformed)?;
    let (magic, rest) = header.split_at(MAGIC.len());
    let (salt, commitment) = rest.split_at(32);
    let salt: [u8; 32] = salt.try_into().map_err(|_| PackError::Malformed)?;
    let Trailer { footer_length, count } = Trailer::parse(tail)?;
    if magic != MAGIC {
        return Err(PackError::Malformed);
    }
    let seal = Seal::new(keys, &salt);
    seal.check(commitment)?;
    let end = tail.len().checked_sub(TRAILER_BYTES).ok_or(PackError::Malformed)?;
    let start = end.checked_sub(footer_length as usize).ok_or(PackError::Malformed)?;
    let footer = tail.get(start..end).ok_or(PackError::Malformed)?;
    let footer =
        seal.open(FOOTER_NUMBER, &binding(keys, name, FOOTER_NUMBER, count, None), footer)?;
    let frames = decode_footer(&footer)?;
    let after = u64::from(footer_length).saturating_add(TRAILER_BYTES as u64);
    let sealed_end = size.checked_sub(after).ok_or(PackError::Malformed)?;
    let record = PackRecord { name, size, salt, frames };
    if record.frames.len() != count as usize || record.frames_end() != sealed_end {
        return Err(PackError::Malformed);
    }
    record.possible()?;
    Ok(record)
}

/// How many bytes the sealed footer of a pack takes together with the trailer after it. `tail` is
/// how the pack ends, at least [`TRAILER_BYTES`].
pub fn footer_bytes(tail: &[u8]) -> Result<u64, PackError> {
    let Trailer { footer_length, .. } = Trailer::parse(tail)?;
    Ok(u64::from(footer_length).saturating_add(TRAILER_BYTES as u64))
}

struct Trailer {
    footer_length: u32,
    count: u32,
}

impl Trailer {
    fn parse(tail: &[u8]) -> Result<Self, PackError> {
        let start = tail.len().checked_sub(TRAILER_BYTES).ok_or(PackError::Malformed)?;
        let trailer = tail.get(start..).ok_or(PackError::Malformed)?;
        let &[l0, l1, l2, l3, c0, c1, c2, c3, ref end @ ..] = trailer else {
            return Err(PackError::Malformed);
        };
        if end != MAGIC {
            return Err(PackError::Malformed);
        }
        let footer_length = u32::from_le_bytes([l0, l1, l2, l3]);
        Ok(Self { footer_length, count: u32::from_le_bytes([c0, c1, c2, c3]) })
    }
}

/// The plaintext of a frame. Its chunks are taken out one by one, each checked against its name.
#[derive(Clone, Eq, PartialEq)]
pub struct OpenedFrame(Vec<u8>);

impl OpenedFrame {
    /// The bytes of the chunk that lies at `offset`, if they are those that its name promises.
    pub fn chunk(
        &self,
        keys: &Keys,
        id: ChunkId,
        offset: u32,
        length: u32,
    ) -> Result<&[u8], PackError> {
        chunk_in(&self.0, keys, id, (offset, length))
    }

    /// How many bytes it takes in memory.
    pub fn length(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for OpenedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenedFrame({} bytes)", self.0.len())
    }
}

/// Opens a frame, of which `sealed` are the stored bytes.
pub fn open_frame(
    keys: &Keys,
    frame: &FrameAddress,
    sealed: &[u8],
) -> Result<OpenedFrame, PackError> {
    let bound = binding(keys, frame.pack, frame.number, frame.count, Some(frame.description()));
    let encoded = Seal::new(keys, &frame.salt).open(frame.number, &bound, sealed)?;
    frame::decode(frame.codec, frame.raw_length, encoded)
        .map(OpenedFrame)
        .map_err(|source| PackError::Frame { number: frame.number, source })
}

/// Reads a whole pack again: footer, every frame, every chunk. All frames share the same memory.
pub fn verify(keys: &Keys, name: PackName, bytes: &[u8]) -> Result<PackRecord, PackError> {
    let record = read_footer(keys, name, bytes)?;
    let seal = Seal::new(keys, &record.salt);
    let count = u32::try_from(record.frames.len()).map_err(|_| PackError::Malformed)?;
    let mut decoder = Decoder::default();
    let mut encoded = Vec::new();
    for (number, frame) in (0..).zip(&record.frames) {
        let start = usize::try_from(frame.offset).map_err(|_| PackError::Malformed)?;
        let end = start.checked_add(frame.length as usize).ok_or(PackError::Malformed)?;
        let sealed = bytes.get(start..end).ok_or(PackError::Malformed)?;
        let bound = binding(keys, name, number, count, Some(frame.description()));
        seal.open_to(number, &bound, sealed, &mut encoded)?;
        let plaintext = decoder.decode(frame.codec, frame.raw_length, &encoded);
        let plaintext = plaintext.map_err(|source| PackError::Frame { number, source })?;
        let mut offset: u32 = 0;
        for chunk in &frame.chunks {
            chunk_in(plaintext, keys, chunk.id, (offset, chunk.length))?;
            offset = offset.checked_add(chunk.length).ok_or(PackError::Malformed)?;
        }
    }
    Ok(record)
}

// The bytes of a chunk in a frame's plaintext, if they are those that its name promises.
fn chunk_in<'a>(
    plaintext: &'a [u8],
    keys: &Keys,
    id: ChunkId,
    (offset, length): (u32, u32),
) -> Result<&'a [u8], PackError> {
    let end = (offset as usize).checked_add(length as usize).ok_or(PackError::Malformed)?;
    let bytes = plaintext.get(offset as usize..end).ok_or(PackError::Malformed)?;
    if keys.chunk_id(bytes) == id { Ok(bytes) } else { Err(PackError::ChunkMismatch(id)) }
}

// What a sealed text is bound to: it opens in no other place, and under no other description.
fn binding(
    keys: &Keys,
    name: PackName,
    number: u32,
    count: u32,
    frame: Option<Description>,
) -> Vec<u8> {
    let mut bound = b"stillpoint pack".to_vec();
    bound.extend_from_slice(keys.repository().as_bytes());
    bound.extend_from_slice(name.session.as_bytes());
    bound.extend_from_slice(name.id.as_bytes());
    bound.extend_from_slice(&number.to_le_bytes());
    bound.extend_from_slice(&count.to_le_bytes());
    if let Some((kind, codec, raw_length)) = frame {
        bound.push(kind as u8);
        bound.push(codec as u8);
        bound.extend_from_slice(&raw_length.to_le_bytes());
    }
    bound
}

// The footer keeps no offsets: frames lie one after another from the end of the header.
#[derive(Deserialize, Serialize)]
struct FooterFrame {
    kind: ChunkKind,
    codec: Codec,
    length: u32,
    raw_length: u32,
    chunks: Vec<ChunkRecord>,
}

fn layout(frames: &[Frame]) -> Vec<FrameRecord> {
    let mut offset = HEADER_BYTES as u64;
    let place = |frame: &Frame| {
        let length = u32::try_from(frame.bytes.len().saturating_add(TAG_BYTES)).unwrap_or(u32::MAX);
        let record = FrameRecord {
            offset,
            length,
            kind: frame.kind,
            codec: frame.codec,
            raw_length: frame.raw_length,
            chunks: frame.chunks.clone(),
        };
        offset = offset.saturating_add(u64::from(length));
        record
    };
    frames.iter().map(place).collect()
}

fn encode_footer(frames: &[FrameRecord]) -> Vec<u8> {
    let frames: Vec<FooterFrame> = frames
        .iter()
        .map(|f| FooterFrame {
            kind: f.kind,
            codec: f.codec,
            length: f.length,
            raw_length: f.raw_length,
            chunks: f.chunks.clone(),
        })
        .collect();
    // Writing to memory fails for types that serde cannot describe only; these it can.
    postcard::to_allocvec(&frames).unwrap_or_default()
}

/// The frames that a footer lists, from its plaintext.
pub fn decode_footer(footer: &[u8]) -> Result<Vec<FrameRecord>, PackError> {
    let frames: Vec<FooterFrame> =
        postcard::from_bytes(footer).map_err(|_| PackError::Malformed)?;
    let mut offset = HEADER_BYTES as u64;
    let mut records = Vec::with_capacity(frames.len());
    for frame in frames {
        let FooterFrame { kind, codec, length, raw_length, chunks } = frame;
        records.push(FrameRecord { offset, length, kind, codec, raw_length, chunks });
        offset = offset.checked_add(u64::from(length)).ok_or(PackError::Malformed)?;
    }
    Ok(records)
}
