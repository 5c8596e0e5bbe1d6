//! What local snapshots are for that stay only until they are stored elsewhere: `<id>.purpose`, beside the
//! record of the snapshot, written before that and removed after it.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use format::ids::PointId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{LocalError, failure};
use super::shelf::{Shelf, write_whole};

impl Shelf {
    /// Writes down what a snapshot is for, before it is kept. Nobody else can read that.
    pub fn write_purpose(&self, id: PointId, purpose: &impl Serialize) -> Result<(), LocalError> {
        let path = self.purpose_path(id);
        let write = || {
            self.make()?;
            write_whole(&path, purpose)
        };
        write().map_err(|error| failure("write", &path, error))
    }

    /// What a snapshot is for, if that was written down.
    pub fn purpose<T: DeserializeOwned>(&self, id: PointId) -> Result<Option<T>, LocalError> {
        let path = self.purpose_path(id);
        let read = || match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            text => io::Result::Ok(Some(serde_json::from_slice(&text?)?)),
        };
        read().map_err(|error| failure("understand", &path, error))
    }

    /// The snapshots of which it was written down what they are for; they need not be there.
    pub fn purposes(&self) -> io::Result<Vec<PointId>> {
        let entries = match fs::read_dir(self.directory()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let is_one = path.extension().is_some_and(|it| it == PURPOSE);
            ids.extend(stem.filter(|_| is_one).and_then(|stem| stem.parse::<PointId>().ok()));
        }
        Ok(ids)
    }

    /// Removes a snapshot, and what it was for; answers what of it could not be removed, and why.
    pub fn remove_with_purpose(&self, id: PointId) -> Result<Vec<String>, LocalError> {
        let left = self.remove(id)?;
        self.remove_purpose(id)?;
        Ok(left)
    }

    /// Has a snapshot of another shelf of this state stay here, whatever it was for there.
    pub fn take_over(&self, other: &Self, id: PointId) -> Result<(), LocalError> {
        let _locks = (other.lock()?, self.lock()?);
        let (from, to) = (other.record(id), self.record(id));
        let rename = || {
            fs::rename(&from, &to)?;
            File::open(self.directory())?.sync_all()
        };
        rename().map_err(|error| failure("move", &from, error))?;
        other.remove_purpose(id)
    }

    fn remove_purpose(&self, id: PointId) -> Result<(), LocalError> {
        let path = self.purpose_path(id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failure("remove", &path, error))
            }
            _ => Ok(()),
        }
    }

    fn purpose_path(&self, id: PointId) -> PathBuf {
        self.directory().join(id.to_string()).with_extension(PURPOSE)
    }
}

const PURPOSE: &str = "purpose";
