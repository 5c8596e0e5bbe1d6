//! Chunks become frames, and frames become packs, as a backup makes them.

use format::chunker::CHUNK_BYTES_MIN;
use format::frame::{ChunkKind, ChunkRecord, Encoder, FRAME_BYTES_TARGET, Frame};
use format::pack::{PACK_BYTES_TARGET, PackRecord};
use tokio::task::JoinSet;

use crate::blocking;
use crate::error::RepositoryError;
use crate::writer::Writer;

/// How many packs are sealed and stored at once: each takes its memory twice meanwhile.
const PACKS_IN_FLIGHT: usize = 2;

/// Makes packs of chunks. Data and trees lie in packs of their own.
pub(crate) struct Packer {
    writer: Writer,
    encoder: Encoder,
    data: Open,
    tree: Open,
    /// Frames for whole packs.
    full: Vec<Vec<Frame>>,
    in_flight: JoinSet<Result<PackRecord, RepositoryError>>,
}

#[derive(Default)]
struct Open {
    chunks: Vec<ChunkRecord>,
    plaintext: Vec<u8>,
    frames: Vec<Frame>,
    bytes: usize,
}

impl Packer {
    pub(crate) fn new(writer: Writer) -> Result<Self, RepositoryError> {
        let encoder = Encoder::new().map_err(RepositoryError::Compressor)?;
        let (data, tree) = (Open::default(), Open::default());
        Ok(Self { writer, encoder, data, tree, full: Vec::new(), in_flight: JoinSet::new() })
    }

    /// Adds a chunk. Encodes, and so takes its time.
    pub(crate) fn add(&mut self, kind: ChunkKind, chunk: ChunkRecord, bytes: &[u8]) {
        if bytes.len() >= CHUNK_BYTES_MIN {
            let frame = self.encoder.encode(kind, vec![chunk], bytes);
            return self.push(frame);
        }
        let open = self.open(kind);
        open.chunks.push(chunk);
        open.plaintext.extend_from_slice(bytes);
        if open.plaintext.len() >= FRAME_BYTES_TARGET {
            self.close_frame(kind);
        }
    }

    /// Sends the packs that are full on their way; returns those that have arrived.
    pub(crate) async fn store_full(&mut self) -> Result<Vec<PackRecord>, RepositoryError> {
        let mut stored = Vec::new();
        for frames in std::mem::take(&mut self.full) {
            if self.in_flight.len() >= PACKS_IN_FLIGHT {
                stored.extend(self.arrived().await?);
            }
            let writer = self.writer.clone();
            self.in_flight.spawn(async move {
                let sealing = writer.clone();
                let pack = blocking::run(move || sealing.seal(frames)).await?;
                writer.store_pack(pack).await
            });
        }
        Ok(stored)
    }

    /// Stores what is left; returns the packs that were not returned before.
    pub(crate) async fn finish(mut self) -> Result<Vec<PackRecord>, RepositoryError> {
        let mut packer = blocking::run(move || {
            for kind in [ChunkKind::Data, ChunkKind::Tree] {
                self.close_frame(kind);
                self.close_pack(kind);
            }
            self
        })
        .await;
        let mut stored = packer.store_full().await?;
        while let Some(pack) = packer.arrived().await? {
            stored.push(pack);
        }
        Ok(stored)
    }

    async fn arrived(&mut self) -> Result<Option<PackRecord>, RepositoryError> {
        match self.in_flight.join_next().await {
            Some(Ok(stored)) => stored.map(Some),
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is going down, and nobody waits for an answer any more.
            Some(Err(_)) => std::future::pending().await,
            None => Ok(None),
        }
    }

    fn open(&mut self, kind: ChunkKind) -> &mut Open {
        if kind == ChunkKind::Data { &mut self.data } else { &mut self.tree }
    }

    fn close_frame(&mut self, kind: ChunkKind) {
        let open = self.open(kind);
        let chunks = std::mem::take(&mut open.chunks);
        let plaintext = std::mem::take(&mut open.plaintext);
        if !chunks.is_empty() {
            let frame = self.encoder.encode(kind, chunks, &plaintext);
            self.push(frame);
        }
    }

    fn push(&mut self, frame: Frame) {
        let kind = frame.kind;
        let open = self.open(kind);
        open.bytes += frame.bytes.len();
        open.frames.push(frame);
        if open.bytes >= PACK_BYTES_TARGET {
            self.close_pack(kind);
        }
    }

    fn close_pack(&mut self, kind: ChunkKind) {
        let open = self.open(kind);
        open.bytes = 0;
        let frames = std::mem::take(&mut open.frames);
        if !frames.is_empty() {
            self.full.push(frames);
        }
    }
}
