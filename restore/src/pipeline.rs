//! From the stored tree to files: every queue of a restore and its depth.
//!
//! ```text
//! walk, plan windows            fetch               open, verify, write
//! one thread          ──8──▶  8 threads  ──16──▶  a thread a core
//! ```
//! A window has at most 16,384 slices and 64 MiB, and about 24 blocks of 1 MiB that are put together.
//! Whatever the sizes of files, there are at most 48 MiB of blocks, 16 MiB of fetched bytes, 20 MiB
//! of frames that are being opened and 16 MiB of frames that are kept; what the tree takes is the
//! concern of [`Chunks`](repository::chunks::Chunks).
//!
//! The walk waits for memory only while an earlier window has some that it will give back without
//! the walk; so nobody waits for ever.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bytes::Bytes;
use format::names::{ObjectName, PackName};
use format::pack::OpenedFrame;
use repository::chunks::open_frame;
use repository::error::{RepositoryError, chain};
use tokio::runtime::Handle;

use crate::budget::Share;
use crate::frames::Need;
use crate::loss::UNREAD_MAX;
use crate::site::Site;
use crate::window::{FrameWork, Piece, Read, Window, coalesce};

const READS_WAITING: usize = 8;
const FETCHERS: usize = 8;
const FRAMES_WAITING: usize = 16;
const WORKERS_MAX: usize = 16;

/// A frame with the pieces that are to be taken from it.
enum Work {
    Sealed { frame: FrameWork, sealed: Bytes, memory: Arc<Share> },
    Opened(Arc<OpenedFrame>, FrameWork),
}

/// The way of the windows into the pipeline.
pub(crate) struct Inlet<'a> {
    site: &'a Site,
    reads: SyncSender<Read>,
    work: SyncSender<Work>,
}

impl Inlet<'_> {
    /// Hands a window over, which is empty then; waits while the pipeline is full.
    pub(crate) fn put(&self, window: &mut Window) {
        let mut wanted = Vec::new();
        for frame in window.take() {
            match self.site.frames.need(frame) {
                Need::Fetch(frame) => wanted.push(frame),
                Need::Opened(opened, frame) => {
                    // It fails when all threads are gone, and then nobody counts the pieces.
                    let _ = self.work.send(Work::Opened(opened, frame));
                }
                Need::Nothing => {}
            }
        }
        for read in coalesce(wanted) {
            let _ = self.reads.send(read);
        }
    }
}

/// Runs the threads of a volume while `walk` fills the inlet, and until all is done.
pub(crate) fn run<'a>(site: &'a Site, runtime: &Handle, walk: impl FnOnce(Inlet<'a>)) {
    let (reads, read_outlet) = sync_channel(READS_WAITING);
    let (work, work_outlet) = sync_channel(FRAMES_WAITING);
    let (read_outlet, work_outlet) = (Mutex::new(read_outlet), Mutex::new(work_outlet));
    let failures = Mutex::new(Failures::default());
    let workers = thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| serve(site, &work_outlet, |work| work_on(site, runtime, work)));
        }
        for _ in 0..FETCHERS {
            let fetcher = Fetcher { site, runtime, failures: &failures, work: work.clone() };
            let outlet = &read_outlet;
            scope.spawn(move || serve(site, outlet, |read| fetcher.fetch(read)));
        }
        let _guard = StopOnPanic(site);
        walk(Inlet { site, reads, work });
    });
}

// Takes what comes until the other end is gone. One thread waits for it, the others for that one.
fn serve<T>(site: &Site, outlet: &Mutex<Receiver<T>>, mut each: impl FnMut(T)) {
    let next = || outlet.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
    let drain = DrainOnPanic { site, next: &next };
    while let Some(item) = next() {
        each(item);
    }
    drop(drain);
}

struct StopOnPanic<'a>(&'a Site);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop(None);
        }
    }
}

/// After a panic the others come to an end as well, and whoever fills the queue must not wait.
struct DrainOnPanic<'a, T, N: Fn() -> Option<T>> {
    site: &'a Site,
    next: &'a N,
}

impl<T, N: Fn() -> Option<T>> Drop for DrainOnPanic<'_, T, N> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.site.stop(None);
            while (self.next)().is_some() {}
        }
    }
}

/// What the store did not give, without anything else in between.
#[derive(Default)]
struct Failures {
    packs: u32,
    last: Option<PackName>,
}

struct Fetcher<'a> {
    site: &'a Site,
    runtime: &'a Handle,
    failures: &'a Mutex<Failures>,
    work: SyncSender<Work>,
}

impl Fetcher<'_> {
    fn fetch(&self, read: Read) {
        let Read { pack, range, frames } = read;
        if self.site.is_stopped() {
            for frame in frames {
                abandon(self.site, frame);
            }
            return;
        }
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let memory = Arc::new(self.site.fetched.take(length));
        let start = range.start;
        match self.runtime.block_on(self.site.chunks.fetch_range(pack, range)) {
            Ok(bytes) => {
                self.failures().packs = 0;
                for frame in frames {
                    let sealed = sealed_bytes(&frame, start, &bytes);
                    let memory = Arc::clone(&memory);
                    let _ = self.work.send(Work::Sealed { frame, sealed, memory });
                }
            }
            // What is beside a bad place of the disk can be read.
            Err(_) if frames.len() > 1 => {
                drop(memory);
                for alone in frames.into_iter().flat_map(|frame| coalesce(vec![frame])) {
                    self.fetch(alone);
                }
            }
            Err(error) => {
                let reason = chain(&error);
                if self.is_end(pack) {
                    self.site.stop(Some(error.into()));
                }
                for frame in frames {
                    lose((self.site, self.runtime), frame, &reason);
                }
            }
        }
    }

    fn is_end(&self, pack: PackName) -> bool {
        let mut failures = self.failures();
        if failures.packs == 0 || failures.last != Some(pack) {
            (failures.packs, failures.last) = (failures.packs + 1, Some(pack));
        }
        failures.packs > UNREAD_MAX
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// A store gives exactly what it is asked for; if it did not, the seal would not open.
fn sealed_bytes(frame: &FrameWork, start: u64, bytes: &Bytes) -> Bytes {
    let from = usize::try_from(frame.address.offset.saturating_sub(start)).unwrap_or(usize::MAX);
    let sealed = bytes.get(from..from.saturating_add(frame.address.length as usize));
    sealed.map_or_else(Bytes::new, |sealed| bytes.slice_ref(sealed))
}

fn work_on(site: &Site, runtime: &Handle, work: Work) {
    let (frame, sealed, memory) = match work {
        Work::Opened(opened, frame) => {
            return deliver((site, runtime), frame.address.pack, &opened, frame.pieces);
        }
        Work::Sealed { frame, .. } if site.is_stopped() => return abandon(site, frame),
        Work::Sealed { frame, sealed, memory } => (frame, sealed, memory),
    };
    let room = (frame.address.raw_length as usize).saturating_add(sealed.len());
    let _room = site.opening.take(room);
    match open_frame(site.keys(), &frame.address, &sealed).map(Arc::new) {
        Ok(opened) => {
            drop((sealed, memory));
            let keep = !frame.is_used_up();
            let waiting = site.frames.arrived(frame.key(), &opened, keep);
            let pieces = frame.pieces.into_iter().chain(waiting).collect();
            deliver((site, runtime), frame.address.pack, &opened, pieces);
        }
        Err(error) => lose((site, runtime), frame, &chain(&error)),
    }
}

// Each chunk is checked once for all the pieces that are taken from it.
fn deliver(
    (site, runtime): (&Site, &Handle),
    pack: PackName,
    opened: &OpenedFrame,
    mut pieces: Vec<Piece>,
) {
    let place = |piece: &Piece| (piece.chunk_offset, piece.chunk_length, piece.slice.chunk);
    pieces.sort_by_key(place);
    for same in pieces.chunk_by(|a, b| place(a) == place(b)) {
        let Some((offset, length, id)) = same.first().map(place) else { continue };
        let chunk = opened.chunk(site.keys(), id, offset, length);
        let damaged = |source: Box<dyn std::error::Error + Send + Sync>| {
            chain(&RepositoryError::Damaged { name: ObjectName::Pack(pack), source })
        };
        let chunk = chunk.map_err(|error| damaged(error.into()));
        for piece in same {
            let start = piece.slice.offset as usize;
            let bytes = chunk
                .as_ref()
                .map(|chunk| chunk.get(start..start.saturating_add(piece.slice.length as usize)));
            match bytes {
                _ if site.is_stopped() => piece.file.give_up(),
                Ok(Some(bytes)) if !piece.file.has_failed() => {
                    piece.file.fill(piece.at, bytes, false, site);
                }
                Ok(Some(_)) => {}
                Ok(None) => piece.file.lose(damaged("a slice leaves its chunk".into())),
                Err(reason) => fill_elsewhere((site, runtime), piece, pack, reason),
            }
            piece.file.release(site);
        }
    }
}

fn lose((site, runtime): (&Site, &Handle), frame: FrameWork, reason: &str) {
    let waiting = site.frames.failed(frame.key());
    for piece in frame.pieces.into_iter().chain(waiting) {
        fill_elsewhere((site, runtime), &piece, frame.address.pack, reason);
        piece.file.release(site);
    }
}

// A chunk may lie in several packs, and then it is not lost with one of them.
fn fill_elsewhere((site, runtime): (&Site, &Handle), piece: &Piece, than: PackName, reason: &str) {
    if piece.file.has_failed() || site.is_stopped() {
        return piece.file.lose(reason.to_owned());
    }
    match runtime.block_on(site.chunks.read_elsewhere(piece.slice, than)) {
        Some(bytes) => piece.file.fill(piece.at, &bytes, false, site),
        None => piece.file.lose(reason.to_owned()),
    }
}

fn abandon(site: &Site, frame: FrameWork) {
    let waiting = site.frames.failed(frame.key());
    for piece in frame.pieces.into_iter().chain(waiting) {
        piece.file.give_up();
        piece.file.release(site);
    }
}
