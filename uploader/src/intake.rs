//! What the repository does not have yet, and only that, goes into the pipeline.

use std::collections::HashSet;
use std::sync::Arc;

use format::frame::{ChunkKind, ChunkRecord, FRAME_BYTES_TARGET};
use format::ids::ChunkId;
use format::tree::Slice;
use repository::chunks::Chunks;
use repository::writer::Writer;

use crate::error::UploadError;
use crate::pipeline::{Batch, Inlet};

/// Takes chunks, names them, and passes on those that are new.
pub(crate) struct Intake {
    stored: Arc<Chunks>,
    writer: Writer,
    inlet: Inlet,
    /// New in this session; they count as stored because the commit waits for all packs.
    sent: HashSet<ChunkId>,
    data: Batch,
    tree: Batch,
    changed: u64,
}

impl Intake {
    pub(crate) fn new(stored: Arc<Chunks>, writer: Writer, inlet: Inlet) -> Self {
        Self {
            stored,
            writer,
            inlet,
            sent: HashSet::new(),
            data: empty(ChunkKind::Data),
            tree: empty(ChunkKind::Tree),
            changed: 0,
        }
    }

    /// How many bytes of file content were new.
    pub(crate) fn changed(&self) -> u64 {
        self.changed
    }

    /// The chunk with these bytes, stored from now on.
    pub(crate) fn take(&mut self, kind: ChunkKind, bytes: &[u8]) -> Result<Slice, UploadError> {
        let id = self.writer.keys().chunk_id(bytes);
        let length = u32::try_from(bytes.len()).map_err(|_| UploadError::Stopped)?;
        if !self.stored.index().contains(id)? && self.sent.insert(id) {
            if kind == ChunkKind::Data {
                self.changed += u64::from(length);
            }
            self.add(kind, ChunkRecord { id, length }, bytes)?;
        }
        Ok(Slice { chunk: id, offset: 0, length })
    }

    /// Passes on what is left, and lets the pipeline end.
    pub(crate) fn finish(self) -> Result<(), UploadError> {
        let rest = [self.data, self.tree].into_iter().filter(|batch| !batch.chunks.is_empty());
        rest.into_iter().try_for_each(|batch| self.inlet.put(batch))
    }

    fn add(
        &mut self,
        kind: ChunkKind,
        record: ChunkRecord,
        bytes: &[u8],
    ) -> Result<(), UploadError> {
        let batch = if kind == ChunkKind::Data { &mut self.data } else { &mut self.tree };
        batch.chunks.push(record);
        batch.plaintext.extend_from_slice(bytes);
        if batch.plaintext.len() >= FRAME_BYTES_TARGET {
            let full = std::mem::replace(batch, empty(kind));
            self.inlet.put(full)?;
        }
        Ok(())
    }
}

fn empty(kind: ChunkKind) -> Batch {
    Batch { kind, chunks: Vec::new(), plaintext: Vec::new() }
}
