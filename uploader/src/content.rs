//! The content of a file, or of a directory's listing, cut into chunks.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use format::chunker::{CHUNK_BYTES_MAX, Chunker};
use format::frame::ChunkKind;
use format::tree::{Extent, Slice};
use platform::files::{self, Segment};

use crate::error::UploadError;
use crate::intake::Intake;

/// Reads files and cuts them; keeps its buffer between them.
pub(crate) struct ContentReader {
    chunker: Chunker,
    buffer: Vec<u8>,
}

/// Why the content of a file is not there.
pub(crate) enum ContentError {
    /// The file could not be read; others can.
    File(io::Error),
    /// The upload cannot go on.
    Upload(UploadError),
}

impl From<UploadError> for ContentError {
    fn from(error: UploadError) -> Self {
        Self::Upload(error)
    }
}

impl ContentReader {
    pub(crate) fn new(cut_key: &[u8; 32]) -> Self {
        Self { chunker: Chunker::new(cut_key), buffer: Vec::with_capacity(CHUNK_BYTES_MAX) }
    }

    /// The extents of the first `size` bytes of a file, holes kept. Less, if it ends before them.
    pub(crate) fn read_file(
        &mut self,
        file: &File,
        size: u64,
        intake: &mut Intake,
        mut on_read: impl FnMut(u64),
    ) -> Result<Vec<Extent>, ContentError> {
        let mut extents = Vec::new();
        for segment in files::segments(file, size) {
            match segment.map_err(ContentError::File)? {
                Segment::Hole { length, .. } => extents.push(Extent::Hole { length }),
                Segment::Data { offset, length } => {
                    let mut source = Source { file, position: offset, end: offset + length };
                    let slices = self.cut(&mut source, intake, &mut on_read)?;
                    let cut: u64 = slices.iter().map(|slice| u64::from(slice.length)).sum();
                    extents.extend(slices.into_iter().map(Extent::Whole));
                    // The file became shorter meanwhile: what is read now ends here.
                    if cut < length {
                        return Ok(extents);
                    }
                }
            }
        }
        Ok(extents)
    }

    /// The slices of a listing that is in memory.
    pub(crate) fn cut_listing(
        &self,
        mut listing: &[u8],
        intake: &mut Intake,
    ) -> Result<Vec<Slice>, UploadError> {
        let mut slices = Vec::new();
        while !listing.is_empty() {
            let (chunk, rest) = listing.split_at(self.chunker.cut(listing));
            slices.push(intake.take(ChunkKind::Tree, chunk)?);
            listing = rest;
        }
        Ok(slices)
    }

    fn cut(
        &mut self,
        source: &mut Source<'_>,
        intake: &mut Intake,
        on_read: &mut impl FnMut(u64),
    ) -> Result<Vec<Slice>, ContentError> {
        let mut slices = Vec::new();
        self.buffer.clear();
        loop {
            let read = source.fill(&mut self.buffer).map_err(ContentError::File)?;
            on_read(read);
            if self.buffer.is_empty() {
                return Ok(slices);
            }
            let length = self.chunker.cut(&self.buffer);
            slices
                .push(intake.take(ChunkKind::Data, self.buffer.get(..length).unwrap_or_default())?);
            self.buffer.drain(..length);
        }
    }
}

/// A run of a file that is still to be read.
struct Source<'a> {
    file: &'a File,
    position: u64,
    end: u64,
}

impl Source<'_> {
    // Fills the buffer up to the longest possible chunk, or to the end of the run.
    fn fill(&mut self, buffer: &mut Vec<u8>) -> io::Result<u64> {
        let started = self.position;
        while buffer.len() < CHUNK_BYTES_MAX && self.position < self.end {
            let filled = buffer.len();
            let wanted = (CHUNK_BYTES_MAX - filled) as u64;
            let wanted =
                usize::try_from(wanted.min(self.end - self.position)).unwrap_or(usize::MAX);
            buffer.resize(filled + wanted, 0);
            let free = buffer.get_mut(filled..).unwrap_or_default();
            let read = match self.file.read_at(free, self.position) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
                // The file is shorter than it was: the rest is gone.
                Ok(0) => {
                    self.end = self.position;
                    0
                }
                read => read.inspect_err(|_| buffer.truncate(filled))?,
            };
            buffer.truncate(filled + read);
            self.position += read as u64;
        }
        Ok(self.position - started)
    }
}
