//! What can go wrong with an upload.

use std::io;
use std::path::PathBuf;

use format::raw::RawPath;
use repository::error::RepositoryError;
use thiserror::Error;

/// Why a backup could not be stored.
#[derive(Debug, Error)]
pub enum UploadError {
    /// The machine lacks the memory or the threads to compress.
    #[error("cannot start the compressor")]
    Compressor(#[source] io::Error),
    /// The repository failed; nothing was committed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The root of a volume cannot be read.
    #[error("cannot read `{}`", path.display())]
    Root {
        /// Where the volume lies.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The machine lacks the threads to read.
    #[error("cannot start the threads that read files")]
    Threads(#[source] io::Error),
    /// The freeze ended before everything was read that was to be read in it.
    #[error("the freeze was over before everything was read")]
    Abandoned,
    /// A prune took something away that was read in the freeze, and that cannot be read again.
    #[error("a prune condemned what volume `{volume}` relied on, which was read in the freeze")]
    Condemned {
        /// The volume.
        volume: RawPath,
    },
    /// There is no room for what has to wait until the freeze is over.
    #[error("nothing can be kept in `{}`", directory.display())]
    Spool {
        /// Where it should have been kept.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A part of the upload ended before the others; the first cause is reported instead of this
    /// where there is one.
    #[error("the upload stopped")]
    Stopped,
}
