//! Files that follow one another in a directory and are read by one thread.

use std::path::Path;

use format::raw::RawPath;
use tokio::sync::oneshot;

use super::raw;
use crate::event::Reading;
use crate::file::{Job, Wanted};

/// How many files one reader gets at most: enough that waking it costs little for each.
const FILES_MAX: usize = 32;
/// With more bytes than this there is no more to gain by handing over more at once.
const BYTES_MAX: u64 = 256 << 10;

/// Files that are still to be handed to a reader.
#[derive(Debug, Default)]
pub(super) struct Run {
    directory: RawPath,
    names: Vec<RawPath>,
    files: Vec<Wanted>,
    bytes: u64,
}

impl Run {
    /// Adds a file of the directory that all others are of.
    pub(super) fn add(&mut self, directory: &Path, name: RawPath, file: Wanted, size: u64) {
        if self.names.is_empty() {
            self.directory = raw(directory);
        }
        self.names.push(name);
        self.files.push(file);
        self.bytes = self.bytes.saturating_add(size);
    }

    /// Whether it is enough for one reader.
    pub(super) fn is_full(&self) -> bool {
        self.names.len() >= FILES_MAX || self.bytes >= BYTES_MAX
    }

    /// What to tell and what to do, if there is anything; it is empty then.
    pub(super) fn take(&mut self) -> Option<(Reading, Job)> {
        if self.names.is_empty() {
            return None;
        }
        let Self { directory, names, files, .. } = std::mem::take(self);
        let (sender, outcomes) = oneshot::channel();
        Some((Reading { directory, names, outcomes }, Job { files, outcomes: sender }))
    }
}
