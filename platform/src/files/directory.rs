//! Open directories.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, fstat, linkat, makedev, mkdirat, mknodat, openat,
    symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::handle::component;
use super::inspect::FileKind;

/// A name in a directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Name {
    /// The name.
    pub bytes: Vec<u8>,
    /// The number of what it names: where to look for it on the disk, and no more.
    pub inode: u64,
}

/// An open directory, wherever it is moved to.
#[derive(Debug)]
pub struct Dir(OwnedFd);

impl Dir {
    /// The directory at this path; symbolic links in the path are followed.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(openat(CWD, path, DIRECTORY, Mode::empty())?))
    }

    /// One more handle on the same directory.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// A directory in this one.
    pub fn open_dir(&self, name: &[u8]) -> io::Result<Self> {
        self.open_quietly(name, DIRECTORY | OFlags::NOFOLLOW).map(Self)
    }

    /// The names in this directory, sorted by their bytes, without `.` and `..`.
    pub fn names(&self) -> io::Result<Vec<Vec<u8>>> {
        let names = self.numbered_names()?;
        Ok(names.into_iter().map(|name| name.bytes).collect())
    }

    /// As [`Dir::names`], each with the number of what it names.
    pub fn numbered_names(&self) -> io::Result<Vec<Name>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            let entry = entry?;
            let bytes = entry.file_name().to_bytes();
            if bytes != b"." && bytes != b".." {
                names.push(Name { bytes: bytes.to_vec(), inode: entry.ino() });
            }
        }
        names.sort_unstable_by(|a, b| a.bytes.cmp(&b.bytes));
        // A name that is removed and made again meanwhile may be told twice.
        names.dedup_by(|a, b| a.bytes == b.bytes);
        Ok(names)
    }

    /// A regular file in this directory, to be read.
    pub fn open_file(&self, name: &[u8]) -> io::Result<File> {
        regular(self.open_quietly(name, OFlags::RDONLY | EXISTING)?)
    }

    /// A regular file in this directory, to be read and changed in place.
    pub fn modify_file(&self, name: &[u8]) -> io::Result<File> {
        let flags = OFlags::RDWR | EXISTING;
        regular(openat(&self.0, component(name)?, flags, Mode::empty())?)
    }

    /// A new directory, open to its owner alone.
    pub fn create_dir(&self, name: &[u8]) -> io::Result<Self> {
        mkdirat(&self.0, component(name)?, Mode::RWXU)?;
        self.open_dir(name)
    }

    /// A new regular file, open to its owner alone, to be written and read.
    pub fn create_file(&self, name: &[u8]) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        Ok(File::from(openat(&self.0, component(name)?, flags, Mode::RUSR | Mode::WUSR)?))
    }

    /// Makes a symbolic link with this text.
    pub fn create_symlink(&self, name: &[u8], target: &[u8]) -> io::Result<()> {
        Ok(symlinkat(target, &self.0, component(name)?)?)
    }

    /// Makes a pipe, socket or device, open to its owner alone; other kinds are refused.
    pub fn create_node(&self, name: &[u8], kind: &FileKind) -> io::Result<()> {
        let (file_type, device) = match *kind {
            FileKind::Fifo => (FileType::Fifo, 0),
            FileKind::Socket => (FileType::Socket, 0),
            FileKind::CharacterDevice { major, minor } => {
                (FileType::CharacterDevice, makedev(major, minor))
            }
            FileKind::BlockDevice { major, minor } => {
                (FileType::BlockDevice, makedev(major, minor))
            }
            FileKind::File | FileKind::Directory | FileKind::Symlink { .. } => {
                return Err(Errno::INVAL.into());
            }
        };
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(mknodat(&self.0, component(name)?, file_type, mode, device)?)
    }

    /// Gives a file of the directory `source` one more name here; a symbolic link is linked itself.
    pub fn create_link(&self, name: &[u8], source: &Self, source_name: &[u8]) -> io::Result<()> {
        let (name, source_name) = (component(name)?, component(source_name)?);
        Ok(linkat(&source.0, source_name, &self.0, name, AtFlags::empty())?)
    }

    /// Removes a name that is not a directory's.
    pub fn remove_file(&self, name: &[u8]) -> io::Result<()> {
        Ok(unlinkat(&self.0, component(name)?, AtFlags::empty())?)
    }

    /// Removes an empty directory.
    pub fn remove_dir(&self, name: &[u8]) -> io::Result<()> {
        Ok(unlinkat(&self.0, component(name)?, AtFlags::REMOVEDIR)?)
    }

    /// The directory above this one, wherever it is by now.
    pub(super) fn above(&self) -> io::Result<Self> {
        Ok(Self(openat(&self.0, c"..", DIRECTORY, Mode::empty())?))
    }

    // Reading should leave no trace; only the owner of a file may ask for that.
    fn open_quietly(&self, name: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        let name = component(name)?;
        match openat(&self.0, name, flags | OFlags::NOATIME, Mode::empty()) {
            Err(Errno::PERM) => Ok(openat(&self.0, name, flags, Mode::empty())?),
            opened => Ok(opened?),
        }
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

// Non-blocking, for the name may have become a pipe's since somebody looked.
const EXISTING: OFlags =
    OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

fn regular(fd: OwnedFd) -> io::Result<File> {
    if FileType::from_raw_mode(fstat(&fd)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(File::from(fd))
}
