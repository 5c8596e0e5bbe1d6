//! What the kernel says about one file.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{lgetxattr, llistxattr};

/// What a file is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    File,
    Directory,
    Symlink,
    Fifo,
    Socket,
    CharacterDevice,
    BlockDevice,
}

/// Everything about a file but its content.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) kind: Kind,
    pub(super) target: Option<Vec<u8>>,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) modified: (i64, i64),
    pub(super) attributes: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) device: Option<(u32, u32)>,
    /// Filesystem and inode.
    pub(super) inode: (u64, u64),
    /// How many names it has.
    pub(super) names: u64,
    /// The first of its names in the tree, when it has several.
    pub(super) first_name: Option<PathBuf>,
}

impl Facts {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let stat = fs::symlink_metadata(path)?;
        let kind = kind(stat.file_type());
        let target = (kind == Kind::Symlink).then(|| fs::read_link(path)).transpose()?;
        let is_device = matches!(kind, Kind::CharacterDevice | Kind::BlockDevice);
        let number = stat.rdev();
        Ok(Self {
            kind,
            target: target.map(|target| target.into_os_string().into_vec()),
            mode: stat.mode() & 0o7777,
            owner: (stat.uid(), stat.gid()),
            modified: (stat.mtime(), stat.mtime_nsec()),
            attributes: attributes(path)?,
            device: is_device.then(|| (rustix::fs::major(number), rustix::fs::minor(number))),
            inode: (stat.dev(), stat.ino()),
            names: stat.nlink(),
            first_name: None,
        })
    }
}

fn kind(found: fs::FileType) -> Kind {
    match found {
        f if f.is_dir() => Kind::Directory,
        f if f.is_symlink() => Kind::Symlink,
        f if f.is_fifo() => Kind::Fifo,
        f if f.is_socket() => Kind::Socket,
        f if f.is_char_device() => Kind::CharacterDevice,
        f if f.is_block_device() => Kind::BlockDevice,
        _ => Kind::File,
    }
}

fn attributes(path: &Path) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut buffer = vec![0; 64 << 10];
    let length = match llistxattr(path, &mut buffer[..]) {
        Err(rustix::io::Errno::OPNOTSUPP) => return Ok(BTreeMap::new()),
        length => length?,
    };
    let names: Vec<Vec<u8>> =
        buffer[..length].split(|b| *b == 0).filter(|n| !n.is_empty()).map(Vec::from).collect();
    let read = |name: Vec<u8>| {
        let length = lgetxattr(path, &name[..], &mut buffer[..])?;
        Ok((name, buffer[..length].to_vec()))
    };
    names.into_iter().map(read).collect()
}
