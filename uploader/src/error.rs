//! What can go wrong with an upload.

use std::io;
use std::path::PathBuf;

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
    /// A part of the upload ended before the others; the first cause is reported instead of this
    /// where there is one.
    #[error("the upload stopped")]
    Stopped,
}
