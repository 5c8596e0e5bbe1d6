//! Where cut content goes.

use format::tree::Slice;

use crate::error::UploadError;

/// Takes the chunks that content is cut into.
pub(crate) trait ChunkSink {
    /// Names a chunk of file content, and stores it if the repository does not have it. The slice
    /// covers the whole chunk. `bytes` has at least one byte, and no more than
    /// [`format::chunker::CHUNK_BYTES_MAX`].
    fn chunk(&mut self, bytes: &[u8]) -> Result<Slice, UploadError>;
}
