//! Which parts of two files lie at the same place of the disk, and so have the same content.
//!
//! By the map of `FS_IOC_FIEMAP`, laid out as in `linux/fiemap.h`.
#![allow(unsafe_code, reason = "ioctl(2) cannot be called otherwise")]

use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::unix::fs::MetadataExt as _;

use format::changed_ranges::ChangedRanges;
use format::content::PAGE_BYTES;
use rustix::fs::{FsWord, fstatfs};
use rustix::ioctl::{Direction, Opcode, Updater, ioctl, opcode};

/// What of a file may differ from `base`, an earlier state of it that nobody changed since.
///
/// Both must lie on one filesystem, and neither may be changed meanwhile: where both have the same
/// blocks of the disk, nothing was written. Blocks whose place is not certain (compressed, inline,
/// not written out) may differ. The cost grows with the extents, not with the bytes.
///
/// # Errors
/// When the filesystem does not tell where its files lie; others than btrfs and XFS may tell nonsense.
pub fn changed_since(base: &File, file: &File) -> io::Result<ChangedRanges> {
    match (fstatfs(base)?.f_type, fstatfs(file)?.f_type) {
        // Its addresses are those of the whole filesystem, and devices those of subvolumes.
        (BTRFS, BTRFS) => {}
        (XFS, XFS) if base.metadata()?.dev() == file.metadata()?.dev() => {}
        _ => return Err(io::ErrorKind::Unsupported.into()),
    }
    compare(base, file)
}

fn compare(base: &File, file: &File) -> io::Result<ChangedRanges> {
    let (base_size, size) = (base.metadata()?.len(), file.metadata()?.len());
    let mut changed = ChangedRanges::default();
    let (mut before, mut now) = (Extents::of(base), Extents::of(file));
    let mut at = 0;
    while at < size {
        let (earlier, later) = (before.at(at)?, now.at(at)?);
        let end = earlier.end.min(later.end).min(size);
        if earlier.place != later.place || later.place == Place::Uncertain {
            changed.add(at..end);
        }
        at = end;
    }
    // The end of a shorter file lies in the middle of a block that the longer one may share.
    let shorter = base_size.min(size);
    if base_size != size {
        let page = PAGE_BYTES as u64;
        changed.add((shorter / page * page).min(size)..size);
    }
    // Blocks of the base may have been moved, and others have taken their places, since they were
    // looked at.
    let mut again = Extents::of(base);
    again.at(u64::MAX - 1)?;
    before.at(u64::MAX - 1)?;
    if again.seen.finish() != before.seen.finish() {
        changed.add(0..size);
    }
    Ok(changed)
}

/// Where a run of a file lies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// Nowhere, and it reads as zeros.
    Hole,
    /// So far behind the same position of the disk, modulo 2^64.
    Disk(u64),
    Uncertain,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    end: u64,
    place: Place,
}

/// The extents of a file, asked for from its start to its end.
struct Extents<'a> {
    file: &'a File,
    map: Box<Map>,
    next: usize,
    /// Where the next question begins; nothing when there are no more extents.
    ask: Option<u64>,
    /// Everything that was seen.
    seen: DefaultHasher,
}

impl<'a> Extents<'a> {
    fn of(file: &'a File) -> Self {
        let (map, seen) = (Box::new(Map::default()), DefaultHasher::new());
        Self { file, map, next: 0, ask: Some(0), seen }
    }

    /// The run at a position. Positions do not fall.
    fn at(&mut self, position: u64) -> io::Result<Run> {
        loop {
            let Some(extent) = self.extent()? else {
                return Ok(Run { end: u64::MAX, place: Place::Hole });
            };
            if position < extent.logical {
                return Ok(Run { end: extent.logical, place: Place::Hole });
            }
            if position < extent.end() {
                return Ok(Run { end: extent.end(), place: extent.place() });
            }
            self.next += 1;
        }
    }

    // The extent that is looked at.
    fn extent(&mut self) -> io::Result<Option<Mapped>> {
        if let Some(extent) = self.map.extents().get(self.next) {
            return Ok(Some(*extent));
        }
        let Some(ask) = self.ask else { return Ok(None) };
        self.map.fetch(self.file, ask)?;
        self.next = 0;
        for extent in self.map.extents() {
            (extent.logical, extent.physical, extent.length, extent.flags).hash(&mut self.seen);
        }
        let last = self.map.extents().last().copied();
        self.ask = last.filter(|last| last.flags & LAST == 0).map(|last| last.end());
        if self.ask.is_some_and(|next| next <= ask) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(self.map.extents().first().copied())
    }
}

#[repr(C)]
struct Map {
    start: u64,
    length: u64,
    flags: u32,
    mapped: u32,
    room: u32,
    reserved: u32,
    extents: [Mapped; ROOM],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Mapped {
    logical: u64,
    physical: u64,
    length: u64,
    reserved: [u64; 2],
    flags: u32,
    more: [u32; 3],
}

impl Default for Map {
    fn default() -> Self {
        let extents = [Mapped::default(); ROOM];
        Self { start: 0, length: 0, flags: 0, mapped: 0, room: 0, reserved: 0, extents }
    }
}

impl Map {
    fn extents(&self) -> &[Mapped] {
        let count = usize::try_from(self.mapped).unwrap_or(ROOM).min(ROOM);
        self.extents.get(..count).unwrap_or_default()
    }

    fn fetch(&mut self, file: &File, start: u64) -> io::Result<()> {
        (self.start, self.length) = (start, u64::MAX - start);
        (self.flags, self.mapped, self.room) = (SYNC, 0, ROOM_NUMBER);
        // SAFETY: the kernel writes `room` extents at most behind the header, and there is room for
        // so many; it keeps no pointer.
        Ok(unsafe { ioctl(file, Updater::<FIEMAP, Self>::new(self)) }?)
    }
}

impl Mapped {
    fn end(&self) -> u64 {
        self.logical.saturating_add(self.length)
    }

    fn place(&self) -> Place {
        if self.flags & UNCERTAIN != 0 {
            Place::Uncertain
        } else if self.flags & UNWRITTEN != 0 {
            Place::Hole
        } else {
            Place::Disk(self.physical.wrapping_sub(self.logical))
        }
    }
}

// The size of the header alone counts.
const FIEMAP: Opcode = opcode::from_components(Direction::ReadWrite, b'f', 11, HEADER_BYTES);
const HEADER_BYTES: usize = 32;
const BTRFS: FsWord = 0x9123_683e;
const XFS: FsWord = 0x5846_5342;
const ROOM: usize = 256;
const ROOM_NUMBER: u32 = 256;
/// What is dirty is written out first.
const SYNC: u32 = 1;
const LAST: u32 = 0x1;
/// Its place is not known, not decided yet, of compressed or encrypted data, or not of whole blocks.
const UNCERTAIN: u32 = 0x2 | 0x4 | 0x8 | 0x80 | 0x100 | 0x200 | 0x400;
const UNWRITTEN: u32 = 0x800;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    #[test]
    fn the_layout_is_that_of_the_header() {
        assert_eq!(FIEMAP, 0xc020_660b);
        assert_eq!(size_of::<Mapped>(), 56);
        assert_eq!(size_of::<Map>(), HEADER_BYTES + ROOM * 56);
    }

    #[test]
    fn a_file_is_as_it_is_and_another_one_lies_elsewhere() {
        let [one, other] = [1, 2].map(|byte| {
            let file = tempfile::tempfile().unwrap();
            file.write_all_at(&vec![byte; 3 << 20], 0).unwrap();
            file.set_len(9 << 20).unwrap();
            file.sync_all().unwrap();
            file
        });
        match compare(&one, &one) {
            Ok(changed) => assert_eq!(changed.total(), 0, "{changed:?}"),
            // A filesystem in memory has no map.
            Err(error) => return assert_eq!(error.kind(), io::ErrorKind::Unsupported),
        }
        let changed = compare(&one, &other).unwrap();
        assert!(changed.iter().eq(std::iter::once(0..3 << 20)), "{changed:?}");
        other.set_len((3 << 20) - 5).unwrap();
        let changed = compare(&one, &other).unwrap();
        assert!(changed.covers((3 << 20) - 5));
    }
}
