//! What the repository does not have yet, and only that, goes into the pipeline.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use format::chunker::CHUNK_BYTES_MIN;
use format::frame::{ChunkKind, ChunkRecord, FRAME_BYTES_TARGET};
use format::ids::ChunkId;
use format::keys::Keys;
use format::tree::Slice;
use repository::chunks::Chunks;
use repository::nearby::Nearby;
use tokio::runtime::Handle;

use crate::error::UploadError;
use crate::pipeline::{Batch, Inlet};

/// Takes chunks from any number of threads, names them, and passes on those that are new.
#[derive(Debug)]
pub(crate) struct Intake {
    stored: Arc<Chunks>,
    runtime: Handle,
    /// Absent when nothing is to be stored, and all is only counted.
    inlet: Option<Inlet>,
    /// Where the trees stay at hand for the next pass.
    nearby: Option<Arc<Nearby>>,
    pending: Mutex<Pending>,
    changed: AtomicU64,
}

#[derive(Debug)]
struct Pending {
    /// New in this session; they count as stored because the commit waits for all packs. Half of
    /// an id is enough to tell the chunks of one session apart, and takes half of the memory.
    sent: HashSet<[u8; 16]>,
    data: Batch,
    tree: Batch,
}

impl Intake {
    /// To be called on a runtime.
    pub(crate) fn new(stored: Arc<Chunks>, inlet: Option<Inlet>) -> Self {
        let (data, tree) = (Batch::empty(ChunkKind::Data), Batch::empty(ChunkKind::Tree));
        let pending = Mutex::new(Pending { sent: HashSet::new(), data, tree });
        let runtime = Handle::current();
        Self { stored, runtime, inlet, nearby: None, pending, changed: AtomicU64::new(0) }
    }

    /// The same, which keeps the chunks of trees at hand there.
    pub(crate) fn with_nearby(self, nearby: Option<Arc<Nearby>>) -> Self {
        Self { nearby, ..self }
    }

    pub(crate) fn keys(&self) -> &Keys {
        self.stored.keys()
    }

    /// The chunks that were there before.
    pub(crate) fn stored(&self) -> &Arc<Chunks> {
        &self.stored
    }

    /// How many bytes of file content were new.
    pub(crate) fn changed(&self) -> u64 {
        self.changed.load(Relaxed)
    }

    /// The length of a chunk that was there before.
    pub(crate) fn length(&self, chunk: ChunkId) -> Result<Option<u64>, UploadError> {
        let place = self.stored.ask_blocking(&self.runtime, |index| index.find(chunk))?;
        Ok(place.map(|place| place.length.into()))
    }

    /// Whether all bytes of a slice are stored, or on their way.
    pub(crate) fn holds(&self, slice: &Slice) -> Result<bool, UploadError> {
        let stored = self.stored.ask_blocking(&self.runtime, |index| index.holds(slice))?;
        Ok(stored || self.pending().sent.contains(&half(slice.chunk)))
    }

    /// The chunk with these bytes, stored from now on.
    pub(crate) fn take(&self, kind: ChunkKind, bytes: &[u8]) -> Result<Slice, UploadError> {
        let id = self.keys().chunk_id(bytes);
        let length = u32::try_from(bytes.len()).map_err(|_| UploadError::Stopped)?;
        let slice = Slice { chunk: id, offset: 0, length };
        if let Some(nearby) = self.nearby.as_ref().filter(|_| kind == ChunkKind::Tree) {
            nearby.keep(id, bytes);
        }
        if self.stored.ask_blocking(&self.runtime, |index| index.contains(id))? {
            return Ok(slice);
        }
        let mut pending = self.pending();
        if !pending.sent.insert(half(id)) {
            return Ok(slice);
        }
        if kind == ChunkKind::Data {
            self.changed.fetch_add(u64::from(length), Relaxed);
        }
        let Some(inlet) = &self.inlet else { return Ok(slice) };
        let full = pending.add(kind, ChunkRecord { id, length }, bytes, inlet);
        // The pipeline may be full, and others need not wait for that.
        drop(pending);
        full.map_or(Ok(()), |batch| inlet.put(batch)).map(|()| slice)
    }

    /// Passes on what is left, and lets the pipeline end.
    pub(crate) fn finish(self) -> Result<(), UploadError> {
        let pending = self.pending.into_inner().unwrap_or_else(PoisonError::into_inner);
        let rest = [pending.data, pending.tree].into_iter().filter(|b| !b.chunks.is_empty());
        match self.inlet {
            Some(inlet) => rest.into_iter().try_for_each(|batch| inlet.put(batch)),
            None => Ok(()),
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        // Whole between any two operations, so a panic elsewhere leaves it so.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    // Chunks of a size worth compressing alone get a frame of their own; small ones share one.
    fn add(
        &mut self,
        kind: ChunkKind,
        record: ChunkRecord,
        bytes: &[u8],
        inlet: &Inlet,
    ) -> Option<Batch> {
        if bytes.len() >= CHUNK_BYTES_MIN {
            let mut plaintext = inlet.memory();
            plaintext.extend_from_slice(bytes);
            return Some(Batch { kind, chunks: vec![record], plaintext });
        }
        let batch = if kind == ChunkKind::Data { &mut self.data } else { &mut self.tree };
        batch.chunks.push(record);
        batch.plaintext.extend_from_slice(bytes);
        let is_full = batch.plaintext.len() >= FRAME_BYTES_TARGET;
        is_full.then(|| {
            let empty = Batch { plaintext: inlet.memory(), ..Batch::empty(kind) };
            std::mem::replace(batch, empty)
        })
    }
}

fn half(id: ChunkId) -> [u8; 16] {
    let [half @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *id.as_bytes();
    half
}
