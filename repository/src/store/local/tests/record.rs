//! What a store did to its disk, and what may be left of it after a power cut.
//!
//! The disk is as bad as POSIX allows: a change to a folder outlives a power cut when that folder
//! was synced after it, the bytes of a file when the file was; anything else may be there or not,
//! in any combination, and bytes may be there in part.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::store::local::disk::{Disk, Filesystem};

/// One thing that was done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Event {
    MakeFolder(PathBuf),
    Write(PathBuf, Vec<u8>),
    SyncFile(PathBuf),
    Publish(PathBuf, PathBuf),
    Remove(PathBuf),
    SyncFolder(PathBuf),
    /// The store said that this object is there for good.
    Created(PathBuf),
    /// The store was asked to delete this object.
    Deleting(PathBuf),
    /// The store said that this object is gone for good.
    Deleted(PathBuf),
}

/// A disk that takes down what is done to it.
#[derive(Debug, Default)]
pub(super) struct Recorder(Mutex<Vec<Event>>);

impl Recorder {
    pub(super) fn add(&self, event: Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn done(&self, result: io::Result<()>, event: Event) -> io::Result<()> {
        if result.is_ok() {
            self.add(event);
        }
        result
    }
}

impl Disk for Recorder {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        self.done(Filesystem.make_folder(folder), Event::MakeFolder(folder.into()))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<File> {
        let file = Filesystem.write(path, bytes)?;
        self.add(Event::Write(path.into(), bytes.to_vec()));
        Ok(file)
    }

    fn sync_file(&self, path: &Path, file: &File) -> io::Result<()> {
        self.done(Filesystem.sync_file(path, file), Event::SyncFile(path.into()))
    }

    fn publish(&self, unfinished: &Path, path: &Path) -> io::Result<()> {
        let event = Event::Publish(unfinished.into(), path.into());
        self.done(Filesystem.publish(unfinished, path), event)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.done(Filesystem.remove(path), Event::Remove(path.into()))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.done(Filesystem.sync_folder(folder), Event::SyncFolder(folder.into()))
    }
}

/// What is on the disk: the files by their paths. Folders without files do not matter.
pub(super) type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A change to the names in a folder, which may not be on the disk yet.
#[derive(Clone, Debug)]
struct Change {
    folder: PathBuf,
    synced: bool,
    added: Option<(PathBuf, Node)>,
    removed: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug)]
enum Node {
    Folder,
    File(usize),
}

/// A disk in the middle of its work.
#[derive(Clone, Debug, Default)]
pub(super) struct Disks {
    changes: Vec<Change>,
    /// The bytes of each file, and whether they are on the disk.
    files: Vec<(Vec<u8>, bool)>,
    /// Where each file is now.
    paths: BTreeMap<PathBuf, usize>,
}

/// What becomes of whatever was not synced.
pub(super) trait Fate {
    /// Whether a change to a folder is on the disk.
    fn keeps_change(&mut self) -> bool;
    /// What is on the disk of the bytes of a file.
    fn leaves(&mut self, bytes: &[u8]) -> Vec<u8>;
}

impl Disks {
    pub(super) fn apply(&mut self, event: &Event) {
        match event {
            Event::MakeFolder(path) => self.change(Some((path, Node::Folder)), None),
            Event::Write(path, bytes) => {
                let file = self.files.len();
                self.files.push((bytes.clone(), false));
                self.paths.insert(path.clone(), file);
                self.change(Some((path, Node::File(file))), None);
            }
            Event::SyncFile(path) => self.files[self.paths[path]].1 = true,
            Event::Publish(from, to) => {
                let file = self.paths.remove(from).unwrap();
                self.paths.insert(to.clone(), file);
                self.change(Some((to, Node::File(file))), Some(from));
            }
            Event::Remove(path) => {
                self.paths.remove(path);
                self.change(None, Some(path));
            }
            Event::SyncFolder(folder) => {
                let of_it = self.changes.iter_mut().filter(|change| change.folder == *folder);
                of_it.for_each(|change| change.synced = true);
            }
            Event::Created(_) | Event::Deleting(_) | Event::Deleted(_) => {}
        }
    }

    fn change(&mut self, added: Option<(&PathBuf, Node)>, removed: Option<&PathBuf>) {
        let path = added.map(|(path, _)| path).or(removed).unwrap();
        self.changes.push(Change {
            folder: path.parent().unwrap().into(),
            synced: false,
            added: added.map(|(path, node)| (path.clone(), node)),
            removed: removed.cloned(),
        });
    }

    /// What is there after a power cut now. `root` was there before all.
    pub(super) fn after_power_cut(&self, root: &Path, fate: &mut dyn Fate) -> Files {
        let mut nodes: BTreeMap<PathBuf, Node> = BTreeMap::new();
        nodes.insert(root.into(), Node::Folder);
        for change in &self.changes {
            if change.synced || fate.keeps_change() {
                change.removed.as_ref().map(|path| nodes.remove(path));
                change.added.as_ref().map(|(path, node)| nodes.insert(path.clone(), *node));
            }
        }
        let left: Vec<_> = self
            .files
            .iter()
            .map(|(bytes, synced)| if *synced { bytes.clone() } else { fate.leaves(bytes) })
            .collect();
        let mut files = Files::new();
        for (path, node) in &nodes {
            let mut above = path.ancestors().skip(1).take_while(|above| above.starts_with(root));
            let is_reached = above.all(|above| nodes.contains_key(above));
            if let (Node::File(file), true) = (node, is_reached) {
                files.insert(path.clone(), left[*file].clone());
            }
        }
        files
    }
}
