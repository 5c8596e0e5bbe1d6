//! What stands in the way of a restore.

use std::fmt;

use format::raw::RawPath;
use serde::Serialize;

/// A reason not to begin.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Conflict {
    /// The volume's name would lead out of the target.
    Name {
        /// The volume.
        volume: RawPath,
    },
    /// The target is something else than a directory.
    NotADirectory,
    /// The target has files in it.
    NotEmpty,
    /// The target's filesystem has too little space.
    Space {
        /// How many bytes are missing.
        missing: u64,
    },
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { volume } => {
                write!(f, "the volume name `{volume}` leads out of the target")
            }
            Self::NotADirectory => f.write_str("the target is not a directory"),
            Self::NotEmpty => f.write_str("the target is not empty"),
            Self::Space { missing } => write!(f, "the target lacks {missing} bytes of free space"),
        }
    }
}
