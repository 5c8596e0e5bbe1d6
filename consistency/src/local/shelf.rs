//! The local snapshots of this host, by their records.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use format::ids::PointId;
use format::raw::RawPath;
use platform::application::Application;
use rustix::fs::{FlockOperation, flock};

use super::error::{LocalError, failure};
use super::record::{Label, LocalSnapshot, LocalVolume, VERSION};
use crate::drivers::Plan;
use crate::places::{self, Lies, Place};
use crate::snapshot::GroupSnapshot;

/// Where the records of the local snapshots lie.
#[derive(Clone, Debug)]
pub struct Shelf(PathBuf);

/// A local snapshot that was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// The snapshot.
    pub snapshot: LocalSnapshot,
    /// The volumes that are not there now; their filesystems may not be mounted.
    pub missing: Vec<RawPath>,
}

impl Shelf {
    /// The one in the directory of a state, which belongs to us alone.
    pub fn inside(state_dir: &Path) -> Self {
        Self(state_dir.join("snapshots"))
    }

    /// The one of snapshots that stay until they are stored elsewhere.
    pub fn of_pending(state_dir: &Path) -> Self {
        Self(state_dir.join("pending"))
    }

    /// Where its records lie.
    pub fn directory(&self) -> &Path {
        &self.0
    }

    /// All local snapshots, the oldest first, also those that are being made or were half removed; and
    /// what cannot be understood, a sentence each.
    pub fn list(&self) -> io::Result<(Vec<Found>, Vec<String>)> {
        let (records, remarks) = self.records()?;
        let mut found: Vec<_> = records.into_iter().map(look).collect();
        found.sort_by_key(|found| (found.snapshot.taken, found.snapshot.id));
        Ok((found, remarks))
    }

    /// Lets a group snapshot stay when this process has ended; what others have left half done is
    /// cleared away first.
    ///
    /// # Errors
    /// Then nothing is left of it.
    pub fn keep(
        &self,
        mut group: GroupSnapshot,
        id: PointId,
        application: &Application,
        label: Label,
    ) -> Result<LocalSnapshot, LocalError> {
        let _lock = self.lock()?;
        self.clear()?;
        let places = group.plan.take().map(Plan::into_places).unwrap_or_default();
        let mut record = LocalSnapshot::of(&group, &places, (id, application, label))?;
        self.write(&record)?;
        let marked = places.iter().try_for_each(|place| {
            place.mark().map_err(|error| failure("write to", place.home(), error))
        });
        record.whole = true;
        if let Err(error) = marked.and_then(|()| self.write(&record)) {
            drop(places);
            self.erase(id)?;
            return Err(error);
        }
        places.into_iter().for_each(Place::stay);
        Ok(record)
    }

    /// Removes a local snapshot; answers what of it could not be removed, and why.
    ///
    /// # Errors
    /// [`LocalError::Needed`] while a restore that was cut off has to be done again.
    pub fn remove(&self, id: PointId) -> Result<Vec<String>, LocalError> {
        let _lock = self.lock()?;
        let Some(mut record) = self.read(id)? else { return Ok(Vec::new()) };
        if let Some(by) = self.needed_by(id)? {
            return Err(LocalError::Needed { id, by });
        }
        record.whole = false;
        match self.write(&record) {
            // This makes room; what dies on the way is half a snapshot, and said to be.
            Err(LocalError::Io { source, .. }) if is_full(&source) => {}
            written => written?,
        }
        self.clear_away(record)
    }

    /// The snapshot of this id, when it is there now.
    pub fn find(&self, id: PointId) -> Result<Option<Found>, LocalError> {
        Ok(self.read(id)?.filter(|record| record.whole).map(look))
    }

    // What is not whole is of somebody who died: who is at work has the lock.
    fn clear(&self) -> Result<(), LocalError> {
        let (records, _) = self.records().map_err(|error| failure("read", &self.0, error))?;
        for record in records.into_iter().filter(|record| !record.whole) {
            for left in self.clear_away(record)? {
                tracing::warn!("{left}");
            }
        }
        Ok(())
    }

    // Directories that are not there now are remembered for the next time.
    fn clear_away(&self, mut record: LocalSnapshot) -> Result<Vec<String>, LocalError> {
        let (mut left, mut rest) = (Vec::new(), Vec::new());
        for (home, place) in record.homes.iter().zip(record.homes()) {
            let told = match places::kept(&place, home.above, record.id) {
                Ok(Lies::Here(_)) => places::remove_kept(&place, record.id),
                Ok(Lies::Nowhere) => continue,
                Ok(Lies::Elsewhere) => Err(io::Error::other("its filesystem is not mounted there")),
                Err(error) => Err(error),
            };
            let told = told.unwrap_or_else(|error| {
                let (id, place) = (record.id, place.display());
                vec![format!(
                    "what `{place}` has of local snapshot {id} cannot be removed: {error}"
                )]
            });
            if !told.is_empty() {
                rest.push(home.clone());
            }
            left.extend(told);
        }
        let places: Vec<_> = record.homes().collect();
        if rest.is_empty() {
            self.erase(record.id)?;
        } else {
            record.homes = rest;
            self.write(&record)?;
        }
        // Not before: a record whose directory is gone would not know that it was removed.
        for place in &places {
            places::remove_home(place);
        }
        Ok(left)
    }

    // Everything in it is ours alone.
    pub(super) fn make(&self) -> io::Result<()> {
        DirBuilder::new().mode(0o700).recursive(true).create(&self.0)
    }

    pub(super) fn lock(&self) -> Result<File, LocalError> {
        let path = self.0.join("records.lock");
        let lock = || {
            self.make()?;
            let file = open_lock(&path)?;
            flock(&file, FlockOperation::LockExclusive)?;
            io::Result::Ok(file)
        };
        lock().map_err(|error| failure("lock", &path, error))
    }

    fn records(&self) -> io::Result<(Vec<LocalSnapshot>, Vec<String>)> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Default::default()),
            entries => entries?,
        };
        let (mut records, mut remarks) = (Vec::new(), Vec::new());
        for entry in entries {
            let path = entry?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let id = stem.and_then(|stem| stem.parse::<PointId>().ok());
            let Some(id) = id.filter(|_| path.extension().is_some_and(|it| it == "json")) else {
                continue;
            };
            match self.read(id) {
                Ok(record) => records.extend(record),
                Err(error) => remarks.push(crate::error::chain(&error)),
            }
        }
        Ok((records, remarks))
    }

    fn read(&self, id: PointId) -> Result<Option<LocalSnapshot>, LocalError> {
        let path = self.record(id);
        let read = || {
            let text = match fs::read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                text => text?,
            };
            let record: LocalSnapshot = serde_json::from_slice(&text)?;
            if record.version != VERSION {
                return Err(io::Error::other("another version of stillpoint wrote it"));
            }
            io::Result::Ok(Some(record))
        };
        read().map_err(|error| failure("understand", &path, error))
    }

    fn write(&self, record: &LocalSnapshot) -> Result<(), LocalError> {
        let path = self.record(record.id);
        write_whole(&path, record).map_err(|error| failure("write", &path, error))
    }

    fn erase(&self, id: PointId) -> Result<(), LocalError> {
        let path = self.record(id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failure("remove", &path, error))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn record(&self, id: PointId) -> PathBuf {
        self.0.join(format!("{id}.json"))
    }
}

/// The file of a lock, made when it is not there.
pub(super) fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Writes a file that is there whole or not at all, also after a power cut.
pub(super) fn write_whole(path: &Path, content: &impl serde::Serialize) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    let written = file.write_all(&serde_json::to_vec(content)?).and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| fs::rename(&new, path)) {
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn look(snapshot: LocalSnapshot) -> Found {
    let is_there =
        |volume: &LocalVolume| snapshot.whole && snapshot.open(volume).is_ok_and(|it| it.is_some());
    let missing = snapshot.volumes.iter().filter(|volume| !is_there(volume));
    let missing = missing.map(|volume| volume.name.clone()).collect();
    Found { snapshot, missing }
}
