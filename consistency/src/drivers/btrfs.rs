//! Snapshots of btrfs subvolumes: one call each, however much they hold.
//!
//! A snapshot has an empty directory where another subvolume lies, so those are snapshotted too
//! and put in its place. They are looked for inside the freeze, for that takes microseconds and
//! none made since the preparation is missed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use platform::files::mounts::Mounted;
use platform::files::{Dir, SNAPSHOT_HOME};

use super::ioctl;
use crate::error::SnapshotError;
use crate::places::Place;

/// A path as a place in its subvolume.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Location {
    /// The root directory of the subvolume.
    pub(super) subvolume: PathBuf,
    /// Device number of the subvolume, which no other has.
    pub(super) device: u64,
    /// The path below the root directory.
    pub(super) inside: PathBuf,
}

/// A subvolume and those below it, as of the snapshot.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Family {
    /// Where the snapshot of the subvolume is.
    pub(super) root: PathBuf,
    /// Path below its root directory → where the snapshot of the subvolume there is.
    pub(super) nested: BTreeMap<PathBuf, PathBuf>,
}

/// The subvolume that holds a path; `None` when its root directory cannot be seen from there.
pub(super) fn locate(mount: &Mounted, path: &Path) -> io::Result<Option<Location>> {
    let device = std::fs::metadata(path)?.dev();
    for above in path.ancestors().take_while(|above| above.starts_with(&mount.point)) {
        let metadata = std::fs::metadata(above)?;
        if metadata.dev() != device {
            break;
        }
        if metadata.is_dir() && metadata.ino() == ROOT_INODE {
            let inside = path.strip_prefix(above).unwrap_or(Path::new("")).to_owned();
            return Ok(Some(Location { subvolume: above.to_owned(), device, inside }));
        }
    }
    Ok(None)
}

/// A subvolume to snapshot.
#[derive(Clone, Debug)]
pub(super) struct Subvolume {
    /// Its root directory.
    pub(super) root: PathBuf,
    /// Device number, which no other subvolume has.
    pub(super) device: u64,
    /// Paths below the root; the subvolumes at or below them belong to the snapshot.
    pub(super) wanted: Vec<PathBuf>,
    /// Where other filesystems are mounted on it, hiding what lies there.
    pub(super) covered: Vec<PathBuf>,
}

impl Subvolume {
    /// Snapshots it as `name` and those below it as `name.1`, `name.2` and so on.
    pub(super) fn snapshot(&self, place: &Place, name: &str) -> Result<Family, SnapshotError> {
        let mut family = Family { root: place.path(name), nested: BTreeMap::new() };
        snapshot_one(&self.root, place, name)?;
        let mut pending = vec![PathBuf::new()];
        while let Some(parent) = pending.pop() {
            for below in children(&self.root.join(&parent))? {
                let below = parent.join(below);
                if self.needs(&below) {
                    let name = format!("{name}.{}", family.nested.len() + 1);
                    snapshot_one(&self.root.join(&below), place, &name)?;
                    family.nested.insert(below.clone(), place.path(&name));
                    pending.push(below);
                }
            }
        }
        Ok(family)
    }

    // Our own snapshots are subvolumes, too.
    fn needs(&self, below: &Path) -> bool {
        let path = self.root.join(below);
        self.wanted.iter().any(|wanted| below.starts_with(wanted))
            && !self.covered.iter().any(|covered| path.starts_with(covered))
            && !below.iter().any(|part| part == SNAPSHOT_HOME)
    }
}

fn snapshot_one(subvolume: &Path, place: &Place, name: &str) -> Result<(), SnapshotError> {
    let failure = |source| failure("snapshot", subvolume, source);
    let source = Dir::open(subvolume).map_err(failure)?;
    ioctl::create_snapshot(place.dir().as_fd(), name, source.as_fd())
        .map_err(|errno| failure(errno.into()))
}

fn children(subvolume: &Path) -> Result<Vec<PathBuf>, SnapshotError> {
    let failure = |source| failure("list the subvolumes of", subvolume, source);
    let dir = Dir::open(subvolume).map_err(failure)?;
    let paths = ioctl::children(dir.as_fd()).and_then(|children| {
        let path = |child| ioctl::child_path(dir.as_fd(), child);
        children.into_iter().map(path).collect::<Result<Vec<_>, _>>()
    });
    let paths = paths.map_err(|errno| failure(errno.into()))?;
    Ok(paths.into_iter().map(|path| PathBuf::from(OsString::from_vec(path))).collect())
}

fn failure(action: &'static str, path: &Path, source: io::Error) -> SnapshotError {
    SnapshotError::Io { action, path: path.to_owned(), source }
}

// The inode number of the root directory of every subvolume.
const ROOT_INODE: u64 = 256;
