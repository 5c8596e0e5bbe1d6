//! A directory as a store: every object a file, synced before it counts.

mod direct;
mod disk;

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use format::ids::PointId;
use format::names::{Folder, ObjectName};

use self::disk::{Disk, Filesystem};
use crate::blocking;
use crate::random;
use crate::store::{Listed, MaintainStore, ReadStore, Store, StoreError};

/// What an unfinished object is called; no repository writes such names.
const UNFINISHED_PREFIX: &str = ".unfinished-";

/// A store in a local directory.
#[derive(Clone, Debug)]
pub struct LocalStore {
    root: PathBuf,
    disk: Arc<dyn Disk>,
}

impl LocalStore {
    /// The store in this directory, which must be there: one that was removed, or whose disk is not
    /// mounted, is not made again.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), disk: Arc::new(Filesystem) }
    }

    /// Makes the directory, where there is none, for a new repository.
    pub async fn make(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let store = Self::new(root);
        let made = store.blocking(|this| this.create_folder(&this.root, None));
        made.await.map_err(|e| store.failed("make directory", store.root.display(), e))?;
        Ok(store)
    }

    fn path(&self, name: ObjectName) -> PathBuf {
        self.root.join(name.to_string())
    }

    // File I/O blocks, so it runs where blocking is allowed.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> T {
        let this = self.clone();
        blocking::run(move || work(&this)).await
    }

    fn failed(&self, action: &str, name: impl std::fmt::Display, source: io::Error) -> StoreError {
        StoreError::Failed {
            action: format!("{action} `{name}`"),
            location: self.location(),
            passing: false,
            source: source.into(),
        }
    }

    fn unreadable(&self, name: ObjectName, error: io::Error) -> StoreError {
        match error.kind() {
            io::ErrorKind::NotFound => StoreError::Missing { name, location: self.location() },
            _ => self.failed("read object", name, error),
        }
    }

    fn create_blocking(&self, name: ObjectName, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path(name);
        let folder = path.parent().unwrap_or(&self.root);
        let failed = |e| self.failed("create object", name, e);
        self.create_folder(folder, Some(&self.root)).map_err(failed)?;
        let unfinished = folder.join(format!("{UNFINISHED_PREFIX}{}", random::file_id()));
        let written = self.write_synced(&unfinished, bytes);
        let written = written.and_then(|()| self.disk.publish(&unfinished, &path));
        if let Err(error) = written {
            // Whatever is left of it only takes space, and is never read.
            let _ = self.disk.remove(&unfinished);
            return Err(match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    StoreError::Exists { name, location: self.location() }
                }
                _ => failed(error),
            });
        }
        // Up to the root: a folder that was found may have been made just before a power cut.
        let mut above = folder.ancestors().take_while(|above| above.starts_with(&self.root));
        above
            .try_for_each(|folder| self.disk.sync_folder(folder))
            .map_err(|source| StoreError::NotDurable { name, location: self.location(), source })
    }

    // The bytes are on the disk before the object has its name: there is never half an object.
    fn write_synced(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = self.disk.write(path, bytes)?;
        self.disk.sync_file(path, &file)
    }

    // Every folder on the way is synced into its parent, or a power cut could lose it with all in
    // it. What is to be there already is not made.
    fn create_folder(&self, folder: &Path, there: Option<&Path>) -> io::Result<()> {
        if folder.as_os_str().is_empty() || folder.is_dir() {
            return Ok(());
        }
        if there == Some(folder) {
            return Err(no_directory());
        }
        let parent = folder.parent().unwrap_or(Path::new("/"));
        self.create_folder(parent, there)?;
        match self.disk.make_folder(folder) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }?;
        self.disk.sync_folder(parent)
    }

    fn delete_blocking(&self, name: ObjectName) -> Result<(), StoreError> {
        if let ObjectName::Session(_, session) = name {
            let removed = self.remove_unfinished(session);
            removed.map_err(|e| self.failed("delete what is unfinished of", name, e))?;
        }
        let path = self.path(name);
        let folder = path.parent().unwrap_or(&self.root);
        // Also where nothing is found: whoever deleted it may have died before the sync.
        let gone = missing_is_fine(self.disk.remove(&path));
        let deleted = gone.and_then(|()| missing_is_fine(self.disk.sync_folder(folder)));
        deleted.map_err(|e| self.failed("delete object", name, e))
    }

    // What a session was writing when its machine stopped: its registration goes when it has ended.
    fn remove_unfinished(&self, session: PointId) -> io::Result<()> {
        for folder in [Folder::Packs, Folder::Indexes] {
            let folder = self.root.join(folder.as_str()).join(session.to_string());
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                if entry.file_name().to_string_lossy().starts_with(UNFINISHED_PREFIX) {
                    missing_is_fine(self.disk.remove(&entry.path()))?;
                }
            }
        }
        Ok(())
    }

    fn list_blocking(&self, folder: Folder) -> Result<Vec<Listed>, StoreError> {
        let mut listed = Vec::new();
        list_below(&self.root.join(folder.as_str()), folder.as_str(), &mut listed)
            // Nothing in a directory that is gone is not the same as nothing in the folder.
            .and_then(|()| if self.root.is_dir() { Ok(()) } else { Err(no_directory()) })
            .map_err(|e| self.failed("list folder", folder.as_str(), e))?;
        Ok(listed)
    }
}

#[async_trait]
impl ReadStore for LocalStore {
    fn location(&self) -> String {
        self.root.display().to_string()
    }

    async fn get(&self, name: ObjectName) -> Result<Bytes, StoreError> {
        self.blocking(move |this| {
            direct::read_range(&this.path(name), 0..u64::MAX).map_err(|e| this.unreadable(name, e))
        })
        .await
    }

    async fn get_range(&self, name: ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.blocking(move |this| {
            let bytes = direct::read_range(&this.path(name), range.clone());
            let bytes = bytes.map_err(|e| this.unreadable(name, e))?;
            if bytes.len() as u64 == range.end.saturating_sub(range.start) {
                Ok(bytes)
            } else {
                Err(StoreError::Short { name, location: this.location(), end: range.end })
            }
        })
        .await
    }

    async fn list(&self, folder: Folder) -> Result<Vec<Listed>, StoreError> {
        self.blocking(move |this| this.list_blocking(folder)).await
    }
}

#[async_trait]
impl Store for LocalStore {
    async fn create(&self, name: ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        self.blocking(move |this| this.create_blocking(name, &bytes)).await
    }
}

#[async_trait]
impl MaintainStore for LocalStore {
    async fn delete(&self, name: ObjectName) -> Result<(), StoreError> {
        self.blocking(move |this| this.delete_blocking(name)).await
    }
}

fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn list_below(path: &Path, name: &str, listed: &mut Vec<Listed>) -> io::Result<()> {
    let entries = match fs::read_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let Ok(file_name) = entry.file_name().into_string() else { continue };
        let name = format!("{name}/{file_name}");
        if entry.file_type()?.is_dir() {
            list_below(&entry.path(), &name, listed)?;
        } else if let Ok(name) = name.parse() {
            listed.push(Listed { name, size: entry.metadata()?.len() });
        }
    }
    Ok(())
}

fn no_directory() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the directory of the repository is not there")
}

#[cfg(test)]
mod tests;
