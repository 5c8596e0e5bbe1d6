//! What a file is, who owns it and how it is marked.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use format::raw::RawPath;
use format::tree::{Attribute, FileTime, Metadata};
use rustix::fs::{FileType, Statx, StatxTimestamp, makedev, readlinkat};

use super::attributes;
use super::directory::Dir;
use super::handle::{pin, pin_path, stat};

/// Everything about a file but its name and content.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Inspected {
    /// What it is.
    pub kind: FileKind,
    /// Who owns it and how it is marked. `hard_link` and `stamp` are always `None`: see `links`,
    /// `inode` and `changed`.
    pub metadata: Metadata,
    /// Its length in bytes, holes included; meaningful for regular files.
    pub size: u64,
    /// How many bytes of the disk it takes.
    pub allocated: u64,
    /// When anything about it last changed; nobody can set this at will.
    pub changed: FileTime,
    /// The device number of its filesystem, as `stat` gives it.
    pub device: u64,
    /// Its number on that filesystem.
    pub inode: u64,
    /// How many names it has.
    pub links: u64,
}

/// The kinds of files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink {
        /// What it points to, as it was written.
        target: RawPath,
    },
    /// A named pipe.
    Fifo,
    /// A Unix socket that was bound here.
    Socket,
    /// A character device.
    CharacterDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

/// What has this name in a directory. The stat is taken before anything else is read.
pub fn inspect(dir: &Dir, name: &[u8]) -> io::Result<Inspected> {
    examine(pin(dir, name)?.as_fd(), attributes::read)
}

/// What an open file or directory is.
pub fn inspect_open(handle: &impl AsFd) -> io::Result<Inspected> {
    examine(handle.as_fd(), attributes::read_open)
}

/// What a path leads to; symbolic links are followed.
pub fn inspect_path(path: &Path) -> io::Result<Inspected> {
    examine(pin_path(path)?.as_fd(), attributes::read)
}

fn examine<'a>(
    handle: BorrowedFd<'a>,
    attributes: impl Fn(BorrowedFd<'a>) -> io::Result<Vec<Attribute>>,
) -> io::Result<Inspected> {
    let stat = stat(handle)?;
    let mode = u32::from(stat.stx_mode);
    Ok(Inspected {
        kind: kind(handle, &stat)?,
        metadata: Metadata {
            mode: mode & 0o7777,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            modified: time(stat.stx_mtime),
            attributes: attributes(handle)?,
            hard_link: None,
            stamp: None,
        },
        size: stat.stx_size,
        allocated: stat.stx_blocks.saturating_mul(512),
        changed: time(stat.stx_ctime),
        device: makedev(stat.stx_dev_major, stat.stx_dev_minor),
        inode: stat.stx_ino,
        links: u64::from(stat.stx_nlink),
    })
}

fn kind(handle: BorrowedFd<'_>, stat: &Statx) -> io::Result<FileKind> {
    let (major, minor) = (stat.stx_rdev_major, stat.stx_rdev_minor);
    Ok(match FileType::from_raw_mode(stat.stx_mode.into()) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => {
            let target = readlinkat(handle, "", Vec::new())?;
            FileKind::Symlink { target: RawPath::new(target.into_bytes()) }
        }
        FileType::Fifo => FileKind::Fifo,
        FileType::Socket => FileKind::Socket,
        FileType::CharacterDevice => FileKind::CharacterDevice { major, minor },
        FileType::BlockDevice => FileKind::BlockDevice { major, minor },
        FileType::Unknown => {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "it is of an unknown kind"));
        }
    })
}

/// A moment as `statx` gives it.
pub(super) fn time(stamp: StatxTimestamp) -> FileTime {
    FileTime { seconds: stamp.tv_sec, nanoseconds: stamp.tv_nsec }
}
