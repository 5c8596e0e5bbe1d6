//! What can go wrong with local snapshots.

use std::io;
use std::path::{Path, PathBuf};

use format::ids::PointId;
use format::raw::RawPath;
use thiserror::Error;

use super::restoring::Restoring;

/// Why a local snapshot was not kept, removed, or put back.
#[derive(Debug, Error)]
pub enum LocalError {
    /// The operating system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Some of it was not made.
    #[error("there is no snapshot of volume `{0}` that could stay")]
    Incomplete(RawPath),
    /// Somebody reads the application's volumes.
    #[error("`{0}` is being backed up, or a local snapshot is being put back into it")]
    InUse(String),
    /// Somebody replaces the application's files.
    #[error("a local snapshot is being put back into `{0}`")]
    Restored(String),
    /// A restore of the application's volumes was cut off.
    #[error("{0}")]
    Unfinished(Restoring),
    /// It must stay until a restore that was cut off has been done again.
    #[error("local snapshot {id} is needed: {by}")]
    Needed {
        /// The snapshot.
        id: PointId,
        /// For what.
        by: Restoring,
    },
    /// A plan with conflicts is not carried out.
    #[error("local snapshot {id} cannot be put back: {}", conflicts.join("; "))]
    Conflicts {
        /// The snapshot.
        id: PointId,
        /// Why not, one sentence each.
        conflicts: Vec<String>,
    },
    /// Somebody touched the application that was to stand still.
    #[error("container `{member}` came, went or was started meanwhile")]
    Disturbed {
        /// The container.
        member: String,
    },
    /// Somebody writes a volume that was to be left alone.
    #[error("volume `{volume}` is written by `{writer}`, which was started meanwhile")]
    Written {
        /// The volume.
        volume: RawPath,
        /// Who writes it.
        writer: String,
    },
    /// Somebody removed the snapshot.
    #[error("local snapshot {0} was removed meanwhile")]
    Removed(PointId),
}

impl LocalError {
    /// Whether what was read was there, and makes no sense.
    pub fn is_nonsense(&self) -> bool {
        use io::ErrorKind::{InvalidData, UnexpectedEof};
        matches!(self, Self::Io { source, .. } if [InvalidData, UnexpectedEof].contains(&source.kind()))
    }
}

pub(super) fn failure(action: &'static str, path: &Path, source: io::Error) -> LocalError {
    LocalError::Io { action, path: path.to_owned(), source }
}
