//! A local snapshot put back: the volumes are made like it, file by file, while nobody uses them.
//!
//! Directories stay the same ones, as what is mounted elsewhere has to. A file is made beside the one
//! that it replaces, and takes its place by a rename. Whatever was done when it is cut off, doing it
//! again comes to the same end.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use format::raw::RawPath;
use format::tree::{FileTime, Stamp};
use platform::files::{
    Dir, FileKind, GlanceKind, Inspected, SNAPSHOT_HOME, apply, apply_open, glance, inspect,
    inspect_open, names_but_ours,
};
use rustix::fs::{renameat, syncfs};
use serde::Serialize;

use super::error::{LocalError, failure};
use super::record::{Kept, LocalSnapshot, LocalVolume, path};
use crate::drivers::{all_applied, clear, share};

/// What was changed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct PutBack {
    /// Files, links and the like that were made anew.
    pub replaced: u64,
    /// Names that were removed.
    pub removed: u64,
    /// Files that were known not to have changed.
    pub unchanged: u64,
}

/// Makes these volumes of an application like a snapshot. Whoever calls this has the application for
/// themselves, and has written down what is going on.
///
/// # Errors
/// Then some files are replaced and others not.
pub fn put_back(
    snapshot: &LocalSnapshot,
    volumes: &BTreeSet<RawPath>,
) -> Result<PutBack, LocalError> {
    let mut done = PutBack::default();
    for volume in snapshot.volumes.iter().filter(|volume| volumes.contains(&volume.name)) {
        let source = path(&volume.source);
        let kept = snapshot.open(volume).map_err(|error| failure("open", &source, error))?;
        let gone = || failure("find", &source, io::ErrorKind::NotFound.into());
        let kept = kept.ok_or_else(gone)?;
        let mut walk =
            Walk::new(snapshot, volume, &kept).map_err(|error| failure("open", &source, error))?;
        let outcome = walk.run(&kept);
        done.replaced += walk.done.replaced;
        done.removed += walk.done.removed;
        done.unchanged += walk.done.unchanged;
        outcome.map_err(|(below, error)| {
            let is_all = below.as_os_str().is_empty();
            let path = if is_all { source.clone() } else { source.join(below) };
            failure("put back", &path, error)
        })?;
        syncfs(&walk.top).map_err(|error| failure("write out", &source, error.into()))?;
    }
    Ok(done)
}

struct Walk {
    /// The directory of the volume, or the one above it where it is a file.
    top: Dir,
    /// The name of the volume there, where it is a file.
    file: Option<Vec<u8>>,
    /// A file with the same number, length and time of change, before this moment, is the same.
    unchanged_before: Option<FileTime>,
    /// The device of the volume's directories.
    device: u64,
    /// Device and number of a kept file with several names → the first of its names in the volume.
    links: HashMap<(u64, u64), First>,
    done: PutBack,
}

/// Of the names of one file, the first that was met.
struct First {
    path: PathBuf,
    /// Whether the file was made anew, so that another name that is as it was has the wrong one.
    is_new: bool,
}

// A directory half-way through. A stack of these instead of recursion: a tree may be deeper than
// the stack of a thread.
struct Level {
    kept: Dir,
    there: Dir,
    names: std::vec::IntoIter<Vec<u8>>,
    path: PathBuf,
}

impl Walk {
    fn new(snapshot: &LocalSnapshot, volume: &LocalVolume, kept: &Kept) -> io::Result<Self> {
        let source = path(&volume.source);
        let (top, file) = if kept.is_directory {
            (Dir::open(&source)?, None)
        } else {
            let name = source.file_name().unwrap_or_default().as_bytes().to_vec();
            (Dir::open(source.parent().unwrap_or(&source))?, Some(name))
        };
        let device = inspect_open(&top)?.device;
        let unchanged_before = snapshot.keeps_numbers(volume);
        let (links, done) = (HashMap::new(), PutBack::default());
        Ok(Self { top, file, unchanged_before, device, links, done })
    }

    fn run(&mut self, kept: &Kept) -> Result<(), (PathBuf, io::Error)> {
        if let Some(name) = self.file.clone() {
            return self.file(kept, &name).map_err(|error| (PathBuf::new(), error));
        }
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error| (path, error)
        };
        let mut root = || {
            let trees = (kept.dir.open_dir(&kept.name)?, self.top.try_clone()?);
            self.enter(trees, PathBuf::new())
        };
        let root = root().map_err(at(Path::new("")))?;
        let mut stack = vec![root];
        while let Some(level) = stack.last_mut() {
            let Some(name) = level.names.next() else {
                level.leave().map_err(at(&level.path))?;
                stack.pop();
                continue;
            };
            let path = level.path.join(OsString::from_vec(name.clone()));
            let below = self.entry(level, &name, &path).map_err(at(&path))?;
            stack.extend(below);
        }
        Ok(())
    }

    // The kept file has another name than the one in use.
    fn file(&mut self, kept: &Kept, name: &[u8]) -> io::Result<()> {
        let (found, top) = (inspect(&kept.dir, &kept.name)?, self.top.try_clone()?);
        clear(&top, NEW)?;
        make((&kept.dir, &kept.name), (&top, NEW), &found)?;
        renameat(&top, NEW, &top, name)?;
        self.done.replaced += 1;
        Ok(())
    }

    // Removes what the snapshot has not, so that what it has finds room.
    fn enter(&mut self, (kept, there): (Dir, Dir), path: PathBuf) -> io::Result<Level> {
        let (mut names, present) = (names_but_ours(&kept)?, names_but_ours(&there)?);
        // Where local snapshots lie nothing is replaced, whatever the snapshot has there.
        let home = SNAPSHOT_HOME.as_bytes();
        names
            .retain(|name| name != home || present.contains(name) || glance(&there, home).is_err());
        // What somebody who was cut off left when the snapshot was taken.
        names.retain(|name| name != NEW);
        for name in present {
            if names.binary_search(&name).is_err() {
                there.remove_all(&name)?;
                self.done.removed += 1;
            }
        }
        Ok(Level { kept, there, names: names.into_iter(), path })
    }

    // Makes one entry like the kept one; answers the level below when it is a directory.
    fn entry(&mut self, level: &Level, name: &[u8], path: &Path) -> io::Result<Option<Level>> {
        let found = inspect(&level.kept, name)?;
        if found.kind != FileKind::Directory {
            self.leaf(&found, (&level.kept, &level.there), name, path)?;
            return Ok(None);
        }
        let there = match glance(&level.there, name) {
            Ok(there) if there.kind == GlanceKind::Directory => {
                if there.device != self.device {
                    return Err(io::Error::other("another filesystem or subvolume is there"));
                }
                level.there.open_dir(name)?
            }
            there => {
                if there.is_ok() {
                    level.there.remove_file(name)?;
                }
                level.there.create_dir(name)?
            }
        };
        self.enter((level.kept.open_dir(name)?, there), path.to_owned()).map(Some)
    }

    fn leaf(
        &mut self,
        found: &Inspected,
        (kept, there): (&Dir, &Dir),
        name: &[u8],
        path: &Path,
    ) -> io::Result<()> {
        let identity = (found.device, found.inode);
        let first = self.links.get(&identity);
        if self.is_unchanged(found, there, name) && first.is_none_or(|first| !first.is_new) {
            self.remember(found, path, false);
            self.done.unchanged += 1;
            return Ok(());
        }
        clear(there, NEW)?;
        if let Some(first) = first {
            let (dir, first) = self.find(&first.path)?;
            there.create_link(NEW, &dir, &first)?;
        } else {
            make((kept, name), (there, NEW), found)?;
            self.remember(found, path, true);
        }
        self.make_room(there, name)?;
        renameat(there, NEW, there, name)?;
        // Of two names of the same file, a rename leaves both.
        clear(there, NEW)?;
        self.done.replaced += 1;
        Ok(())
    }

    fn remember(&mut self, found: &Inspected, path: &Path, is_new: bool) {
        if found.links > 1 {
            let first = || First { path: path.to_owned(), is_new };
            self.links.entry((found.device, found.inode)).or_insert_with(first);
        }
    }

    // No file takes the place of a directory.
    fn make_room(&mut self, dir: &Dir, name: &[u8]) -> io::Result<()> {
        if glance(dir, name).is_ok_and(|there| there.kind == GlanceKind::Directory) {
            dir.remove_all(name)?;
            self.done.removed += 1;
        }
        Ok(())
    }

    // A snapshot of a subvolume has the numbers and times of what it shows.
    fn is_unchanged(&self, kept: &Inspected, there: &Dir, name: &[u8]) -> bool {
        if self.unchanged_before.is_none_or(|before| kept.changed >= before) {
            return false;
        }
        let stamp = Stamp { inode: kept.inode, changed: kept.changed };
        glance(there, name).is_ok_and(|there| there.stamp == stamp && there.size == kept.size)
    }

    // The directory of a path in the volume, no link being followed, and the name there.
    fn find(&self, path: &Path) -> io::Result<(Dir, Vec<u8>)> {
        let mut dir = self.top.try_clone()?;
        for part in path.parent().into_iter().flat_map(Path::components) {
            if let Component::Normal(name) = part {
                dir = dir.open_dir(name.as_bytes())?;
            }
        }
        Ok((dir, path.file_name().unwrap_or_default().as_bytes().to_vec()))
    }
}

impl Level {
    // Last, for making its entries changed the time of the directory.
    fn leave(&self) -> io::Result<()> {
        let metadata = inspect_open(&self.kept)?.metadata;
        all_applied(apply_open(&self.there, &metadata)?)
    }
}

// Makes a new name like what is kept under another one.
fn make(
    (kept, name): (&Dir, &[u8]),
    (there, new): (&Dir, &[u8]),
    found: &Inspected,
) -> io::Result<()> {
    match &found.kind {
        FileKind::File => share(&kept.open_file(name)?, &there.create_file(new)?)?,
        FileKind::Symlink { target } => there.create_symlink(new, target.as_bytes())?,
        FileKind::Directory => return Err(io::ErrorKind::IsADirectory.into()),
        kind => there.create_node(new, kind)?,
    }
    all_applied(apply(there, new, &found.metadata)?)
}

/// The name under which a file is made, before it takes its place.
const NEW: &[u8] = b".stillpoint-new";
