//! The directory of the page maps.
//!
//! `<content hash>.pages` are the maps; `unfinished-<process>-<number>/` is what one run of this
//! program writes before its point is committed. The run holds a lock on its directory for as long
//! as any of its maps may still be kept, so that others know what was left by a crash.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use format::ids::ContentHash;
use format::keys::Keys;

use super::page_map::{FILE_SUFFIX, PageMap, PageMapWriter, file_name};

const UNFINISHED: &str = "unfinished-";
/// Directories of dead runs with our process id that are passed over before giving up.
const ATTEMPTS_MAX: u32 = 1000;

/// The page maps on this machine. Several processes may use one directory at once.
#[derive(Clone, Debug)]
pub(crate) struct MapCache {
    workplace: Arc<Workplace>,
}

impl MapCache {
    /// The maps in this directory, which is made if it is not there.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        let mut builder = DirBuilder::new();
        // Digests tell nothing without the key, but nobody else needs them.
        builder.mode(0o700);
        DirBuilder::recursive(&mut builder, true).create(directory)?;
        builder.recursive(false);
        for attempt in 0..ATTEMPTS_MAX {
            let name = format!("{UNFINISHED}{}-{attempt}", std::process::id());
            let path = directory.join(name);
            match builder.create(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                created => created?,
            }
            let lock = File::open(&path)?;
            // Between the last two steps another run may have taken it for left over.
            if lock.try_lock().is_ok() && path.try_exists()? {
                let directory = directory.to_owned();
                let workplace = Workplace { directory, path, maps: AtomicU64::new(0), _lock: lock };
                return Ok(Self { workplace: Arc::new(workplace) });
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// A map to be written.
    pub(crate) fn writer(&self) -> io::Result<PageMapWriter> {
        let number = self.workplace.maps.fetch_add(1, Ordering::Relaxed);
        let path = self.workplace.path.join(number.to_string());
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        PageMapWriter::new(file, Temporary { path, workplace: Arc::clone(&self.workplace) })
    }

    /// The map of the content with this hash; `None` if there is none that can be trusted.
    pub(crate) fn verified(&self, hash: ContentHash, keys: &Keys) -> Option<PageMap> {
        PageMap::open(&self.workplace.directory.join(file_name(hash)), hash, keys)
    }

    /// Removes the maps that are not `in_use`, and what runs that crashed have left.
    pub(crate) fn sweep(&self, in_use: &HashSet<ContentHash>) -> io::Result<()> {
        for entry in fs::read_dir(&self.workplace.directory)? {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name());
            let Some(name) = name.to_str() else { continue };
            if name.starts_with(UNFINISHED) && path != self.workplace.path && path.is_dir() {
                remove_if_left(&path)?;
            } else if let Some(hash) = name.strip_suffix(FILE_SUFFIX)
                && hash.parse().is_ok_and(|hash| !in_use.contains(&hash))
            {
                gone(fs::remove_file(&path))?;
            }
        }
        Ok(())
    }
}

// Another process may remove the same.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn remove_if_left(path: &Path) -> io::Result<()> {
    let Ok(lock) = File::open(path) else { return Ok(()) };
    if lock.try_lock().is_ok() { gone(fs::remove_dir_all(path)) } else { Ok(()) }
}

/// Where one run of this program writes.
#[derive(Debug)]
struct Workplace {
    directory: PathBuf,
    path: PathBuf,
    maps: AtomicU64,
    _lock: File,
}

impl Drop for Workplace {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next sweep.
        let _ = fs::remove_dir(&self.path);
    }
}

/// A file that is removed unless it was renamed.
#[derive(Debug)]
pub(super) struct Temporary {
    path: PathBuf,
    workplace: Arc<Workplace>,
}

impl Temporary {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn target(&self, hash: ContentHash) -> PathBuf {
        self.workplace.directory.join(file_name(hash))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests;
