//! Bytes that follow one another, cut by content while they come.

use format::chunker::{CHUNK_BYTES_MAX, Chunker};

use crate::error::UploadError;

/// The end of a run that is not cut yet.
pub(super) struct Run<'a> {
    chunker: &'a Chunker,
    bytes: Vec<u8>,
    cut: bool,
}

impl<'a> Run<'a> {
    pub(super) fn new(chunker: &'a Chunker) -> Self {
        Self { chunker, bytes: Vec::with_capacity(CHUNK_BYTES_MAX), cut: false }
    }

    /// Adds bytes, and passes on every chunk whose end is certain.
    pub(super) fn push(
        &mut self,
        mut bytes: &[u8],
        mut chunk: impl FnMut(&[u8]) -> Result<(), UploadError>,
    ) -> Result<(), UploadError> {
        loop {
            let room = CHUNK_BYTES_MAX - self.bytes.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.bytes.extend_from_slice(now);
            bytes = later;
            if self.bytes.len() < CHUNK_BYTES_MAX {
                return Ok(());
            }
            self.cut_once(&mut chunk)?;
        }
    }

    /// The whole run, if nothing of it was cut yet.
    pub(super) fn uncut(&self) -> Option<&[u8]> {
        (!self.cut).then_some(&self.bytes)
    }

    /// Forgets the run; the next bytes begin a new one.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.cut = false;
    }

    /// Ends the run and passes on its last chunks.
    pub(super) fn end(
        &mut self,
        mut chunk: impl FnMut(&[u8]) -> Result<(), UploadError>,
    ) -> Result<(), UploadError> {
        while !self.bytes.is_empty() {
            self.cut_once(&mut chunk)?;
        }
        self.clear();
        Ok(())
    }

    fn cut_once(
        &mut self,
        chunk: &mut impl FnMut(&[u8]) -> Result<(), UploadError>,
    ) -> Result<(), UploadError> {
        let length = self.chunker.cut(&self.bytes);
        chunk(self.bytes.get(..length).unwrap_or_default())?;
        self.bytes.drain(..length);
        self.cut = true;
        Ok(())
    }
}
