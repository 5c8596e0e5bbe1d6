//! What a store in a directory asks of the filesystem. The tests record it, and lose what was not
//! synced.

use std::fmt::Debug;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use rustix::fs::RenameFlags;

use super::direct;

/// Changes to files and folders. None but the syncs needs to outlive a power cut.
pub(super) trait Disk: Debug + Send + Sync {
    /// Makes a folder.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;

    /// Makes a new file with these bytes.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<File>;

    /// Waits until the bytes of the file at `path` are on the disk.
    fn sync_file(&self, path: &Path, file: &File) -> io::Result<()>;

    /// Gives a finished file its name in the same folder, unless the name is taken.
    fn publish(&self, unfinished: &Path, path: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Waits until the names in a folder are on the disk.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// The filesystem itself.
#[derive(Debug)]
pub(super) struct Filesystem;

impl Disk for Filesystem {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        fs::DirBuilder::new().mode(0o700).create(folder)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<File> {
        direct::write(path, bytes)
    }

    fn sync_file(&self, _: &Path, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn publish(&self, unfinished: &Path, path: &Path) -> io::Result<()> {
        let here = rustix::fs::CWD;
        match rustix::fs::renameat_with(here, unfinished, here, path, RenameFlags::NOREPLACE) {
            // Some filesystems cannot rename without replacing; a hard link never replaces.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                fs::hard_link(unfinished, path)?;
                fs::remove_file(unfinished)
            }
            result => Ok(result?),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        match File::open(folder)?.sync_all() {
            // Some filesystems cannot sync a directory, and need not.
            Err(e)
                if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) =>
            {
                Ok(())
            }
            result => result,
        }
    }
}
