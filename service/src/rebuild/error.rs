//! Why a catalog cannot be used as it is.

use std::path::PathBuf;

use thiserror::Error;

/// Why a catalog cannot be used as it is, or not be replaced.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RebuildError {
    /// It is gone, and not its backups.
    #[error("catalog `{}` is gone, and `{}` is a backup of it", path.display(), backup.display())]
    Lost {
        /// Its file.
        path: PathBuf,
        /// Its newest backup.
        backup: PathBuf,
    },
    /// Whoever replaced it was killed before the new one was in its place.
    #[error("catalog `{}` cannot be trusted: {reason}", path.display())]
    CutOff {
        /// Its file.
        path: PathBuf,
        /// What is known of that.
        reason: String,
    },
    /// It is to be replaced, and open all the same.
    #[error("another process has the damaged catalog open")]
    InUse,
}

impl RebuildError {
    /// What the user can do about it, in one sentence.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::Lost { .. } => {
                "run `stillpoint catalog rebuild`; to begin anew instead, move its backups away"
            }
            Self::CutOff { .. } => "run `stillpoint catalog rebuild`",
            Self::InUse => "let it end, or stop the service, and run the command again",
        }
    }
}
