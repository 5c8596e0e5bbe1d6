//! Where a file has data and where it has holes.

use std::fs::File;
use std::io;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// A run of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Segment {
    /// Bytes that have to be read.
    Data {
        /// Where it starts.
        offset: u64,
        /// How many bytes it has, at least one.
        length: u64,
    },
    /// Bytes that read as zero and take no space.
    Hole {
        /// Where it starts.
        offset: u64,
        /// How many bytes it has, at least one.
        length: u64,
    },
}

/// The segments of a file from its first byte to its last; see [`segments`].
#[derive(Debug)]
pub struct Segments<'a> {
    file: &'a File,
    offset: u64,
    size: u64,
    data_end: u64,
}

/// The segments of the first `size` bytes of a file, in order and without a gap.
///
/// They add up to `size` even if the file shrinks or grows meanwhile: what is gone is a hole then.
/// The position of the file is moved; read by offset. After an error there are no more segments.
pub fn segments(file: &File, size: u64) -> Segments<'_> {
    Segments { file, offset: 0, size, data_end: 0 }
}

impl Segments<'_> {
    fn find(&mut self) -> io::Result<Segment> {
        let (offset, size) = (self.offset, self.size);
        if self.data_end <= offset {
            let data = locate(self.file, SeekFrom::Data(offset), size, offset)?.clamp(offset, size);
            if data < size {
                let hole = locate(self.file, SeekFrom::Hole(data), size, size)?;
                // A hole where data just was: the file is changing, and data is always right.
                self.data_end = if hole > data { hole.min(size) } else { size };
            }
            if data > offset {
                self.offset = data;
                return Ok(Segment::Hole { offset, length: data - offset });
            }
        }
        self.offset = self.data_end;
        Ok(Segment::Data { offset, length: self.data_end - offset })
    }
}

impl Iterator for Segments<'_> {
    type Item = io::Result<Segment>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.offset >= self.size {
            return None;
        }
        let found = self.find();
        if found.is_err() {
            self.offset = self.size;
        }
        Some(found)
    }
}

// Past the last data there is only a hole; `unsupported` is for who knows no holes.
fn locate(file: &File, whence: SeekFrom, size: u64, unsupported: u64) -> io::Result<u64> {
    match seek(file, whence) {
        Err(Errno::NXIO) => Ok(size),
        Err(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS) => Ok(unsupported),
        found => Ok(found?),
    }
}
