//! The btrfs calls that have no safe interface of their own.
//!
//! Each takes a page of 4096 bytes, laid out as in `linux/btrfs.h`; numbers are the machine's own.
#![allow(unsafe_code, reason = "ioctl(2) cannot be called otherwise")]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::io::{Errno, Result};
use rustix::ioctl::{Direction, Opcode, Updater, ioctl, opcode};

/// A subvolume that lies in another one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Child {
    tree: u64,
    directory: u64,
}

/// Makes `name` in the directory `place` a read-only snapshot of the subvolume `source`.
pub(super) fn create_snapshot(
    place: BorrowedFd<'_>,
    name: &str,
    source: BorrowedFd<'_>,
) -> Result<()> {
    let mut page = Page::default();
    page.put(0, i64::from(source.as_raw_fd()).cast_unsigned());
    page.put(16, READ_ONLY);
    page.put_name(56, name.as_bytes())?;
    call::<SNAP_CREATE_V2>(place, &mut page)
}

/// Deletes the subvolume `name` of the directory `place`.
pub(super) fn destroy_subvolume(place: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
    let mut page = Page::default();
    page.put_name(8, name)?;
    call::<SNAP_DESTROY>(place, &mut page)
}

/// The subvolumes that lie directly in the one whose root directory this is.
pub(super) fn children(subvolume: BorrowedFd<'_>) -> Result<Vec<Child>> {
    let mut found = Vec::new();
    let mut page = Page::default();
    loop {
        let more = match call::<GET_SUBVOL_ROOTREF>(subvolume, &mut page) {
            Ok(()) => false,
            // Not all fit; the page says where to go on.
            Err(Errno::OVERFLOW) => true,
            Err(errno) => return Err(errno),
        };
        let count = page.byte(8 + CHILDREN_MAX * 16);
        for number in 0..usize::from(count) {
            let at = 8 + number * 16;
            found.push(Child { tree: page.take(at), directory: page.take(at + 8) });
        }
        if !more || count == 0 {
            return Ok(found);
        }
    }
}

/// The path of a child below the root directory of its parent.
pub(super) fn child_path(subvolume: BorrowedFd<'_>, child: Child) -> Result<Vec<u8>> {
    let mut page = Page::default();
    page.put(0, child.directory);
    page.put(8, child.tree);
    call::<INO_LOOKUP_USER>(subvolume, &mut page)?;
    let mut path = page.text(16 + 256).to_vec();
    if !path.is_empty() && !path.ends_with(b"/") {
        path.push(b'/');
    }
    path.extend_from_slice(page.text(16));
    Ok(path)
}

#[repr(C, align(8))]
struct Page([u8; 4096]);

impl Default for Page {
    fn default() -> Self {
        Self([0; 4096])
    }
}

impl Page {
    fn put(&mut self, at: usize, value: u64) {
        if let Some(field) = self.0.get_mut(at..at + 8) {
            field.copy_from_slice(&value.to_ne_bytes());
        }
    }

    // With at least one zero byte behind it.
    fn put_name(&mut self, at: usize, name: &[u8]) -> Result<()> {
        let fits = !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.contains(&0);
        let field = self.0.get_mut(at..at + name.len()).filter(|_| fits);
        field.ok_or(Errno::INVAL)?.copy_from_slice(name);
        Ok(())
    }

    fn take(&self, at: usize) -> u64 {
        let field = self.0.get(at..at + 8).and_then(|field| field.try_into().ok());
        field.map_or(0, u64::from_ne_bytes)
    }

    fn byte(&self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    fn text(&self, at: usize) -> &[u8] {
        let rest = self.0.get(at..).unwrap_or_default();
        rest.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

fn call<const OPCODE: Opcode>(fd: impl AsFd, page: &mut Page) -> Result<()> {
    // SAFETY: every opcode below takes a pointer to a page that the kernel reads and writes within
    // its 4096 bytes, and keeps no pointer to it.
    unsafe { ioctl(fd, Updater::<OPCODE, Page>::new(page)) }
}

const fn write(number: u8) -> Opcode {
    opcode::from_components(Direction::Write, 0x94, number, size_of::<Page>())
}

const fn read_write(number: u8) -> Opcode {
    opcode::from_components(Direction::ReadWrite, 0x94, number, size_of::<Page>())
}

const SNAP_DESTROY: Opcode = write(15);
const SNAP_CREATE_V2: Opcode = write(23);
const GET_SUBVOL_ROOTREF: Opcode = read_write(61);
const INO_LOOKUP_USER: Opcode = read_write(62);
const READ_ONLY: u64 = 1 << 1;
const CHILDREN_MAX: usize = 255;
const NAME_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_opcodes_are_those_of_the_header() {
        assert_eq!(
            [SNAP_DESTROY, SNAP_CREATE_V2, GET_SUBVOL_ROOTREF, INO_LOOKUP_USER],
            [0x5000_940f, 0x5000_9417, 0xd000_943d, 0xd000_943e]
        );
    }

    #[test]
    fn names_the_kernel_would_cut_are_refused() {
        let long = vec![b'x'; 256];
        for name in [&b""[..], b"a\0b", &long] {
            assert_eq!(Page::default().put_name(56, name), Err(Errno::INVAL));
        }
    }
}
