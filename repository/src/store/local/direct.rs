//! Large objects past the page cache: what is written once and read once need not be kept there,
//! and copying it through the cache costs more than all the hashing and sealing.
//!
//! Filesystems that know no direct I/O, such as tmpfs, get the ordinary calls.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSliceMut, Write as _};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use bytes::Bytes;
use rustix::fs::{Advice, OFlags, fadvise};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

/// Places, lengths and memory of direct I/O are multiples of this; it suits every usual disk.
const ALIGNMENT: usize = 4096;
/// Less is not worth the trouble.
const DIRECT_BYTES_MIN: usize = 256 << 10;
/// How much is written at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Makes a new file with these bytes, readable by its owner. It need not be on the disk yet.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let create = |flags: OFlags| {
        let flags = i32::try_from(flags.bits()).unwrap_or(0);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o400).custom_flags(flags).open(path)
    };
    if bytes.len() < DIRECT_BYTES_MIN {
        let mut file = create(OFlags::empty())?;
        file.write_all(bytes)?;
        return Ok(file);
    }
    match create(OFlags::DIRECT) {
        Ok(file) => {
            write_direct(&file, bytes)?;
            Ok(file)
        }
        Err(error) if is_unsupported(&error) => {
            // Some filesystems make the file before they refuse the flag.
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = create(OFlags::empty())?;
            file.write_all(bytes)?;
            Ok(file)
        }
        Err(error) => Err(error),
    }
}

fn write_direct(file: &File, bytes: &[u8]) -> io::Result<()> {
    let mut memory = Aligned::new(PIECE_BYTES);
    let whole = bytes.len() - bytes.len() % ALIGNMENT;
    let (direct, rest) = bytes.split_at(whole);
    let mut position = 0;
    for piece in direct.chunks(PIECE_BYTES) {
        let aligned = memory.slice(piece.len());
        aligned.copy_from_slice(piece);
        match file.write_all_at(aligned, position) {
            // It was opened all the same, and says only now that it cannot.
            Err(error) if is_unsupported(&error) => {
                buffered(file)?;
                file.write_all_at(piece, position)?;
            }
            written => written?,
        }
        position += piece.len() as u64;
    }
    if !rest.is_empty() {
        buffered(file)?;
        file.write_all_at(rest, position)?;
    }
    Ok(())
}

/// Reads a range of a file; fewer bytes only where the file ends.
pub(super) fn read_range(path: &Path, range: Range<u64>) -> io::Result<Bytes> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let end = range.end.min(size);
    let length = usize::try_from(end.saturating_sub(range.start))
        .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    if length < DIRECT_BYTES_MIN {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, range.start)?;
        return Ok(bytes.into());
    }
    let before = usize::try_from(range.start % ALIGNMENT as u64).unwrap_or(0);
    let aligned = (before + length).next_multiple_of(ALIGNMENT);
    let mut memory = Aligned::new(aligned);
    fill(&file, range.start - before as u64, memory.slice(aligned), before + length)?;
    Ok(memory.into_bytes(before..before + length))
}

// Fills at least `wanted` bytes: what the page cache has from there, the rest from the disk.
fn fill(file: &File, start: u64, memory: &mut [u8], wanted: usize) -> io::Result<()> {
    let mut filled = read_cached(file, start, memory);
    let mut direct = filled < wanted && rustix::fs::fcntl_setfl(file, OFlags::DIRECT).is_ok();
    while filled < wanted {
        let free = memory.get_mut(filled..).unwrap_or_default();
        match file.read_at(free, start + filled as u64) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                filled += read;
                // Short reads end at the end of the file, or anywhere at all: then go on as usual.
                if direct && !filled.is_multiple_of(ALIGNMENT) && filled < wanted {
                    buffered(file)?;
                    direct = false;
                }
            }
            Err(error) if direct && is_unsupported(&error) => {
                buffered(file)?;
                direct = false;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

// Whole pages only. One is asked for first, and no reading ahead: the kernel would read what it
// lacks into the cache, although nobody waits for it.
fn read_cached(file: &File, start: u64, memory: &mut [u8]) -> usize {
    // Without the advice more is read than is used, and nothing else.
    let _ = fadvise(file, 0, None, Advice::Random);
    let mut filled = 0;
    for end in [ALIGNMENT, memory.len()] {
        let free = memory.get_mut(filled..end).unwrap_or_default();
        let wanted = free.len();
        let mut free = [IoSliceMut::new(free)];
        let position = start + filled as u64;
        let read = preadv2(file, &mut free, position, ReadWriteFlags::NOWAIT).unwrap_or(0);
        filled += read - read % ALIGNMENT;
        if read < wanted {
            break;
        }
    }
    filled
}

fn buffered(file: &File) -> io::Result<()> {
    Ok(rustix::fs::fcntl_setfl(file, OFlags::empty())?)
}

fn is_unsupported(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| matches!(errno, Errno::INVAL | Errno::OPNOTSUPP))
}

/// Memory that begins where direct I/O can use it.
struct Aligned {
    memory: Vec<u8>,
    start: usize,
}

impl Aligned {
    fn new(length: usize) -> Self {
        let memory = vec![0; length + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        Self { memory, start }
    }

    fn slice(&mut self, length: usize) -> &mut [u8] {
        self.memory.get_mut(self.start..self.start + length).unwrap_or_default()
    }

    fn into_bytes(self, range: Range<usize>) -> Bytes {
        let Self { memory, start } = self;
        Bytes::from(memory).slice(start + range.start..start + range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_written_and_every_range_read() {
        // One on a disk, one in memory, which knows no direct I/O.
        let disk = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let memory = tempfile::tempdir_in("/dev/shm").unwrap();
        for folder in [disk.path(), memory.path()] {
            for length in [0, 1, 4096, 300_000, (1 << 20) + 4096, (2 << 20) + 17] {
                let bytes = b"seven b".repeat(length / 7 + 1);
                let bytes = bytes.get(..length).unwrap();
                let path = folder.join(length.to_string());
                write(&path, bytes).unwrap();
                assert!(write(&path, bytes).is_err(), "a file is made once");
                for range in [0..length, 5..length, 4096..length, length / 3..length / 2] {
                    if range.start <= range.end {
                        let read = read_range(&path, range.start as u64..range.end as u64);
                        assert!(read.unwrap() == bytes[range.clone()], "{range:?} of {length}");
                    }
                }
                let over = read_range(&path, 0..length as u64 + 9).unwrap();
                assert_eq!(over.len(), length);
            }
        }
    }
}
