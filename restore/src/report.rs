//! What a restore did, and what it could not do.

use format::raw::RawPath;
use serde::Serialize;

/// What a restore did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RestoreReport {
    /// How many files of all kinds were made.
    pub files: u64,
    /// The sum of the sizes of the regular files.
    pub bytes: u64,
    /// What the repository could not give back.
    pub lost: Vec<Lost>,
    /// What was restored, but not with all its metadata.
    pub unset: Vec<Unset>,
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
