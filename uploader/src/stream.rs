//! Listings and long lists of extents on their way into the repository.

use format::chunker::{CHUNK_BYTES_MAX, Chunker};
use format::frame::ChunkKind;
use format::stream;
use format::tree::{EXTENTS_HERE_MAX, Extent, Extents, Slice};
use serde::Serialize;

use crate::error::UploadError;
use crate::intake::Intake;

/// A stream of values that is cut and stored as it grows.
#[derive(Debug, Default)]
pub(crate) struct StreamWriter {
    bytes: Vec<u8>,
    slices: Vec<Slice>,
}

impl StreamWriter {
    pub(crate) fn push<T: Serialize>(
        &mut self,
        value: &T,
        chunker: &Chunker,
        intake: &Intake,
    ) -> Result<(), UploadError> {
        stream::write(value, &mut self.bytes);
        while self.bytes.len() >= CHUNK_BYTES_MAX {
            self.cut(chunker, intake)?;
        }
        Ok(())
    }

    /// Where the stream is stored.
    pub(crate) fn finish(
        mut self,
        chunker: &Chunker,
        intake: &Intake,
    ) -> Result<Vec<Slice>, UploadError> {
        while !self.bytes.is_empty() {
            self.cut(chunker, intake)?;
        }
        Ok(self.slices)
    }

    fn cut(&mut self, chunker: &Chunker, intake: &Intake) -> Result<(), UploadError> {
        let length = chunker.cut(&self.bytes);
        let chunk = self.bytes.get(..length).unwrap_or_default();
        self.slices.push(intake.take(ChunkKind::Tree, chunk)?);
        self.bytes.drain(..length);
        Ok(())
    }
}

/// The extents of a file: kept while they are few, stored when they are many.
pub(crate) struct ExtentWriter<'a> {
    chunker: &'a Chunker,
    intake: &'a Intake,
    here: Vec<Extent>,
    stored: Option<StreamWriter>,
    /// How many bytes of the file they cover.
    size: u64,
    /// Of those, how many are in no hole.
    data: u64,
}

/// The extents of a whole file.
#[derive(Debug)]
pub(crate) struct WrittenExtents {
    pub(crate) extents: Extents,
    /// How many bytes of the file they cover.
    pub(crate) size: u64,
    /// Of those, how many are in no hole.
    pub(crate) data: u64,
}

impl<'a> ExtentWriter<'a> {
    pub(crate) fn new(chunker: &'a Chunker, intake: &'a Intake) -> Self {
        Self { chunker, intake, here: Vec::new(), stored: None, size: 0, data: 0 }
    }

    pub(crate) fn push(&mut self, extent: Extent) -> Result<(), UploadError> {
        let length = extent.length();
        self.size = self.size.saturating_add(length);
        if extent.slice().is_some() {
            self.data = self.data.saturating_add(length);
        }
        if self.stored.is_none() && self.here.len() < EXTENTS_HERE_MAX {
            self.here.push(extent);
            return Ok(());
        }
        let stream = self.stored.get_or_insert_default();
        for extent in self.here.drain(..).chain([extent]) {
            stream.push(&extent, self.chunker, self.intake)?;
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<WrittenExtents, UploadError> {
        let Self { chunker, intake, here, stored, size, data } = self;
        let extents = match stored {
            None => Extents::Here(here),
            Some(stream) => Extents::Stored(stream.finish(chunker, intake)?),
        };
        Ok(WrittenExtents { extents, size, data })
    }
}
