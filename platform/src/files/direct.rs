//! Files read and written past the page cache, where their filesystem allows it.
//!
//! What goes through the cache is copied once more, and fresh pages of it cost more than all the
//! rest of a backup or a restore. So large files go straight between the disk and aligned memory.
//! A filesystem that refuses that is served through the cache, and nobody has to know.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rustix::fs::{Advice, FallocateFlags, Mode, OFlags, fadvise, fallocate, fcntl_getfl, open};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::handle::path_of;

/// Offsets, lengths and memory are multiples of this for direct input and output.
pub const BLOCK_ALIGNMENT: usize = 4096;
const ALIGNMENT: u64 = BLOCK_ALIGNMENT as u64;

/// Memory that begins at a multiple of [`BLOCK_ALIGNMENT`].
#[derive(Debug, Default)]
pub struct AlignedBuffer {
    bytes: Vec<u8>,
    start: usize,
    length: usize,
}

impl AlignedBuffer {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the buffer this length. What is new in it is zero or left from an earlier use; memory
    /// once taken is kept.
    pub fn resize(&mut self, length: usize) {
        if self.start + length > self.bytes.len() {
            let mut bytes = vec![0; length + BLOCK_ALIGNMENT];
            let start = bytes.as_ptr().align_offset(BLOCK_ALIGNMENT);
            if let Some(kept) = bytes.get_mut(start..start + self.length) {
                kept.copy_from_slice(self);
            }
            (self.bytes, self.start) = (bytes, start);
        }
        self.length = length;
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(self.start..self.start + self.length).unwrap_or_default()
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.start + self.length).unwrap_or_default()
    }
}

/// A regular file with a second way to it, past the page cache.
#[derive(Debug)]
pub struct BlockFile {
    file: File,
    direct: Option<File>,
    /// Set when the filesystem took the flag and refused to act on it.
    refused: AtomicBool,
}

impl BlockFile {
    /// Opens the second way to an open file, if the filesystem has one.
    ///
    /// The kernel is told that the file is not read in order, so that a look into the page cache
    /// does not fill it.
    pub fn new(file: File) -> Self {
        let access = fcntl_getfl(&file).map(|flags| flags & OFlags::RWMODE);
        let direct = access.and_then(|access| {
            let flags = access | OFlags::DIRECT | OFlags::CLOEXEC | OFlags::NONBLOCK;
            open(path_of(&file), flags, Mode::empty())
        });
        // Without the advice more is read than is used, and nothing else.
        let _ = fadvise(&file, 0, None, Advice::Random);
        Self { file, direct: direct.ok().map(File::from), refused: AtomicBool::new(false) }
    }

    /// A file whose blocks all go through the page cache, as is better for small ones.
    pub fn cached(file: File) -> Self {
        Self { file, direct: None, refused: AtomicBool::new(false) }
    }

    /// The file itself.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Writes `bytes` at `offset`: whole pages of aligned memory directly, the rest, as the end of a
    /// file is, through the page cache.
    pub fn write_block(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let aligned = offset.is_multiple_of(ALIGNMENT) && is_aligned(bytes);
        let whole = if aligned { bytes.len() / BLOCK_ALIGNMENT * BLOCK_ALIGNMENT } else { 0 };
        let (pages, rest) = bytes.split_at(whole);
        match self.direct() {
            Some(direct) if !pages.is_empty() => match direct.write_all_at(pages, offset) {
                Err(error) if is_refusal(&error) => {
                    self.refused.store(true, Relaxed);
                    self.file.write_all_at(pages, offset)?;
                }
                written => written?,
            },
            _ => self.file.write_all_at(pages, offset)?,
        }
        self.file.write_all_at(rest, offset + whole as u64)
    }

    /// Makes a run of the file a hole; where the filesystem has none, zeros.
    pub fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(&self.file, flags, offset, length) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            punched => return Ok(punched?),
        }
        let zeros = vec![0; BLOCK_ALIGNMENT * 16];
        let mut at = offset;
        while at < offset + length {
            let left = usize::try_from(offset + length - at).unwrap_or(usize::MAX);
            let run = zeros.get(..left).unwrap_or(&zeros);
            self.file.write_all_at(run, at)?;
            at += run.len() as u64;
        }
        Ok(())
    }

    fn direct(&self) -> Option<&File> {
        self.direct.as_ref().filter(|_| !self.refused.load(Relaxed))
    }
}

impl AsFd for BlockFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Reads up to `length` bytes at `offset`, which must be a multiple of [`BLOCK_ALIGNMENT`], and
/// answers how many; the buffer has that length then. It is less only at the end of the file.
///
/// What the page cache has comes from there, the rest straight from the disk.
pub fn read_block(
    file: &BlockFile,
    offset: u64,
    buffer: &mut AlignedBuffer,
    length: usize,
) -> io::Result<usize> {
    if !offset.is_multiple_of(ALIGNMENT) {
        return Err(Errno::INVAL.into());
    }
    buffer.resize(length.next_multiple_of(BLOCK_ALIGNMENT));
    let mut filled = 0;
    if let Some(direct) = file.direct() {
        filled = read_cached(&file.file, offset, buffer)? / BLOCK_ALIGNMENT * BLOCK_ALIGNMENT;
        match read_from(direct, offset, buffer, &mut filled, length) {
            Err(error) if is_refusal(&error) => file.refused.store(true, Relaxed),
            read => read?,
        }
    }
    // At the end of the file, one more read that finds nothing.
    read_from(&file.file, offset, buffer, &mut filled, length)?;
    let read = filled.min(length);
    buffer.resize(read);
    Ok(read)
}

// One page is asked for first: the kernel reads what it lacks, although nobody waits for it.
fn read_cached(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    for end in [BLOCK_ALIGNMENT, buffer.len()] {
        let free = buffer.get_mut(filled..end).unwrap_or_default();
        let wanted = free.len();
        let read = preadv2(
            file,
            &mut [IoSliceMut::new(free)],
            offset + filled as u64,
            ReadWriteFlags::NOWAIT,
        );
        let read = match read {
            Err(Errno::AGAIN | Errno::INTR | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => 0,
            read => read?,
        };
        filled += read;
        if read < wanted {
            break;
        }
    }
    Ok(filled)
}

// Until `length` bytes are there, or the file ends.
fn read_from(
    file: &File,
    offset: u64,
    buffer: &mut [u8],
    filled: &mut usize,
    length: usize,
) -> io::Result<()> {
    while *filled < length {
        let free = buffer.get_mut(*filled..).unwrap_or_default();
        match file.read_at(free, offset + *filled as u64) {
            Ok(0) => return Ok(()),
            Ok(read) => *filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        // Direct reads stop within a page at the end of the file only, and must not go on there.
        if !filled.is_multiple_of(BLOCK_ALIGNMENT) {
            return Ok(());
        }
    }
    Ok(())
}

fn is_aligned(bytes: &[u8]) -> bool {
    bytes.as_ptr().addr().is_multiple_of(BLOCK_ALIGNMENT)
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [usize; 7] = [0, 1, 4095, 4096, 4097, 100_000, 1 << 20];

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 7_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        (0..length).map(|_| next()).collect()
    }

    // The temporary directory, and a filesystem in memory: one of them has no direct way.
    fn files() -> [File; 2] {
        ["/dev/shm".into(), std::env::temp_dir()].map(|dir| tempfile::tempfile_in(dir).unwrap())
    }

    fn forget_cache(file: &File) {
        file.sync_all().unwrap();
        fadvise(file, 0, None, Advice::DontNeed).unwrap();
    }

    #[test]
    fn a_buffer_is_aligned_and_keeps_what_is_in_it() {
        let mut buffer = AlignedBuffer::new();
        assert!(buffer.is_empty());
        buffer.resize(3);
        buffer.copy_from_slice(b"abc");
        for length in [4, 5000, 1 << 20] {
            buffer.resize(length);
            assert!(is_aligned(&buffer));
            assert_eq!((buffer.len(), &buffer[..3]), (length, &b"abc"[..]));
        }
        buffer.resize(2);
        assert_eq!(*buffer, *b"ab");
    }

    #[test]
    fn a_block_reads_as_it_was_written_whatever_the_cache_has() {
        for file in files() {
            for size in SIZES {
                let bytes = noise(size);
                file.set_len(0).unwrap();
                file.write_all_at(&bytes, 0).unwrap();
                let blocks = BlockFile::new(file.try_clone().unwrap());
                for cached in [0, size / 2, size] {
                    forget_cache(&file);
                    file.read_exact_at(&mut vec![0; cached], 0).unwrap();
                    let mut buffer = AlignedBuffer::new();
                    for (offset, length) in [(0, size), (0, size + 9000), (4096, 5000), (0, 10)] {
                        let read = read_block(&blocks, offset, &mut buffer, length).unwrap();
                        let start = size.min(usize::try_from(offset).unwrap());
                        let expected = &bytes[start..size.min(start + length)];
                        assert_eq!((read, buffer.len()), (expected.len(), expected.len()));
                        assert!(*buffer == *expected, "{size} {cached} {offset} {length}");
                    }
                }
            }
        }
    }

    #[test]
    fn reading_in_the_middle_of_a_page_is_refused() {
        let [file, _] = files();
        assert!(read_block(&BlockFile::new(file), 1, &mut AlignedBuffer::new(), 4096).is_err());
    }

    #[test]
    fn blocks_land_where_they_belong_aligned_or_not() {
        for file in files() {
            for cached in [false, true] {
                let copy = file.try_clone().unwrap();
                let blocks = if cached { BlockFile::cached(copy) } else { BlockFile::new(copy) };
                for size in SIZES {
                    for offset in [0_u64, 1, 4096, 40_960] {
                        let mut buffer = AlignedBuffer::new();
                        buffer.resize(size);
                        buffer.copy_from_slice(&noise(size));
                        file.set_len(0).unwrap();
                        blocks.write_block(offset, &buffer).unwrap();
                        let mut read = vec![0; size];
                        file.read_exact_at(&mut read, offset).unwrap();
                        assert!(*read == *buffer, "{size} at {offset}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_hole_is_made_where_data_was() {
        for file in files() {
            let blocks = BlockFile::new(file.try_clone().unwrap());
            file.write_all_at(&vec![1; 100_000], 0).unwrap();
            blocks.punch(5000, 80_000).unwrap();
            let mut read = vec![7; 100_000];
            file.read_exact_at(&mut read, 0).unwrap();
            let expected = [vec![1; 5000], vec![0; 80_000], vec![1; 15_000]].concat();
            assert!(read == expected);
        }
    }
}
