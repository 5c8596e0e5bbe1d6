//! What a restore did, and what it could not do.

use format::raw::RawPath;
use serde::Serialize;

/// What a restore did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RestoreReport {
    /// How many files of all kinds were made, or found as they should be.
    pub files: u64,
    /// The sum of the sizes of the regular files.
    pub bytes: u64,
    /// How many bytes of content were written; holes, and what was there already, are not.
    pub written: u64,
    /// How many names were removed that are not of the restore point, each with all below it.
    pub removed: u64,
    /// What the repository could not give back.
    pub lost: Vec<Lost>,
    /// What was restored, but not with all its metadata.
    pub unset: Vec<Unset>,
}

impl RestoreReport {
    // In the order of the paths: what several threads find has none of its own.
    pub(crate) fn add(&mut self, mut volume: Self) {
        volume.lost.sort_by(|a, b| a.path.cmp(&b.path));
        volume.unset.sort_by(|a, b| a.path.cmp(&b.path));
        self.files = self.files.saturating_add(volume.files);
        self.bytes = self.bytes.saturating_add(volume.bytes);
        self.written = self.written.saturating_add(volume.written);
        self.removed = self.removed.saturating_add(volume.removed);
        self.lost.append(&mut volume.lost);
        self.unset.append(&mut volume.unset);
    }
}

/// A file, or a directory with all in it, that the repository could not give back.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lost {
    /// The volume.
    pub volume: RawPath,
    /// The path below its root.
    pub path: RawPath,
    /// What is wrong.
    pub reason: String,
}

/// A piece of metadata that the system refused.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unset {
    /// The volume.
    pub volume: RawPath,
    /// The path below its root.
    pub path: RawPath,
    /// What was refused and why.
    pub reason: String,
}
