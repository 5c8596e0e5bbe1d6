//! How far an upload is, for whoever wants to show it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters that only grow while an upload runs.
#[derive(Debug, Default)]
pub struct Progress {
    files: AtomicU64,
    read: AtomicU64,
    sent: AtomicU64,
}

impl Progress {
    /// How many files of all kinds were looked at.
    pub fn files(&self) -> u64 {
        self.files.load(Relaxed)
    }

    /// How many bytes were read from them.
    pub fn read(&self) -> u64 {
        self.read.load(Relaxed)
    }

    /// How many bytes were sent to the store.
    pub fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Takes over what another process has counted: files, bytes read and bytes sent.
    pub fn take_over(&self, (files, read, sent): (u64, u64, u64)) {
        self.files.store(files, Relaxed);
        self.read.store(read, Relaxed);
        self.sent.store(sent, Relaxed);
    }

    pub(crate) fn add_file(&self) {
        self.files.fetch_add(1, Relaxed);
    }

    pub(crate) fn add_read(&self, bytes: u64) {
        self.read.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn add_sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Relaxed);
    }
}
