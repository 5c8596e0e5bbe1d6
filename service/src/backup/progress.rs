//! How far a backup is, for whoever wants to show it.

use std::sync::{Arc, Mutex, PoisonError};

use format::raw::RawPath;
use uploader::progress::Progress;

/// How far a backup is.
#[derive(Debug, Default)]
pub struct BackupProgress {
    /// The counters of the upload.
    pub upload: Arc<Progress>,
    stage: Mutex<Stage>,
}

/// What a backup is doing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Stage {
    /// Unlocking, indexing, finding the containers.
    #[default]
    Preparing,
    /// Reading what cannot be snapshotted, so that little is left for the freeze.
    ReadingAhead,
    /// Freezing, snapshotting, thawing.
    Freezing,
    /// Reading and storing a volume.
    Uploading(RawPath),
    /// Waiting for the last packs.
    Committing,
}

impl Stage {
    /// Its name for programs.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::ReadingAhead => "reading_ahead",
            Self::Freezing => "freezing",
            Self::Uploading(_) => "uploading",
            Self::Committing => "committing",
        }
    }

    /// The one of this name, which may be that of a volume.
    pub(crate) fn named(name: &str, volume: Option<RawPath>) -> Self {
        match name {
            "reading_ahead" => Self::ReadingAhead,
            "freezing" => Self::Freezing,
            "uploading" => Self::Uploading(volume.unwrap_or_default()),
            "committing" => Self::Committing,
            _ => Self::Preparing,
        }
    }
}

impl BackupProgress {
    /// What the backup is doing right now.
    pub fn stage(&self) -> Stage {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn enter(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }
}
