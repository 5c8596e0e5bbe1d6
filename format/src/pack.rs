//! Packs: objects full of sealed frames, with a sealed footer that says what is in them.
//!
//! See docs/format.md#packs.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::frame::{self, ChunkKind, ChunkRecord, Codec, Frame, FrameError};
use crate::ids::ChunkId;
use crate::keys::Keys;
use crate::names::PackName;
use crate::seal::{BrokenSeal, Seal, TAG_BYTES};

/// A pack is closed when its frames reach this many bytes.
pub const PACK_BYTES_TARGET: usize = 16 << 20;

const MAGIC: [u8; 8] = *b"SPpack\0\0";
const HEADER_BYTES: usize = MAGIC.len() + 32 + 32;
const TRAILER_BYTES: usize = 8 + MAGIC.len();
/// The number under which the footer is sealed; no pack has as many frames.
const FOOTER_NUMBER: u32 = u32::MAX;

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
    /// The lengths inside the pack do not add up, or it is no pack at all.
    #[error("the pack is torn, or not a pack")]
    Malformed,
    /// A sealed part is not what was written.
    #[error("the pack was altered")]
    Seal(#[from] BrokenSeal),
}

/// Seals frames into a pack, all at once, under a salt that covers their exact bytes.
pub fn seal(keys: &Keys, name: PackName, frames: &[Frame]) -> SealedPack {
    let record_of_frames = layout(frames);
    let footer = encode_footer(&record_of_frames);
    let identity = name.to_string();
    let parts = frames.iter().map(|frame| frame.bytes.as_slice());
    let salt = keys.salt([identity.as_bytes(), &footer].into_iter().chain(parts));
    let seal = Seal::new(keys, &salt);

    let count = u32::try_from(frames.len()).unwrap_or(FOOTER_NUMBER);
    let total: usize = frames.iter().map(|f| f.bytes.len().saturating_add(TAG_BYTES)).sum();
    let slack = HEADER_BYTES.saturating_add(footer.len()).saturating_add(TAG_BYTES + TRAILER_BYTES);
    let mut bytes = Vec::with_capacity(total.saturating_add(slack));
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&salt);
    bytes.extend_from_slice(seal.commitment());
    for (number, (frame, record)) in (0..).zip(frames.iter().zip(&record_of_frames)) {
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
    let header = bytes.get(..HEADER_BYTES).ok_or(PackError::Malformed)?;
    let (magic, rest) = header.split_at(MAGIC.len());
    let (salt, commitment) = rest.split_at(32);
    let salt: [u8; 32] = salt.try_into().map_err(|_| PackError::Malformed)?;
    let trailer_start = bytes.len().checked_sub(TRAILER_BYTES).ok_or(PackError::Malformed)?;
    let trailer = bytes.get(trailer_start..).ok_or(PackError::Malformed)?;
    let &[l0, l1, l2, l3, c0, c1, c2, c3, ref end @ ..] = trailer else {
        return Err(PackError::Malformed);
    };
    if magic != MAGIC || end != MAGIC {
        return Err(PackError::Malformed);
    }
    let seal = Seal::new(keys, &salt);
    seal.check(commitment)?;
    let count = u32::from_le_bytes([c0, c1, c2, c3]);
    let footer_length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let footer_start = trailer_start.checked_sub(footer_length).ok_or(PackError::Malformed)?;
    let footer = bytes.get(footer_start..trailer_start).ok_or(PackError::Malformed)?;
    let footer =
        seal.open(FOOTER_NUMBER, &binding(keys, name, FOOTER_NUMBER, count, None), footer)?;
    let frames = decode_footer(&footer)?;
    let sealed_end = frames.last().map(|f| f.offset.saturating_add(u64::from(f.length)));
    if frames.len() != count as usize
        || sealed_end.unwrap_or(HEADER_BYTES as u64) != footer_start as u64
    {
        return Err(PackError::Malformed);
    }
    Ok(PackRecord { name, size: bytes.len() as u64, salt, frames })
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

impl PackRecord {
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
        let end = (offset as usize).checked_add(length as usize).ok_or(PackError::Malformed)?;
        let bytes = self.0.get(offset as usize..end).ok_or(PackError::Malformed)?;
        if keys.chunk_id(bytes) == id { Ok(bytes) } else { Err(PackError::ChunkMismatch(id)) }
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

/// Reads a whole pack again: footer, every frame, every chunk.
pub fn verify(keys: &Keys, name: PackName, bytes: &[u8]) -> Result<PackRecord, PackError> {
    let record = read_footer(keys, name, bytes)?;
    for (number, frame) in (0..).zip(&record.frames) {
        let start = usize::try_from(frame.offset).map_err(|_| PackError::Malformed)?;
        let end = start.checked_add(frame.length as usize).ok_or(PackError::Malformed)?;
        let sealed = bytes.get(start..end).ok_or(PackError::Malformed)?;
        let address = record.address(number).ok_or(PackError::Malformed)?;
        let opened = open_frame(keys, &address, sealed)?;
        let mut offset: u32 = 0;
        for chunk in &frame.chunks {
            opened.chunk(keys, chunk.id, offset, chunk.length)?;
            offset = offset.checked_add(chunk.length).ok_or(PackError::Malformed)?;
        }
        if offset != frame.raw_length {
            return Err(PackError::Malformed);
        }
    }
    Ok(record)
}

// What a frame's seal says about its content.
type Description = (ChunkKind, Codec, u32);

impl FrameRecord {
    fn description(&self) -> Description {
        (self.kind, self.codec, self.raw_length)
    }
}

impl FrameAddress {
    fn description(&self) -> Description {
        (self.kind, self.codec, self.raw_length)
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Encoder;
    use crate::ids::{ObjectId, PointId, RepositoryId};
    use crate::keys::RootKey;

    const NAME: PackName = PackName { session: PointId::new([4; 16]), id: ObjectId::new([5; 16]) };

    fn keys() -> Keys {
        Keys::derive(&RootKey::new([1; 32]), RepositoryId::new([2; 16]))
    }

    fn pack() -> SealedPack {
        let mut encoder = Encoder::new().unwrap();
        let mut frame = |kind, texts: &[&[u8]]| {
            let chunks = texts
                .iter()
                .map(|t| ChunkRecord { id: keys().chunk_id(t), length: t.len() as u32 });
            encoder.encode(kind, chunks.collect(), texts.concat())
        };
        let frames =
            [frame(ChunkKind::Data, &[b"one", b"two"]), frame(ChunkKind::Tree, &[&[7; 300]])];
        seal(&keys(), NAME, &frames)
    }

    #[test]
    fn a_pack_reads_back_as_it_was_sealed() {
        let pack = pack();
        assert_eq!(verify(&keys(), NAME, &pack.bytes).unwrap(), pack.record);
        let frame = &pack.record.frames[0];
        let sealed = &pack.bytes[frame.offset as usize..][..frame.length as usize];
        let [one, two] = [0, 1].map(|at| frame.chunks[at].id);
        let opened = open_frame(&keys(), &pack.record.address(0).unwrap(), sealed).unwrap();
        assert_eq!(opened.chunk(&keys(), one, 0, 3).unwrap(), b"one");
        assert_eq!(opened.chunk(&keys(), two, 3, 3).unwrap(), b"two");
        for (id, offset, length) in [(one, 3, 3), (two, 3, 2), (two, 3, 4), (one, u32::MAX, 3)] {
            assert!(opened.chunk(&keys(), id, offset, length).is_err());
        }
        assert!(open_frame(&keys(), &pack.record.address(1).unwrap(), sealed).is_err());
    }

    #[test]
    fn every_flipped_byte_is_found() {
        let pack = pack();
        for at in 0..pack.bytes.len() {
            let mut bad = pack.bytes.clone();
            bad[at] ^= 0x10;
            assert!(verify(&keys(), NAME, &bad).is_err(), "byte {at}");
        }
    }

    #[test]
    fn every_truncation_is_found() {
        let pack = pack();
        for length in 0..pack.bytes.len() {
            assert!(verify(&keys(), NAME, &pack.bytes[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_pack_under_another_name_is_refused() {
        let other = PackName { id: ObjectId::new([6; 16]), ..NAME };
        assert!(verify(&keys(), other, &pack().bytes).is_err());
    }

    #[test]
    fn a_pack_without_frames_is_a_pack() {
        let empty = seal(&keys(), NAME, &[]);
        assert_eq!(verify(&keys(), NAME, &empty.bytes).unwrap(), empty.record);
    }
}
