//! What one system call tells about a file: enough to see whether it changed.

use std::io;

use format::tree::{FileTime, Stamp};
use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, makedev, statx};

use super::directory::Dir;
use super::handle::component;
use super::inspect::time;

/// What `statx` says of a name, without opening what it names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Glance {
    /// What it is.
    pub kind: GlanceKind,
    /// Its length in bytes, holes included; meaningful for regular files.
    pub size: u64,
    /// When its content last changed.
    pub modified: FileTime,
    /// Its number, and when anything about it last changed.
    pub stamp: Stamp,
    /// The device number of its filesystem, as `stat` gives it.
    pub device: u64,
    /// How many names it has.
    pub links: u64,
}

/// The kinds of files that are treated differently.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GlanceKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// Anything else.
    Other,
}

/// What has this name in a directory; a symbolic link is not followed.
pub fn glance(dir: &Dir, name: &[u8]) -> io::Result<Glance> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let wanted = StatxFlags::TYPE
        | StatxFlags::SIZE
        | StatxFlags::MTIME
        | StatxFlags::CTIME
        | StatxFlags::INO
        | StatxFlags::NLINK;
    Ok(Glance::of(&statx(dir, component(name)?, flags, wanted)?))
}

impl Glance {
    fn of(stat: &Statx) -> Self {
        Self {
            kind: match FileType::from_raw_mode(stat.stx_mode.into()) {
                FileType::Directory => GlanceKind::Directory,
                FileType::RegularFile => GlanceKind::File,
                _ => GlanceKind::Other,
            },
            size: stat.stx_size,
            modified: time(stat.stx_mtime),
            stamp: Stamp { inode: stat.stx_ino, changed: time(stat.stx_ctime) },
            device: makedev(stat.stx_dev_major, stat.stx_dev_minor),
            links: u64::from(stat.stx_nlink),
        }
    }
}
