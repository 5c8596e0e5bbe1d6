//! Chunks one by one into frames and packs.

use format::frame::{ChunkKind, ChunkRecord, Encoder, Frame};
use format::pack::{PACK_BYTES_TARGET, PackRecord};

use crate::blocking;
use crate::error::RepositoryError;
use crate::writer::Writer;

/// A frame is closed when its chunks have so many bytes.
const FRAME_BYTES: usize = 1 << 20;

/// Packs that are being filled, one for each kind of chunk.
pub(super) struct Packing {
    open: [Filling; 2],
    stored: Vec<PackRecord>,
}

struct Filling {
    kind: ChunkKind,
    encoder: Encoder,
    chunks: Vec<ChunkRecord>,
    plaintext: Vec<u8>,
    frames: Vec<Frame>,
    bytes: usize,
}

impl Packing {
    pub(super) fn new() -> Result<Self, RepositoryError> {
        let filling = |kind| {
            let encoder = Encoder::new().map_err(RepositoryError::Encoder)?;
            let (chunks, plaintext, frames) = (Vec::new(), Vec::new(), Vec::new());
            Ok::<_, RepositoryError>(Filling { kind, encoder, chunks, plaintext, frames, bytes: 0 })
        };
        Ok(Self {
            open: [filling(ChunkKind::Data)?, filling(ChunkKind::Tree)?],
            stored: Vec::new(),
        })
    }

    /// Adds a chunk, and stores a pack when one is full.
    pub(super) async fn add(
        &mut self,
        writer: &Writer,
        kind: ChunkKind,
        chunk: ChunkRecord,
        bytes: &[u8],
    ) -> Result<(), RepositoryError> {
        let Some(filling) = self.open.iter_mut().find(|filling| filling.kind == kind) else {
            return Ok(());
        };
        filling.chunks.push(chunk);
        filling.plaintext.extend_from_slice(bytes);
        if filling.plaintext.len() >= FRAME_BYTES {
            filling.close_frame();
        }
        if filling.bytes >= PACK_BYTES_TARGET {
            self.stored.extend(store(writer, std::mem::take(&mut filling.frames)).await?);
            filling.bytes = 0;
        }
        Ok(())
    }

    /// Stores what is left, and returns what the index has to say about all of it.
    pub(super) async fn finish(
        mut self,
        writer: &Writer,
    ) -> Result<Vec<PackRecord>, RepositoryError> {
        for filling in &mut self.open {
            filling.close_frame();
            self.stored.extend(store(writer, std::mem::take(&mut filling.frames)).await?);
        }
        Ok(self.stored)
    }
}

impl Filling {
    fn close_frame(&mut self) {
        if self.chunks.is_empty() {
            return;
        }
        let chunks = std::mem::take(&mut self.chunks);
        let frame = self.encoder.encode(self.kind, chunks, &self.plaintext);
        self.plaintext.clear();
        self.bytes = self.bytes.saturating_add(frame.bytes.len());
        self.frames.push(frame);
    }
}

async fn store(writer: &Writer, frames: Vec<Frame>) -> Result<Option<PackRecord>, RepositoryError> {
    if frames.is_empty() {
        return Ok(None);
    }
    let sealing = writer.clone();
    let sealed = blocking::run(move || sealing.seal(frames)).await?;
    writer.store_pack(sealed).await.map(Some)
}
