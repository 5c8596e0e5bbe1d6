//! From batches of chunks to stored packs: every queue of an upload and its depth.
//!
//! ```text
//! scan           walk           read, cut, hash       encode             seal, verify, store
//! 16 threads ──▶ one ──16─────▶ 16 threads     ──3──▶ a thread a core ──4──▶ one task, 3 packs
//!                     ──4096──▶ assemble: one ─────────▲                    in flight
//! ```
//! A batch has about 1 MiB, a pack 16 MiB: at most some 30 MiB wait in the queues and 100 MiB are
//! being sealed and sent, whatever the size of the volume. The depths of the queues in front are
//! in `walk`, `file` and `event`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use format::frame::{ChunkKind, ChunkRecord, Encoder, Frame};
use format::pack::{PACK_BYTES_TARGET, PackRecord};
use repository::blocking;
use repository::pool::Pool;
use repository::writer::Writer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::error::UploadError;
use crate::indexing::Indexing;
use crate::progress::Progress;
use crate::spool::{Spool, Waiting};

const BATCHES_WAITING: usize = 3;
const FRAMES_WAITING: usize = 4;
const PACKS_IN_FLIGHT: usize = 3;
/// One for every batch that can be on its way, and some that are being filled or emptied.
const BATCHES_KEPT: usize = BATCHES_WAITING + 3;
/// How long a task that failed may take to end.
const FAILURE_WAIT: Duration = Duration::from_millis(100);
/// How many packs are sealed at the same time, however many cores there are.
const SEALING_MAX: usize = 4;
/// They stay on the runtime's threads for blocking work, of which there are 512.
const ENCODERS_MAX: usize = 64;

/// Chunks that become one frame.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) kind: ChunkKind,
    pub(crate) chunks: Vec<ChunkRecord>,
    pub(crate) plaintext: Vec<u8>,
}

impl Batch {
    pub(crate) fn empty(kind: ChunkKind) -> Self {
        Self { kind, chunks: Vec::new(), plaintext: Vec::new() }
    }
}

/// The way of the batches into the pipeline.
#[derive(Clone, Debug)]
pub(crate) struct Inlet {
    batches: mpsc::Sender<Batch>,
    memory: Arc<Pool<Vec<u8>>>,
}

/// The running pipeline.
#[derive(Debug)]
pub(crate) struct Pipeline {
    encoders: JoinSet<Result<(), UploadError>>,
    packer: JoinSet<Result<Sent, UploadError>>,
}

/// How many bytes were sent to the store.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) packs: u64,
    pub(crate) index: u64,
}

impl Inlet {
    /// Hands a batch over; waits while the pipeline is full. Blocks: not for async code.
    pub(crate) fn put(&self, batch: Batch) -> Result<(), UploadError> {
        self.batches.blocking_send(batch).map_err(|_| UploadError::Stopped)
    }

    /// Memory for the plaintext of a batch, empty.
    pub(crate) fn memory(&self) -> Vec<u8> {
        self.memory.take()
    }
}

impl Pipeline {
    /// Starts the pipeline; it ends when the inlet is dropped.
    pub(crate) fn start(
        writer: &Writer,
        progress: &Arc<Progress>,
        spool: &Spool,
    ) -> Result<(Inlet, Self), UploadError> {
        let (inlet, batches) = mpsc::channel(BATCHES_WAITING);
        let (outlet, frames) = mpsc::channel(FRAMES_WAITING);
        let batches = Arc::new(Mutex::new(batches));
        let memory = Arc::new(Pool::new(BATCHES_KEPT));
        let mut encoders = JoinSet::new();
        let cores = std::thread::available_parallelism().map_or(1, usize::from).min(ENCODERS_MAX);
        for _ in 0..cores {
            let encoder = Encoder::new().map_err(UploadError::Compressor)?;
            let (batches, outlet) = (Arc::clone(&batches), outlet.clone());
            let memory = Arc::clone(&memory);
            encoders.spawn_blocking(move || encode(encoder, &batches, &outlet, &memory));
        }
        let mut packer = JoinSet::new();
        let sending = Sending::new(writer, progress, spool);
        packer.spawn(pack(sending, writer.clone(), frames));
        Ok((Inlet { batches: inlet, memory }, Self { encoders, packer }))
    }

    /// Why it has ended, if it has; what has not is given up.
    pub(crate) async fn failure(mut self) -> Option<UploadError> {
        let ended = tokio::time::timeout(FAILURE_WAIT, self.packer.join_next()).await;
        joined(ended.ok()?).err()
    }

    /// Waits until everything is stored, and named in the index; the inlet must be gone.
    pub(crate) async fn finish(mut self) -> Result<Sent, UploadError> {
        let sent = joined(self.packer.join_next().await)?;
        while let Some(ended) = self.encoders.join_next().await {
            joined(Some(ended))?;
        }
        Ok(sent)
    }
}

fn encode(
    mut encoder: Encoder,
    batches: &Mutex<mpsc::Receiver<Batch>>,
    outlet: &mpsc::Sender<Frame>,
    memory: &Pool<Vec<u8>>,
) -> Result<(), UploadError> {
    loop {
        // One encoder waits for a batch, the others wait for that one; no batch is held meanwhile.
        let batch = batches.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(Batch { kind, chunks, mut plaintext }) = batch else { return Ok(()) };
        let frame = encoder.encode(kind, chunks, &plaintext);
        plaintext.clear();
        memory.give(plaintext);
        outlet.blocking_send(frame).map_err(|_| UploadError::Stopped)?;
    }
}

async fn pack(
    sending: Sending,
    writer: Writer,
    mut frames: mpsc::Receiver<Frame>,
) -> Result<Sent, UploadError> {
    // Files and directories lie in packs of their own, so that reading a tree touches few packs.
    let (mut data, mut tree) = (Vec::new(), Vec::new());
    let mut in_flight = JoinSet::new();
    let mut stored = Indexing::begin(writer);
    while let Some(frame) = frames.recv().await {
        let open = if frame.kind == ChunkKind::Data { &mut data } else { &mut tree };
        open.push(frame);
        if open.iter().map(|f| f.bytes.len()).sum::<usize>() < PACK_BYTES_TARGET {
            continue;
        }
        let full = std::mem::take(open);
        let permit = sending.permit().await?;
        in_flight.spawn(sending.clone().seal_and_store(full, permit));
        while let Some(ended) = in_flight.try_join_next() {
            stored.add(joined(Some(ended))?).await?;
        }
    }
    for rest in [data, tree].into_iter().filter(|rest| !rest.is_empty()) {
        let permit = sending.permit().await?;
        in_flight.spawn(sending.clone().seal_and_store(rest, permit));
    }
    while let Some(ended) = in_flight.join_next().await {
        stored.add(joined(Some(ended))?).await?;
    }
    stored.end().await
}

/// How packs are sealed and sent.
#[derive(Clone, Debug)]
struct Sending {
    writer: Writer,
    progress: Arc<Progress>,
    spool: Spool,
    /// As many packs as are in memory at the same time.
    packs: Arc<Semaphore>,
    sealing: Arc<Semaphore>,
}

impl Sending {
    fn new(writer: &Writer, progress: &Arc<Progress>, spool: &Spool) -> Self {
        // While it is sealed a pack takes its memory twice; a core in two is enough for that.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            writer: writer.clone(),
            progress: Arc::clone(progress),
            spool: spool.clone(),
            packs: Arc::new(Semaphore::new(PACKS_IN_FLIGHT)),
            sealing: Arc::new(Semaphore::new((cores / 2).clamp(1, SEALING_MAX))),
        }
    }

    /// Room for one more pack.
    async fn permit(&self) -> Result<OwnedSemaphorePermit, UploadError> {
        Arc::clone(&self.packs).acquire_owned().await.map_err(|_| UploadError::Stopped)
    }

    async fn seal_and_store(
        self,
        frames: Vec<Frame>,
        permit: OwnedSemaphorePermit,
    ) -> Result<PackRecord, UploadError> {
        let writer = self.writer.clone();
        let pack = {
            let _permit = self.sealing.acquire().await.map_err(|_| UploadError::Stopped)?;
            blocking::run(move || writer.seal(frames)).await?
        };
        let (pack, _permit) = match self.spool.put(pack).await? {
            Waiting::Here(pack) => (pack, permit),
            in_file @ Waiting::InFile(..) => {
                // Others may be made while it waits there.
                drop(permit);
                self.spool.released(in_file.length()).await;
                let permit = self.permit().await?;
                let (pack, writer) = (in_file.take().await?, self.writer.clone());
                let verify = move || writer.verify(&pack).map(|()| pack);
                (blocking::run(verify).await?, permit)
            }
        };
        let record = self.writer.store_pack(pack).await?;
        self.progress.add_sent(record.size);
        Ok(record)
    }
}

// A task that panicked takes the upload down with its own message.
fn joined<T>(
    ended: Option<Result<Result<T, UploadError>, tokio::task::JoinError>>,
) -> Result<T, UploadError> {
    match ended {
        Some(Ok(result)) => result,
        Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Some(Err(_)) | None => Err(UploadError::Stopped),
    }
}
