//! Where tables are kept between two openings: a directory that several processes share.
//!
//! A table gets its name when it is finished, by a rename, and is never changed. Its name follows
//! from the segments it is made of, so two processes that make the same table at once end with
//! one. A table that is removed stays readable for whoever has it open.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use format::ids::Digest;
use format::keys::Keys;

use super::row::SegmentName;
use super::table::{Cover, Table};
use crate::random;

const EXTENSION: &str = "table";
/// What is not finished, or never gets a name at all.
const UNFINISHED: &str = "unfinished";
/// How often the directory is read when tables vanish while it is read.
const ROUNDS: usize = 3;

/// The tables of one repository.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    keys: Arc<Keys>,
    folder: Option<PathBuf>,
}

impl Shelf {
    /// The tables below `cache`; without one, every table is made anew and lost in the end.
    pub(super) fn new(keys: &Arc<Keys>, cache: Option<&Path>) -> Self {
        let folder = |cache: &Path| cache.join(keys.repository().to_string()).join("index");
        Self { keys: Arc::clone(keys), folder: cache.map(folder) }
    }

    /// The shelf for when this one cannot be written.
    pub(super) fn without_folder(&self) -> Self {
        Self { folder: None, ..self.clone() }
    }

    pub(super) fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    pub(super) fn has_folder(&self) -> bool {
        self.folder.is_some()
    }

    /// Where tables are written.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.clone().unwrap_or_else(std::env::temp_dir)
    }

    /// The tables that provide some of the `listed` segments. All others are removed, and so is
    /// what is damaged or was never finished.
    pub(super) fn tables(&self, listed: &HashSet<SegmentName>) -> Vec<Table> {
        let Some(folder) = &self.folder else { return Vec::new() };
        for _ in 0..ROUNDS {
            if let Some(tables) = self.read(folder, listed) {
                return tables;
            }
        }
        Vec::new()
    }

    // `None` when a table vanished: then another process has merged it into a new one.
    fn read(&self, folder: &Path, listed: &HashSet<SegmentName>) -> Option<Vec<Table>> {
        let mut covers = Vec::new();
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            let extension = path.extension().and_then(|extension| extension.to_str());
            match extension {
                Some(EXTENSION) => match self.open(&path) {
                    Ok(cover) => covers.push(cover),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
                    Err(error) => reject(&path, &error),
                },
                Some(UNFINISHED) => remove_abandoned(&path),
                _ => {}
            }
        }
        // The ones that save most first: what they provide, smaller ones need not.
        let live = |cover: &Cover| cover.segments().iter().filter(|s| listed.contains(s)).count();
        covers.sort_by_cached_key(|cover| std::cmp::Reverse(live(cover)));
        let (mut wanted, mut tables) = (listed.clone(), Vec::new());
        for cover in covers {
            let path = cover.path().map(Path::to_owned).unwrap_or_default();
            if !cover.segments().iter().any(|segment| wanted.contains(segment)) {
                remove(&path);
                continue;
            }
            match cover.load() {
                Ok(mut table) => {
                    table.adopt(&mut wanted);
                    tables.push(table);
                }
                Err(error) => reject(&path, &error),
            }
        }
        Some(tables)
    }

    /// An empty file that has no name and vanishes with its last user.
    pub(super) fn spool(&self) -> io::Result<File> {
        let path = self.unfinished()?;
        let file = create(&path)?;
        match fs::remove_file(&path) {
            // Another process took it for an abandoned one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(file),
            removed => removed.map(|()| file),
        }
    }

    /// Makes a table of these segments with `write`, which gets an empty file, and keeps it.
    pub(super) fn make(
        &self,
        segments: &[SegmentName],
        write: impl FnOnce(&File) -> io::Result<()>,
    ) -> io::Result<Table> {
        let Some(folder) = self.folder.as_ref().filter(|_| !segments.is_empty()) else {
            let file = self.spool()?;
            write(&file)?;
            return Cover::open(file, None, &self.keys)?.load();
        };
        let unfinished = Unfinished(self.unfinished()?);
        let file = create(&unfinished.0)?;
        // Held while it is written, so that another process can tell it from an abandoned one.
        file.lock()?;
        write(&file)?;
        let path = folder.join(self.name(segments));
        // Not synced: a table that a power cut spoils is found damaged, and made again.
        let path = match fs::rename(&unfinished.0, &path) {
            // Another process took it for an abandoned one, before it was locked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            renamed => Some(renamed.map(|()| path)?),
        };
        file.unlock()?;
        Cover::open(file, path, &self.keys)?.load()
    }

    fn open(&self, path: &Path) -> io::Result<Cover> {
        Cover::open(File::open(path)?, Some(path.to_owned()), &self.keys)
    }

    fn unfinished(&self) -> io::Result<PathBuf> {
        if let Some(folder) = &self.folder {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        Ok(self.path().join(format!("stillpoint-{}.{UNFINISHED}", random::file_id())))
    }

    fn name(&self, segments: &[SegmentName]) -> String {
        let mut segments = segments.to_vec();
        segments.sort_unstable();
        let names: Vec<u8> = segments.iter().flat_map(|segment| segment.to_bytes()).collect();
        format!("{}.{EXTENSION}", Digest::new(self.keys.cache_tag(&names)))
    }
}

/// Removes a table, if it can be; one that stays is found useless again.
pub(super) fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::debug!(path = %path.display(), %error, "an old table stays");
    }
}

/// Removes a table that cannot be used.
pub(super) fn reject(path: &Path, error: &io::Error) {
    tracing::warn!(path = %path.display(), %error, "a table of the index is made again");
    // One that cannot be read at all may be readable for another user.
    if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) {
        remove(path);
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

// Whoever writes a table has it locked.
fn remove_abandoned(path: &Path) {
    if File::open(path).is_ok_and(|file| file.try_lock().is_ok()) {
        remove(path);
    }
}

/// A file that is removed unless it got another name.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Usually it was renamed.
        let _ = fs::remove_file(&self.0);
    }
}
