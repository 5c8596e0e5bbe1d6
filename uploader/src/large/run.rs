//! Bytes that follow one another, cut by content while they come.

use format::chunker::{CHUNK_BYTES_MAX, Chunker, Cutter};

use crate::error::UploadError;

/// A run that is being cut. Only a chunk whose end is still to come is copied.
pub(super) struct Run {
    cutter: Cutter,
    /// The beginning of the next chunk.
    begun: Vec<u8>,
    /// Where in the run that is.
    position: u64,
    ends: Vec<u64>,
}

impl Run {
    pub(super) fn new(chunker: &Chunker) -> Self {
        Self { cutter: Cutter::new(chunker), begun: Vec::new(), position: 0, ends: Vec::new() }
    }

    /// Adds bytes, and passes on every chunk whose end is certain.
    pub(super) fn push(
        &mut self,
        mut bytes: &[u8],
        mut chunk: impl FnMut(&[u8]) -> Result<(), UploadError>,
    ) -> Result<(), UploadError> {
        self.ends.clear();
        self.cutter.feed(bytes, &mut self.ends);
        for end in &self.ends {
            let length = usize::try_from(end - self.position).unwrap_or(usize::MAX);
            let (last, rest) = bytes.split_at((length - self.begun.len()).min(bytes.len()));
            if self.begun.is_empty() {
                chunk(last)?;
            } else {
                self.begun.extend_from_slice(last);
                chunk(&self.begun)?;
                self.begun.clear();
            }
            self.position = *end;
            bytes = rest;
        }
        if self.begun.capacity() == 0 {
            self.begun.reserve_exact(CHUNK_BYTES_MAX);
        }
        self.begun.extend_from_slice(bytes);
        Ok(())
    }

    /// The whole run, if nothing of it was cut yet.
    pub(super) fn uncut(&self) -> Option<&[u8]> {
        (self.position == 0).then_some(&self.begun)
    }

    /// Forgets the run; the next bytes begin a new one.
    pub(super) fn clear(&mut self) {
        self.begun.clear();
        self.cutter.finish();
        self.position = 0;
    }

    /// Ends the run and passes on its last chunk.
    pub(super) fn end(
        &mut self,
        mut chunk: impl FnMut(&[u8]) -> Result<(), UploadError>,
    ) -> Result<(), UploadError> {
        if !self.begun.is_empty() {
            chunk(&self.begun)?;
        }
        self.clear();
        Ok(())
    }
}
