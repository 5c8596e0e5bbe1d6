//! One volume to be saved, and what is known about it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use format::raw::RawPath;
use format::tree::{FileTime, Slice, Stamp};
use platform::application::FileTree;
use platform::files::{Dir, Glance, Inspected};

use crate::filesystem::Filesystem;
use crate::selection::Selection;
use crate::stamp::StampRule;

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
}

/// The stamps of the files of one volume.
#[derive(Debug)]
pub(crate) struct Stamps {
    rule: StampRule,
    originals: Option<Arc<HashMap<(u64, u64), Stamp>>>,
    filesystems: Mutex<HashMap<u64, Filesystem>>,
}

impl Stamps {
    pub(crate) fn new(rule: StampRule, tree: &FileTree) -> Self {
        let originals = tree.originals.clone();
        Self { rule, originals, filesystems: Mutex::default() }
    }

    /// Whether a directory lies on a filesystem without data. Must be asked for every directory
    /// before any of its files.
    pub(crate) fn is_pseudo(&self, device: u64, directory: &Dir) -> bool {
        let mut known = self.filesystems.lock().unwrap_or_else(PoisonError::into_inner);
        *known.entry(device).or_insert_with(|| Filesystem::of(directory)) == Filesystem::Pseudo
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
        self.rule.record(stamp, filesystem)
    }

    fn original(&self, file: (u64, u64), own: Stamp) -> Option<Stamp> {
        match &self.originals {
            Some(originals) => originals.get(&file).copied(),
            None => Some(own),
        }
    }
}
