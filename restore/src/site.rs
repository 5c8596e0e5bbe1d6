//! What all threads that restore a volume share.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use format::keys::Keys;
use format::raw::RawPath;
use format::tree::Metadata;
use platform::files::direct::AlignedBuffer;
use platform::files::{self, Birth, Dir, Refusal};
use repository::chunks::Chunks;

use crate::budget::Budget;
use crate::directory::{Node, OpenDirs};
use crate::error::RestoreError;
use crate::frames::Frames;
use crate::links::Links;
use crate::loss;
use crate::progress::Progress;
use crate::report::{Lost, RestoreReport, Unset};
use crate::walk::WINDOW_BLOCKS;

/// How many blocks of files are put together at once.
const BLOCKS: usize = 48;
// While one window is being planned, another can be worked on; one block may lie in both.
const _: () = assert!(WINDOW_BLOCKS < BLOCKS);
/// How many bytes of packs are fetched and not yet opened.
const FETCHED_BYTES: usize = 16 << 20;
/// How many bytes of frames are being opened, sealed and opened ones together.
const OPENING_BYTES: usize = 20 << 20;
/// How many bytes of opened frames are kept for those who may need them once more.
const KEPT_BYTES: usize = 16 << 20;

/// One volume while it is restored.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) volume: RawPath,
    /// Whether files are made; else everything is read and checked all the same.
    pub(crate) writes: bool,
    pub(crate) chunks: Arc<Chunks>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) dirs: OpenDirs,
    pub(crate) frames: Frames,
    pub(crate) links: Links,
    /// What files are born with in directories that are new; empty where they must be looked at.
    pub(crate) birth: OnceLock<Birth>,
    pub(crate) blocks: Arc<Budget>,
    pub(crate) fetched: Arc<Budget>,
    pub(crate) opening: Arc<Budget>,
    buffers: Mutex<Vec<AlignedBuffer>>,
    report: Mutex<RestoreReport>,
    /// How many files are begun and not done.
    active: Mutex<usize>,
    idle: Condvar,
    stopped: AtomicBool,
    error: Mutex<Option<RestoreError>>,
}

impl Site {
    /// A volume that is to be made in `parent`, or nowhere.
    pub(crate) fn new(
        volume: RawPath,
        parent: Option<Dir>,
        chunks: Arc<Chunks>,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            volume,
            writes: parent.is_some(),
            chunks,
            progress,
            dirs: OpenDirs::new(parent),
            frames: Frames::new(KEPT_BYTES),
            links: Links::default(),
            birth: OnceLock::new(),
            blocks: Budget::new(BLOCKS),
            fetched: Budget::new(FETCHED_BYTES),
            opening: Budget::new(OPENING_BYTES),
            buffers: Mutex::default(),
            report: Mutex::default(),
            active: Mutex::default(),
            idle: Condvar::new(),
            stopped: AtomicBool::new(false),
            error: Mutex::default(),
        }
    }

    pub(crate) fn keys(&self) -> &Keys {
        self.chunks.keys()
    }

    /// Ends the restore of this volume; the first error is the one that counts.
    pub(crate) fn stop(&self, error: Option<RestoreError>) {
        let mut first = locked(&self.error);
        if let Some(error) = error {
            first.get_or_insert(error);
        }
        drop(first);
        self.stopped.store(true, Ordering::Release);
        for budget in [&self.blocks, &self.fetched, &self.opening] {
            budget.close();
        }
        let _active = locked(&self.active);
        self.idle.notify_all();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// What came of it, when all threads are done.
    pub(crate) fn end(self) -> (RestoreReport, Result<(), RestoreError>) {
        let report = self.report.into_inner().unwrap_or_else(PoisonError::into_inner);
        let error = self.error.into_inner().unwrap_or_else(PoisonError::into_inner);
        (report, error.map_or(Ok(()), Err))
    }

    /// A file is begun.
    pub(crate) fn begin_file(&self) {
        *locked(&self.active) += 1;
    }

    /// A file is done, one way or another.
    pub(crate) fn end_file(&self) {
        let mut active = locked(&self.active);
        *active -= 1;
        if *active == 0 {
            self.idle.notify_all();
        }
    }

    /// Waits until all files that were begun are done, or the restore is stopped.
    pub(crate) fn wait_until_idle(&self) {
        let mut active = locked(&self.active);
        while *active > 0 && !self.is_stopped() {
            active = self.idle.wait(active).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Memory for a block, whatever is in it.
    pub(crate) fn buffer(&self) -> AlignedBuffer {
        locked(&self.buffers).pop().unwrap_or_default()
    }

    /// Gives such memory back.
    pub(crate) fn give_back(&self, buffer: AlignedBuffer) {
        locked(&self.buffers).push(buffer);
    }

    pub(crate) fn report(&self) -> MutexGuard<'_, RestoreReport> {
        locked(&self.report)
    }

    pub(crate) fn count(&self, bytes: u64) {
        self.progress.add_file();
        let mut report = self.report();
        report.files += 1;
        report.bytes = report.bytes.saturating_add(bytes);
    }

    pub(crate) fn count_written(&self, bytes: u64) {
        self.progress.add_bytes(bytes);
        self.report().written += bytes;
    }

    pub(crate) fn lose(&self, path: RawPath, reason: String) {
        let volume = self.volume.clone();
        self.report().lost.push(Lost { volume, path, reason });
    }

    /// Notes what concerns one file, and ends the restore for what concerns the whole target.
    pub(crate) fn refused(&self, path: RawPath, error: io::Error) {
        match refusal(error) {
            Ok(reason) => self.lose(path, reason),
            Err(error) => self.stop(Some(self.write_error(path, error))),
        }
    }

    pub(crate) fn write_error(&self, path: RawPath, source: io::Error) -> RestoreError {
        RestoreError::Write { volume: self.volume.clone(), path, source }
    }

    pub(crate) fn note(&self, path: &RawPath, refusals: Vec<Refusal>) {
        if refusals.is_empty() {
            return;
        }
        let unset = |refusal: Refusal| Unset {
            volume: self.volume.clone(),
            path: path.clone(),
            reason: refusal.to_string(),
        };
        self.report().unset.extend(refusals.into_iter().map(unset));
    }

    /// Gives a directory its metadata: everything in it is done.
    pub(crate) fn finish_directory(&self, node: &Node, metadata: &Metadata) {
        if self.is_stopped() || !self.writes {
            return;
        }
        let applied = self.dirs.get(node).and_then(|dir| files::apply_open(&*dir, metadata));
        self.dirs.close(node);
        match applied {
            Ok(refusals) if refusals.is_empty() => {}
            Ok(refusals) => self.note(&node.own_path(), refusals),
            Err(error) => self.stop(Some(self.write_error(node.own_path(), error))),
        }
    }
}

/// The reason to give for what concerns one file only; the error itself for others.
pub(crate) fn refusal(error: io::Error) -> Result<String, io::Error> {
    if loss::is_refusal(&error) { Ok(format!("cannot be made here: {error}")) } else { Err(error) }
}

// What is behind these locks is whole between any two changes, so a panic elsewhere leaves it so.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
