//! What can go wrong with a restore.

use std::io;
use std::path::PathBuf;

use format::ids::PointId;
use format::raw::RawPath;
use repository::error::RepositoryError;
use thiserror::Error;

use crate::conflict::Conflict;

/// Why a restore did not begin, or did not end.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// The plan does not hold; nothing was written.
    #[error("{}; nothing was written", describe(conflicts))]
    Conflicts {
        /// Where the files were to go.
        target: PathBuf,
        /// What stands in the way.
        conflicts: Vec<Conflict>,
    },
    /// A volume has more entries than were counted when it was saved.
    #[error(
        "volume `{volume}` has more than the {recorded} files on its record; \
         what was restored before that is left in place"
    )]
    Entries {
        /// The volume.
        volume: RawPath,
        /// How many files of all kinds the record counts.
        recorded: u64,
    },
    /// The restore point was forgotten, and what it needs is being deleted.
    #[error(
        "restore point {0} was forgotten while it was read; \
         what was restored before that is left in place"
    )]
    Forgotten(PointId),
    /// The target cannot be looked at.
    #[error("cannot look at the target `{}`", path.display())]
    Target {
        /// The target.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file could not be written; what was restored before it is left in the target.
    #[error(
        "cannot write `{path}` of volume `{volume}`; what was restored before it is left in place"
    )]
    Write {
        /// The volume.
        volume: RawPath,
        /// The path below its root.
        path: RawPath,
        /// What the system said.
        source: io::Error,
    },
    /// The repository cannot be read any more.
    #[error("the repository failed; what was restored before that is left in place")]
    Repository(#[from] RepositoryError),
}

fn describe(conflicts: &[Conflict]) -> String {
    conflicts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
