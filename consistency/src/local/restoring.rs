//! Which applications have a local snapshot put back into them, or had when somebody died.
//!
//! For each application there is a lock, shared by those who read its volumes and taken by the one who
//! replaces their files, and a note. The note is written before anything is changed and removed when
//! everything is, so one that is there without the lock being held is of somebody who died.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use format::ids::PointId;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::error::{LocalError, failure};
use super::shelf::{Shelf, open_lock, write_whole};

/// A snapshot that is being put back.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Restoring {
    /// The application.
    pub application: String,
    /// The snapshot.
    pub snapshot: PointId,
    /// Snapshots of what was there before, the oldest first: one for each attempt.
    pub before: Vec<PointId>,
    /// Whether files may have been replaced, so that the volumes need not agree.
    pub changing: bool,
}

impl fmt::Display for Restoring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { application, snapshot, before, changing } = self;
        if !changing {
            return write!(f, "local snapshot {snapshot} is being put back into `{application}`");
        }
        write!(
            f,
            "putting local snapshot {snapshot} back into `{application}` was cut off, and its volumes need not agree"
        )?;
        match before.first() {
            Some(before) => write!(f, "; what was there before is {before}"),
            None => Ok(()),
        }
    }
}

/// As long as this lives no snapshot is put back into an application.
#[derive(Debug)]
pub struct Admitted(#[expect(dead_code, reason = "it is held")] File);

/// As long as this lives nobody backs an application up, or puts a snapshot back into it.
#[derive(Debug)]
pub struct Alone(#[expect(dead_code, reason = "it is held")] File);

impl Shelf {
    /// Keeps others from putting a snapshot back into an application.
    ///
    /// # Errors
    /// When somebody is doing that, or was cut off.
    pub fn admit(&self, application: &str) -> Result<Admitted, LocalError> {
        let Some(lock) = self.try_lock(application, FlockOperation::NonBlockingLockShared)? else {
            return Err(LocalError::Restored(application.to_owned()));
        };
        match self.restoring(application)?.filter(|note| note.changing) {
            Some(note) => Err(LocalError::Unfinished(note)),
            None => Ok(Admitted(lock)),
        }
    }

    /// Keeps others from an application.
    ///
    /// # Errors
    /// When somebody backs it up, or puts a snapshot back into it.
    pub fn alone(&self, application: &str) -> Result<Alone, LocalError> {
        let lock = self.try_lock(application, FlockOperation::NonBlockingLockExclusive)?;
        lock.map(Alone).ok_or_else(|| LocalError::InUse(application.to_owned()))
    }

    /// What is going on in an application, or was cut off.
    pub fn restoring(&self, application: &str) -> Result<Option<Restoring>, LocalError> {
        read(&self.note(application))
    }

    /// Writes down what is going on.
    pub fn write_note(&self, note: &Restoring) -> Result<(), LocalError> {
        let path = self.note(&note.application);
        let write = || {
            self.make()?;
            write_whole(&path, note)
        };
        write().map_err(|error| failure("write", &path, error))
    }

    /// Nothing is going on any more.
    pub fn remove_note(&self, application: &str) -> Result<(), LocalError> {
        let path = self.note(application);
        let remove = || {
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                removed => removed?,
            }
            File::open(self.directory())?.sync_all()
        };
        remove().map_err(|error| failure("remove", &path, error))
    }

    /// Who needs this snapshot to come to an end: somebody who was cut off while files were replaced,
    /// or is still at work.
    pub(super) fn needed_by(&self, id: PointId) -> Result<Option<Restoring>, LocalError> {
        let entries =
            fs::read_dir(self.directory()).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        for entry in entries.map_err(|error| failure("read", self.directory(), error))? {
            let path = entry.path();
            if path.extension().is_some_and(|it| it == NOTE)
                && let Some(note) = read(&path)?
                && (note.snapshot == id || note.before.contains(&id))
                && (note.changing || self.is_at_work(&note.application)?)
            {
                return Ok(Some(note));
            }
        }
        Ok(None)
    }

    fn is_at_work(&self, application: &str) -> Result<bool, LocalError> {
        let lock = self.try_lock(application, FlockOperation::NonBlockingLockShared)?;
        Ok(lock.is_none())
    }

    fn note(&self, application: &str) -> PathBuf {
        self.directory().join(key(application)).with_extension(NOTE)
    }

    // `None` while somebody else has it.
    fn try_lock(
        &self,
        application: &str,
        operation: FlockOperation,
    ) -> Result<Option<File>, LocalError> {
        let path = self.directory().join(key(application)).with_extension("lock");
        let lock = || {
            self.make()?;
            let file = open_lock(&path)?;
            match flock(&file, operation) {
                Ok(()) => Ok(Some(file)),
                Err(Errno::WOULDBLOCK) => Ok(None),
                Err(error) => io::Result::Err(error.into()),
            }
        };
        lock().map_err(|error| failure("lock", &path, error))
    }
}

fn read(path: &Path) -> Result<Option<Restoring>, LocalError> {
    let read = || match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        text => io::Result::Ok(Some(serde_json::from_slice(&text?)?)),
    };
    read().map_err(|error| failure("understand", path, error))
}

// A file's name, whatever the application's is.
fn key(application: &str) -> String {
    blake3::hash(application.as_bytes()).to_hex()[..32].to_owned()
}

const NOTE: &str = "restore";
