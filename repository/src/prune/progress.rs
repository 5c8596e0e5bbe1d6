//! How far a prune is, for whoever wants to show it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::wait::Waiting;

/// What a prune is doing. Counters only grow while it runs.
#[derive(Debug, Default)]
pub struct Progress {
    phase: Mutex<Phase>,
    directories: AtomicU64,
    copied: AtomicU64,
    deleted: AtomicU64,
}

/// A part of the work.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Phase {
    /// Reading lists and the index.
    #[default]
    Reading,
    /// Following the points to their chunks.
    Marking,
    /// Copying chunks to new packs.
    Repacking,
    /// Waiting for these sessions.
    Waiting(Vec<Waiting>),
    /// Deleting.
    Deleting,
}

impl Progress {
    /// What is being done.
    pub fn phase(&self) -> Phase {
        self.lock().clone()
    }

    /// How many directories were read.
    pub fn directories(&self) -> u64 {
        self.directories.load(Relaxed)
    }

    /// How many bytes of chunks were copied to new packs.
    pub fn copied(&self) -> u64 {
        self.copied.load(Relaxed)
    }

    /// How many objects were deleted.
    pub fn deleted(&self) -> u64 {
        self.deleted.load(Relaxed)
    }

    pub(super) fn enter(&self, phase: Phase) {
        *self.lock() = phase;
    }

    pub(super) fn add_directory(&self) {
        self.directories.fetch_add(1, Relaxed);
    }

    pub(super) fn add_copied(&self, bytes: u64) {
        self.copied.fetch_add(bytes, Relaxed);
    }

    pub(super) fn add_deleted(&self) {
        self.deleted.fetch_add(1, Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        // Whole between any two operations, so a panic elsewhere leaves it so.
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
