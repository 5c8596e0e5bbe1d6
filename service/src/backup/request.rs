//! What a backup is asked for.

use std::path::PathBuf;

use format::manifest::Occasion;
use uploader::selection::Selection;

use super::pending::Errand;
use crate::deadline::Deadline;
use crate::error::ServiceError;

/// What to back up, and how.
#[derive(Clone, Debug)]
pub struct BackupRequest {
    /// What.
    pub subject: Subject,
    /// Which files of it.
    pub selection: Selection,
    /// Whether to read every file, whatever its time of change.
    pub full: bool,
    /// The tags that the restore point gets.
    pub tags: Vec<String>,
    /// Whether an application that would stand still for too long is read without a freeze, instead of
    /// not at all. The point then says so.
    pub degrade: bool,
    /// Whether the snapshot stays on this host as a local one, and how many of the application's do, with
    /// this one. The next backup reads only what lies elsewhere on the disk by then.
    pub keep_local: Option<u32>,
    /// What it is for; absent where a person asks for it.
    pub occasion: Option<Occasion>,
    /// For which run of the service it is made: what was snapshotted waits for that until it is stored.
    pub errand: Option<Errand>,
}

impl BackupRequest {
    /// All files of this, those that changed read.
    pub fn of(subject: Subject) -> Self {
        let (selection, tags) = (Selection::default(), Vec::new());
        let (full, degrade, keep_local, occasion, errand) = (false, false, None, None, None);
        Self { subject, selection, full, tags, degrade, keep_local, occasion, errand }
    }

    // The same without a freeze, where that is wanted rather than this error.
    pub(super) fn degraded(mut self, error: &ServiceError) -> Option<Self> {
        match &mut self.subject {
            Subject::Application { freeze, .. } if self.degrade && error.is_too_slow() => {
                *freeze = false;
            }
            _ => return None,
        }
        Some(self)
    }
}

/// What to back up.
#[derive(Clone, Debug)]
pub enum Subject {
    /// An application, as a group.
    Application {
        /// Its name.
        name: String,
        /// Whether it is frozen; without, its volumes may not agree.
        freeze: bool,
        /// Whether its hooks are run.
        hooks: bool,
        /// After how long it runs again, whatever happens.
        deadline: Deadline,
    },
    /// Directories and files, as they are found.
    Paths {
        /// What the point is called.
        name: String,
        /// The paths.
        paths: Vec<PathBuf>,
    },
}

impl Subject {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Application { name, .. } | Self::Paths { name, .. } => name,
        }
    }
}
