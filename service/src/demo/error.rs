//! What can go wrong with the demonstration.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::demo::ring::Disagreement;

/// Why the demonstration did not succeed.
#[derive(Debug, Error)]
pub enum DemoError {
    /// The volumes do not agree.
    #[error("the restored volumes do not agree")]
    Disagreement(#[from] Disagreement),
    /// The directory is not free.
    #[error("`{}` is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// The restore left something out.
    #[error("the restore was not complete")]
    Incomplete,
    /// The application does not write.
    #[error("the processes of the demonstration do not write")]
    Silent,
    /// The system refused something.
    #[error("cannot {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl DemoError {
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::NotEmpty(_) => "give another directory: `stillpoint demo DIR`",
            Self::System { .. } => "give a directory that can be written: `stillpoint demo DIR`",
            Self::Silent => "run it again on a machine that is less busy",
            Self::Disagreement(_) | Self::Incomplete => {
                "this is a fault of Stillpoint; please report it"
            }
        }
    }
}
