//! Frames: one chunk, or many small ones, compressed together.
//!
//! See docs/format.md#frames.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::ChunkId;

/// Small chunks share a frame until it holds this many bytes.
pub const FRAME_BYTES_TARGET: usize = 1 << 20;
/// No frame has a plaintext longer than this.
pub const FRAME_BYTES_MAX: u32 = 8 << 20;
const _: () =
    assert!(FRAME_BYTES_TARGET + crate::chunker::CHUNK_BYTES_MAX <= FRAME_BYTES_MAX as usize);

/// zstd's level. Level 3 saves 6 to 9 % of the bytes for 23 to 48 % more time; see
/// docs/benchmarks.md.
const LEVEL: i32 = 1;
/// How much of a frame is compressed to see whether compressing it all is worth it.
const PROBE_BYTES: usize = 16 << 10;

/// What the chunks of a frame hold.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum ChunkKind {
    /// Bytes of files.
    Data,
    /// Bytes of directory listings.
    Tree,
}

/// How the plaintext of a frame is encoded.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Codec {
    /// As it is.
    Plain,
    /// One zstd frame.
    Zstd,
}

/// A chunk's place in the plaintext of a frame: chunks follow one another without gaps.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ChunkRecord {
    /// The chunk.
    pub id: ChunkId,
    /// Its length in bytes.
    pub length: u32,
}

/// An encoded frame, not yet sealed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frame {
    /// What its chunks hold.
    pub kind: ChunkKind,
    /// The chunks, in the order of the plaintext.
    pub chunks: Vec<ChunkRecord>,
    /// The length of the plaintext.
    pub raw_length: u32,
    /// How it is encoded.
    pub codec: Codec,
    /// The encoded bytes.
    pub bytes: Vec<u8>,
}

/// Why a frame did not decode.
#[derive(Debug, Error)]
pub enum FrameError {
    /// The compressed bytes are damaged, or longer than they say.
    #[error("the frame does not decompress to {expected} bytes")]
    Decompress {
        /// The length it should have.
        expected: u32,
        /// What zstd said, where it said something.
        source: Option<std::io::Error>,
    },
    /// The decompressor cannot be set up.
    #[error("cannot set up the decompressor")]
    Decompressor(#[source] std::io::Error),
    /// The frame says that it is longer than any may be.
    #[error("the frame claims {0} bytes, more than the {FRAME_BYTES_MAX} allowed")]
    TooLong(u32),
}

/// Encodes frames; holds the compressor's memory between them.
pub struct Encoder {
    zstd: zstd::bulk::Compressor<'static>,
    /// Where frames are compressed to; what is kept of them has the memory that it needs.
    buffer: Vec<u8>,
}

impl Encoder {
    /// An encoder at the format's usual level.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { zstd: zstd::bulk::Compressor::new(LEVEL)?, buffer: Vec::new() })
    }

    /// The frame of these chunks, whose plaintexts lie one after another in `plaintext`.
    pub fn encode(&mut self, kind: ChunkKind, chunks: Vec<ChunkRecord>, plaintext: &[u8]) -> Frame {
        let raw_length = u32::try_from(plaintext.len()).unwrap_or(u32::MAX);
        debug_assert!(raw_length <= FRAME_BYTES_MAX);
        let (codec, bytes) = if self.compress(plaintext) {
            (Codec::Zstd, self.buffer.clone())
        } else {
            (Codec::Plain, plaintext.to_vec())
        };
        Frame { kind, chunks, raw_length, codec, bytes }
    }

    // Compresses into the buffer; whether that saved anything.
    fn compress(&mut self, plaintext: &[u8]) -> bool {
        if !self.is_compressible(plaintext) {
            return false;
        }
        self.buffer.clear();
        self.buffer.reserve(zstd::zstd_safe::compress_bound(plaintext.len()));
        let compressed = self.zstd.compress_to_buffer(plaintext, &mut self.buffer);
        compressed.is_ok_and(|length| length < plaintext.len())
    }

    // A whole frame of noise costs as much time as one of text and saves nothing.
    fn is_compressible(&mut self, plaintext: &[u8]) -> bool {
        let middle = plaintext.len().saturating_sub(PROBE_BYTES) / 2;
        let Some(sample) = plaintext.get(middle..middle.saturating_add(PROBE_BYTES)) else {
            return true; // shorter than the probe itself
        };
        self.zstd.compress(sample).is_ok_and(|probe| probe.len() < PROBE_BYTES / 32 * 31)
    }
}

/// Decodes one frame after another in the same memory.
#[derive(Default)]
pub(crate) struct Decoder {
    // Made for the first frame that is compressed.
    zstd: Option<zstd::bulk::Decompressor<'static>>,
    buffer: Vec<u8>,
}

impl Decoder {
    /// The plaintext of a frame of `raw_length` bytes, of which these are the encoded bytes.
    pub(crate) fn decode<'a>(
        &'a mut self,
        codec: Codec,
        raw_length: u32,
        encoded: &'a [u8],
    ) -> Result<&'a [u8], FrameError> {
        if raw_length > FRAME_BYTES_MAX {
            return Err(FrameError::TooLong(raw_length));
        }
        let wrong = |source| FrameError::Decompress { expected: raw_length, source };
        let plaintext = match codec {
            Codec::Plain => encoded,
            Codec::Zstd => {
                self.buffer.clear();
                self.buffer.reserve(raw_length as usize);
                let zstd = match &mut self.zstd {
                    Some(zstd) => zstd,
                    none => none
                        .insert(zstd::bulk::Decompressor::new().map_err(FrameError::Decompressor)?),
                };
                let decompressed = zstd.decompress_to_buffer(encoded, &mut self.buffer);
                decompressed.map_err(|e| wrong(Some(e)))?;
                self.buffer.as_slice()
            }
        };
        if plaintext.len() == raw_length as usize { Ok(plaintext) } else { Err(wrong(None)) }
    }
}

/// The plaintext of a frame of `raw_length` bytes.
pub fn decode(codec: Codec, raw_length: u32, bytes: Vec<u8>) -> Result<Vec<u8>, FrameError> {
    let mut decoder = Decoder::default();
    decoder.decode(codec, raw_length, &bytes)?;
    Ok(match codec {
        Codec::Plain => bytes,
        Codec::Zstd => decoder.buffer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn text_is_compressed_and_noise_is_not() {
        let mut encoder = Encoder::new().unwrap();
        for (plaintext, codec) in
            [(b"text ".repeat(20_000), Codec::Zstd), (noise(100_000), Codec::Plain)]
        {
            let frame = encoder.encode(ChunkKind::Data, Vec::new(), &plaintext);
            assert_eq!(frame.codec, codec);
            assert_eq!(decode(frame.codec, frame.raw_length, frame.bytes).unwrap(), plaintext);
        }
    }

    #[test]
    fn an_empty_frame_is_a_frame() {
        let frame = Encoder::new().unwrap().encode(ChunkKind::Tree, Vec::new(), &[]);
        assert_eq!(decode(frame.codec, 0, frame.bytes).unwrap(), b"");
    }

    #[test]
    fn a_frame_that_is_longer_or_shorter_than_it_says_is_refused() {
        let frame = Encoder::new().unwrap().encode(ChunkKind::Data, Vec::new(), &[7; 5000]);
        for length in [0, 4999, 5001, FRAME_BYTES_MAX, u32::MAX] {
            assert!(decode(frame.codec, length, frame.bytes.clone()).is_err(), "{length}");
        }
    }
}
