//! One volume to be saved, and what is known about it.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use format::raw::RawPath;
use format::tree::{FileTime, Slice, Stamp};
use platform::application::FileTree;
use platform::files::{Dir, Filesystem, Glance, Inspected, StampRule};

use crate::selection::Selection;
use crate::settled::Settled;

/// A volume to be saved.
#[derive(Clone, Debug)]
pub struct Volume {
    /// Its name.
    pub name: RawPath,
    /// Where its files are.
    pub tree: FileTree,
    /// Whether anybody may write its files while they are read.
    pub stillness: Stillness,
    /// The root of the same volume in an earlier point: what is there is not read again.
    pub parent: Option<Vec<Slice>>,
    /// Which of its files are wanted.
    pub selection: Selection,
    /// Where the files lie as the earlier point has them, if they do: on the same filesystem, and nobody
    /// changes them. Of a large file only the blocks are read that lie elsewhere on the disk now.
    pub base: Option<PathBuf>,
    /// Whether to read every file, whatever its stamp.
    pub full: bool,
    /// A directory of this machine where the digests of the pages of this volume's large files are
    /// kept from one point to the next, and nothing else; without it, a large file that was
    /// changed in place is compared by whole slices.
    pub page_maps: Option<PathBuf>,
}

impl Volume {
    /// Whether a name in a directory of the volume is not to be saved, with all below it.
    pub(crate) fn leaves_out(&self, directory: &Path, name: &[u8]) -> bool {
        let (hidden, selection) = (&self.tree.hidden, &self.selection);
        // Where there are no rules, no path is made.
        if hidden.is_empty() && !selection.excludes_any() {
            return false;
        }
        let path = join(directory, name);
        hidden.contains(&path) || selection.is_excluded(&path)
    }

    /// Where a file lies as the parent has it.
    pub(crate) fn base(&self, directory: &Path, name: &[u8]) -> Option<PathBuf> {
        let base = self.base.as_ref().filter(|_| !self.full)?;
        // A volume that is one file has no name.
        if name.is_empty() { Some(base.clone()) } else { Some(base.join(join(directory, name))) }
    }

    /// What lies elsewhere and belongs to the volume under this name.
    pub(crate) fn graft(&self, directory: &Path, name: &[u8]) -> Option<&Path> {
        let grafts = &self.tree.grafts;
        if grafts.is_empty() {
            return None;
        }
        grafts.get(&join(directory, name)).map(PathBuf::as_path)
    }
}

/// The path of a name in a directory.
pub(crate) fn join(directory: &Path, name: &[u8]) -> PathBuf {
    directory.join(OsStr::from_bytes(name))
}

/// Whether anybody may write the files of a volume while they are read.
#[derive(Clone, Copy, Debug)]
pub enum Stillness {
    /// They are a snapshot that was begun at this moment.
    Snapshot(FileTime),
    /// They are read where they are used, from this moment on.
    Live(FileTime),
    /// They are read where they are used, while nobody can write them, after they were read live
    /// since this moment.
    Still(FileTime),
}

impl Stillness {
    fn moment(self) -> FileTime {
        match self {
            Self::Snapshot(moment) | Self::Live(moment) | Self::Still(moment) => moment,
        }
    }
}

/// The stamps of the files of one volume.
#[derive(Debug)]
pub(crate) struct Stamps {
    stillness: Stillness,
    settled: Settled,
    originals: Option<Arc<HashMap<(u64, u64), Stamp>>>,
    /// The devices that have copies; all their files are.
    copied: HashSet<u64>,
    filesystems: Mutex<HashMap<u64, Filesystem>>,
}

impl Stamps {
    pub(crate) fn new(stillness: Stillness, settled: Settled, tree: &FileTree) -> Self {
        let originals = tree.originals.clone();
        let all = originals.iter().flat_map(|originals| originals.keys());
        let copied = all.map(|(device, _)| *device).collect();
        Self { stillness, settled, originals, copied, filesystems: Mutex::default() }
    }

    /// What is known of the filesystem of a directory. Must be asked for every directory before any
    /// of its files is read: what is dirty on a filesystem in use is written out first.
    pub(crate) fn meet(&self, device: u64, directory: &Dir) -> Filesystem {
        let mut known = self.filesystems.lock().unwrap_or_else(PoisonError::into_inner);
        *known.entry(device).or_insert_with(|| match Filesystem::of(directory) {
            Filesystem::Stamping if !self.is_settled(device, directory) => Filesystem::Other,
            filesystem => filesystem,
        })
    }

    /// Whether anybody may be writing the files right now.
    pub(crate) fn are_of_files_in_use(&self) -> bool {
        matches!(self.stillness, Stillness::Live(_))
    }

    fn is_settled(&self, device: u64, directory: &Dir) -> bool {
        match self.stillness {
            Stillness::Snapshot(_) => true,
            Stillness::Live(now) => self.settled.settle(now, device, directory),
            // Inside a freeze nothing is done that can wait.
            Stillness::Still(since) => self.settled.is_since(since, device),
        }
    }

    /// The stamp by which a file is compared with the parent point.
    pub(crate) fn current(&self, glance: &Glance) -> Option<Stamp> {
        self.original((glance.device, glance.stamp.inode), glance.stamp)
    }

    /// The stamp to record of an open file.
    pub(crate) fn record(&self, found: &Inspected) -> Option<Stamp> {
        let own = Stamp { inode: found.inode, changed: found.changed };
        let stamp = self.original((found.device, found.inode), own)?;
        let known = self.filesystems.lock().unwrap_or_else(PoisonError::into_inner);
        let filesystem = known.get(&found.device).copied().unwrap_or(Filesystem::Other);
        StampRule::at(self.stillness.moment()).record(stamp, filesystem)
    }

    fn original(&self, file: (u64, u64), own: Stamp) -> Option<Stamp> {
        match &self.originals {
            Some(originals) if self.copied.contains(&file.0) => originals.get(&file).copied(),
            _ => Some(own),
        }
    }
}
