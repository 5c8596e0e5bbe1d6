//! What ends a restore, and what only loses a file.

use std::io;

use repository::error::{RepositoryError, chain};

/// After how many things in a row that the store did not give, it is called gone.
pub(crate) const UNREAD_MAX: u32 = 3;

/// Why something of the repository is not there.
#[derive(Debug)]
pub(crate) enum ReadFailure {
    /// The repository has lost it; the rest can be restored.
    Lost(String),
    /// The restore cannot go on.
    Stop(RepositoryError),
    /// The store did not give an object; one bad object is a loss, several in a row are the end.
    Unread(RepositoryError),
}

impl From<RepositoryError> for ReadFailure {
    fn from(error: RepositoryError) -> Self {
        match &error {
            RepositoryError::Damaged { .. } => Self::Lost(chain(&error)),
            RepositoryError::MissingChunk(_)
            | RepositoryError::Listing(_)
            | RepositoryError::Extents => Self::Lost(error.to_string()),
            RepositoryError::Store(_) => Self::Unread(error),
            _ => Self::Stop(error),
        }
    }
}

/// What the system said that concerns one file, and not the whole target, such as a device without
/// privilege, or a name or a size beyond what the filesystem takes.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{
        DirectoryNotEmpty, FileTooLarge, InvalidFilename, InvalidInput, PermissionDenied,
        Unsupported,
    };
    matches!(
        error.kind(),
        DirectoryNotEmpty
            | FileTooLarge
            | InvalidFilename
            | InvalidInput
            | PermissionDenied
            | Unsupported
    )
}
