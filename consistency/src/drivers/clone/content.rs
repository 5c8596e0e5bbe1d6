//! The content of one file: shared where that is possible, copied where it is not.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use platform::files::{Segment, segments, wait_for_writers};
use rustix::fs::{fadvise, ioctl_ficlone};

use crate::error::SnapshotError;

/// Gives a new file the content of another. One that cannot share its blocks, such as one on another
/// device, is copied.
pub(crate) fn transfer(
    source: &File,
    target: &File,
    reflink: bool,
    abandoned: &AtomicBool,
) -> io::Result<()> {
    if reflink && ioctl_ficlone(target, source).is_ok() {
        return Ok(());
    }
    wait_for_writers(source);
    let _ = fadvise(source, 0, None, rustix::fs::Advice::Sequential);
    let size = source.metadata()?.len();
    target.set_len(size)?;
    let mut buffer = Vec::new();
    for segment in segments(source, size) {
        if let Segment::Data { offset, length } = segment? {
            buffer.resize(COPY_BYTES, 0);
            copy((source, target), offset..offset + length, &mut buffer, abandoned)?;
        }
    }
    Ok(())
}

fn copy(
    (source, target): (&File, &File),
    range: std::ops::Range<u64>,
    buffer: &mut [u8],
    abandoned: &AtomicBool,
) -> io::Result<()> {
    let mut offset = range.start;
    while offset < range.end {
        if abandoned.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, SnapshotError::Abandoned));
        }
        let length = usize::try_from(range.end - offset).unwrap_or(usize::MAX);
        let piece = buffer.get_mut(..length.min(COPY_BYTES)).unwrap_or_default();
        let count = source.read_at(piece, offset)?;
        if count == 0 {
            break;
        }
        target.write_all_at(piece.get(..count).unwrap_or_default(), offset)?;
        offset += count as u64;
    }
    Ok(())
}

const COPY_BYTES: usize = 1 << 20;
