//! What the repository's store really does, tried once by every machine that writes to it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use repository::error::RepositoryError;
use repository::location::Location;
use repository::store::probe::{self, Probe};
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::error::ServiceError;

/// What this machine remembers of a store. Whoever removes the file has it tried again.
#[derive(Debug, Deserialize, Serialize)]
struct Known {
    location: String,
    #[serde(flatten)]
    probe: Probe,
}

impl Engine {
    /// What is known of the store. It is tried where this machine knows nothing of it yet: that
    /// creates one small object, which stays, because who may write need not be allowed to delete.
    pub(crate) async fn attach(&self) -> Result<Probe, ServiceError> {
        if let Some(probe) = self.remembered_store() {
            return Ok(probe);
        }
        let (location, path) = (self.location.to_string(), self.store_file());
        let probe = probe::probe(self.store.as_ref()).await.map_err(RepositoryError::from)?;
        if !probe.is_readable() {
            return Err(RepositoryError::UnreadableStore(location).into());
        }
        let known = Known { location, probe };
        if let Err(error) = write(&path, &known) {
            // Next time it is tried once more.
            tracing::warn!(%error, path = %path.display(), "cannot remember what the store does");
        }
        Ok(known.probe)
    }

    /// What this machine remembers of the store; nothing is tried.
    pub(crate) fn remembered_store(&self) -> Option<Probe> {
        let known = read(&self.store_file())?;
        (known.location == self.location.to_string()).then_some(known.probe)
    }

    /// Says on the way, when the store is known to be for a single writer, that something is about
    /// to be written to it.
    pub(crate) fn warn_of_store(&self) {
        if let Some(warning) = self.remembered_store().and_then(|probe| probe.warning()) {
            tracing::warn!("{warning}");
        }
    }

    fn store_file(&self) -> PathBuf {
        self.machine.state_dir.join(FOLDER).join(format!("{}.json", self.reader.id()))
    }
}

/// Whether this machine remembers that the store at a location is for several writers, whichever
/// repository that is, or was.
pub(crate) fn may_be_shared(state_dir: &Path, location: &Location) -> bool {
    let Ok(files) = fs::read_dir(state_dir.join(FOLDER)) else { return false };
    let location = location.to_string();
    let known = files.flatten().filter_map(|file| read(&file.path()));
    let mut known = known.filter(|known| known.location == location).peekable();
    known.peek().is_some() && known.all(|known| known.probe.may_be_shared())
}

/// Where in the state directory that is.
const FOLDER: &str = "stores";

fn read(path: &Path) -> Option<Known> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn write(path: &Path, known: &Known) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, serde_json::to_vec(known)?)
}

#[cfg(test)]
mod tests {
    use repository::store::probe::Shortcoming;

    use super::*;

    #[test]
    fn what_is_remembered_reads_back_and_what_is_torn_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stores/1.json");
        assert!(read(&path).is_none());
        let probe = Probe { shortcomings: vec![Shortcoming::ListsLate] };
        write(&path, &Known { location: "s3://bucket".into(), probe: probe.clone() }).unwrap();
        let known = read(&path).unwrap();
        assert_eq!((known.location.as_str(), &known.probe), ("s3://bucket", &probe));
        let shared = |location: &str| may_be_shared(folder.path(), &location.parse().unwrap());
        assert!(!shared("s3://bucket") && !shared("s3://other"));
        let sound = Known { location: "s3://other".into(), probe: Probe::default() };
        write(&folder.path().join("stores/2.json"), &sound).unwrap();
        assert!(shared("s3://other"));
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(read(&path).is_none());
    }
}
