//! Files that fit into memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use format::chunker::CHUNK_BYTES_MAX;
use format::frame::ChunkKind;
use format::tree::{Content, Extent};
use platform::files::{self, Inspected, Segment};

use super::{ContentError, Reading, StoredFile};
use crate::stream::{ExtentWriter, WrittenExtents};

impl Reading<'_> {
    /// Stores the first `found.size` bytes of a file, holes kept. Less, if it ends before them.
    pub(super) fn small(
        &mut self,
        file: &File,
        found: &Inspected,
    ) -> Result<StoredFile, ContentError> {
        let mut extents = ExtentWriter::new(&self.shared.chunker, &self.shared.intake);
        if found.allocated >= found.size {
            self.run(file, 0, found.size, &mut extents)?;
        } else {
            self.segments(file, found, &mut extents)?;
        }
        let WrittenExtents { extents, size, data } = extents.finish()?;
        let content = Content { size, extents, hash: None };
        Ok(StoredFile { content, data, map: None })
    }

    fn segments(
        &mut self,
        file: &File,
        found: &Inspected,
        extents: &mut ExtentWriter<'_>,
    ) -> Result<(), ContentError> {
        for segment in files::segments(file, found.size) {
            match segment? {
                Segment::Hole { length, .. } => extents.push(Extent::Hole { length })?,
                Segment::Data { offset, length } => {
                    // The file became shorter meanwhile: what is read now ends here.
                    if self.run(file, offset, length, extents)? < length {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    // Cuts a run of a file; returns how many bytes of it there were.
    fn run(
        &mut self,
        file: &File,
        offset: u64,
        length: u64,
        extents: &mut ExtentWriter<'_>,
    ) -> Result<u64, ContentError> {
        let end = offset.saturating_add(length);
        let mut position = offset;
        self.buffer.clear();
        loop {
            let filled = fill(file, position, end, self.buffer)?;
            position += filled as u64;
            self.count(filled);
            if self.buffer.is_empty() {
                return Ok(position - offset);
            }
            let cut = self.shared.chunker.cut(self.buffer);
            let chunk = self.buffer.get(..cut).unwrap_or_default();
            let slice = self.shared.intake.take(ChunkKind::Data, chunk)?;
            extents.push(Extent::Whole(slice))?;
            self.buffer.drain(..cut);
        }
    }
}

// Fills the buffer up to the longest possible chunk, or to the end of the run.
fn fill(file: &File, from: u64, end: u64, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let before = buffer.len();
    let mut position = from;
    while buffer.len() < CHUNK_BYTES_MAX && position < end {
        let filled = buffer.len();
        let wanted = ((CHUNK_BYTES_MAX - filled) as u64).min(end - position);
        buffer.resize(filled + usize::try_from(wanted).unwrap_or(usize::MAX), 0);
        let free = buffer.get_mut(filled..).unwrap_or_default();
        let read = match file.read_at(free, position) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
            // The file is shorter than it was: the rest is gone.
            Ok(0) => {
                buffer.truncate(filled);
                break;
            }
            read => read.inspect_err(|_| buffer.truncate(filled))?,
        };
        buffer.truncate(filled + read);
        position += read as u64;
    }
    Ok(buffer.len() - before)
}
