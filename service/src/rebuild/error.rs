//! Why a catalog cannot be used as it is.

use std::path::PathBuf;

use catalog::Holder;
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
    /// It is to be replaced, and open all the same.
    #[error("{} has the damaged catalog open", named(*holder))]
    InUse {
        /// Who has it.
        holder: Holder,
    },
}

impl RebuildError {
    /// What the user can do about it, in one sentence.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::Lost { .. } => {
                "run `stillpoint catalog rebuild`; to begin anew instead, move its backups away"
            }
            Self::InUse { .. } => "let it end, or stop the service, and run the command again",
        }
    }
}

fn named(Holder { pid }: Holder) -> String {
    pid.map_or_else(|| "a process of another container".to_owned(), |pid| format!("process {pid}"))
}
