//! The rows of a table: fixed in size, so that one is found without reading those before it.

use format::frame::{ChunkKind, Codec};
use format::ids::{ChunkId, Digest, ObjectId, PointId};
use format::keys::Keys;
use format::names::PackName;
use format::pack::{FrameAddress, FrameRecord, PackRecord};

use super::Place;

/// How many bytes say where a chunk is.
pub(super) const CHUNK_BYTES: usize = 60;
/// How many bytes say what is known of a pack.
pub(super) const PACK_BYTES: usize = 100;
/// How many bytes name an index segment.
pub(super) const SEGMENT_BYTES: usize = 32;
/// Stands for no segment: what is known of the pack comes from its own footer.
pub(super) const NO_SEGMENT: u32 = u32::MAX;

/// The name of an index segment.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct SegmentName {
    pub(super) point: PointId,
    pub(super) id: ObjectId,
}

impl SegmentName {
    pub(super) fn to_bytes(self) -> [u8; SEGMENT_BYTES] {
        let mut fields = Writer::new();
        fields.put(self.point.as_bytes());
        fields.put(self.id.as_bytes());
        fields.bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; SEGMENT_BYTES]) -> Self {
        let mut fields = Fields(bytes);
        Self { point: PointId::new(fields.take()), id: ObjectId::new(fields.take()) }
    }
}

/// What a table knows of a pack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct PackRow {
    pub(super) name: PackName,
    pub(super) salt: [u8; 32],
    pub(super) size: u64,
    pub(super) frames: u32,
    /// How many chunks are in its frames.
    pub(super) chunks: u32,
    /// Which segment of the table says so, or [`NO_SEGMENT`].
    pub(super) segment: u32,
    /// The digest of the whole record.
    pub(super) digest: Digest,
}

impl PackRow {
    pub(super) fn of(keys: &Keys, record: &PackRecord, segment: u32) -> Self {
        let chunks: usize = record.frames.iter().map(|frame| frame.chunks.len()).sum();
        Self {
            name: record.name,
            salt: record.salt,
            size: record.size,
            frames: u32::try_from(record.frames.len()).unwrap_or(u32::MAX),
            chunks: u32::try_from(chunks).unwrap_or(u32::MAX),
            segment,
            digest: record.digest(keys),
        }
    }

    // The name comes first and decides the order of rows.
    pub(super) fn to_bytes(self) -> [u8; PACK_BYTES] {
        let mut fields = Writer::new();
        fields.put(self.name.session.as_bytes());
        fields.put(self.name.id.as_bytes());
        fields.put(&self.salt);
        fields.put(&self.size.to_le_bytes());
        for number in [self.frames, self.chunks, self.segment] {
            fields.put(&number.to_le_bytes());
        }
        fields.put(self.digest.as_bytes());
        fields.bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; PACK_BYTES]) -> Self {
        let mut fields = Fields(bytes);
        let (session, id) = (PointId::new(fields.take()), ObjectId::new(fields.take()));
        Self {
            name: PackName { session, id },
            salt: fields.take(),
            size: fields.long(),
            frames: fields.number(),
            chunks: fields.number(),
            segment: fields.number(),
            digest: Digest::new(fields.take()),
        }
    }
}

/// Where a chunk is, as bytes: the id, which decides the order of rows, then the number of the
/// pack in the table, then the frame and the place in it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct ChunkRow(pub(super) [u8; CHUNK_BYTES]);

/// Where in a pack a chunk lies, and what it costs there.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Spot {
    /// The number of its frame.
    pub(crate) frame: u32,
    /// Where it begins in the frame's plaintext.
    pub(crate) offset: u32,
    /// Its length in bytes.
    pub(crate) length: u32,
    /// Its share of the sealed frame.
    pub(crate) share: u64,
}

/// Where the kind and the codec of a frame lie beside its number of plain bytes, which is at most
/// 8 MiB.
const TREE_BIT: u32 = 1 << 31;
const ZSTD_BIT: u32 = 1 << 30;

impl ChunkRow {
    /// The row of a chunk at `offset` of a frame; `None` where a number is above what any
    /// possible record has.
    pub(super) fn new(
        chunk: &format::frame::ChunkRecord,
        (pack, number, frame): (u32, u32, &FrameRecord),
        offset: u32,
    ) -> Option<Self> {
        let kind = if frame.kind == ChunkKind::Tree { TREE_BIT } else { 0 };
        let codec = if frame.codec == Codec::Zstd { ZSTD_BIT } else { 0 };
        let raw_length = (frame.raw_length < ZSTD_BIT).then_some(frame.raw_length)?;
        let frame_offset = u32::try_from(frame.offset).ok()?;
        let mut fields = Writer::new();
        fields.put(chunk.id.as_bytes());
        let described = raw_length | kind | codec;
        for number in [pack, number, frame_offset, frame.length, described, offset, chunk.length] {
            fields.put(&number.to_le_bytes());
        }
        Some(Self(fields.bytes))
    }

    pub(super) fn id(&self) -> ChunkId {
        ChunkId::new(Fields(&self.0).take())
    }

    /// The first bytes of the id, as a number that has their order.
    pub(super) fn prefix(&self) -> u64 {
        u64::from_be_bytes(Fields(&self.0).take())
    }

    pub(super) fn pack(&self) -> u32 {
        let mut fields = Fields(&self.0);
        fields.take::<32>();
        fields.number()
    }

    /// Where in its pack the chunk lies, and what it costs there.
    pub(super) fn spot(&self) -> Spot {
        let mut fields = Fields(&self.0);
        fields.take::<36>();
        let (frame, _, sealed) = (fields.number(), fields.number(), u64::from(fields.number()));
        let plain = u64::from(fields.number() & !(TREE_BIT | ZSTD_BIT));
        let (offset, length) = (fields.number(), fields.number());
        let share = sealed.saturating_mul(u64::from(length)).checked_div(plain).unwrap_or(0);
        Spot { frame, offset, length, share }
    }

    /// The same row in a table that numbers the pack otherwise.
    pub(super) fn with_pack(mut self, pack: u32) -> Self {
        if let Some(bytes) = self.0.get_mut(32..36) {
            bytes.copy_from_slice(&pack.to_le_bytes());
        }
        self
    }

    /// The place, given what is known of its pack.
    pub(super) fn place(&self, pack: &PackRow) -> Place {
        let mut fields = Fields(&self.0);
        fields.take::<36>();
        let (number, offset, length) = (fields.number(), fields.number(), fields.number());
        let described = fields.number();
        let tree = described & TREE_BIT != 0;
        let zstd = described & ZSTD_BIT != 0;
        let frame = FrameAddress {
            pack: pack.name,
            salt: pack.salt,
            count: pack.frames,
            number,
            offset: offset.into(),
            length,
            kind: if tree { ChunkKind::Tree } else { ChunkKind::Data },
            codec: if zstd { Codec::Zstd } else { Codec::Plain },
            raw_length: described & !(TREE_BIT | ZSTD_BIT),
        };
        Place { frame, offset: fields.number(), length: fields.number() }
    }
}

/// Takes bytes apart from the front; what is not there reads as zeros.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    pub(super) fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((field, rest)) = self.0.split_first_chunk() else { return [0; N] };
        self.0 = rest;
        *field
    }

    pub(super) fn number(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    pub(super) fn long(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

/// Puts bytes together from the front.
pub(super) struct Writer<const N: usize> {
    pub(super) bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Writer<N> {
    pub(super) fn new() -> Self {
        Self { bytes: [0; N], at: 0 }
    }

    pub(super) fn put(&mut self, field: &[u8]) {
        let end = self.at + field.len();
        debug_assert!(end <= N);
        if let Some(place) = self.bytes.get_mut(self.at..end) {
            place.copy_from_slice(field);
        }
        self.at = end;
    }
}
