//! Who can unlock a repository: it is made with its first keys, and keys are added, removed and
//! rotated.

use std::path::PathBuf;

use format::ids::{RepositoryId, SlotId};
use format::names::ObjectName;
use format::slot::{Inscription, Kind, Label};
use jiff::Timestamp;
use repository::error::RepositoryError;
use repository::location::Location;
use repository::maintainer::Maintainer;
use repository::slots::{self, InUse, SlotRow};
use repository::store::{Store, probe};
use repository::unlock::{self, Key, NewSlot};
use serde::Serialize;

use crate::clock;
use crate::error::ServiceError;
use crate::key::{KeyFileError, NewKey, PrintedKey};

/// A repository that was made.
#[derive(Debug)]
pub struct Initialised {
    /// Which one.
    pub repository: RepositoryId,
    /// The recovery key, unless none was wanted; nobody can ask for it again.
    pub recovery_key: Option<PrintedKey>,
    /// What the user should know about its store.
    pub warnings: Vec<String>,
}

/// A key that was added.
#[derive(Debug, Serialize)]
pub struct Added {
    /// Its slot.
    pub slot: SlotId,
    /// What kind of key it is.
    pub kind: Kind,
    /// What the slot is called.
    pub label: String,
    /// The key file that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// The recovery key that was made; nobody can ask for it again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_key: Option<PrintedKey>,
    /// The slot that is removed as soon as this is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<SlotId>,
}

/// Makes a new, empty repository that opens with `first`, and with a recovery key if one is wanted.
pub async fn init(
    location: &Location,
    first: &NewKey,
    with_recovery: bool,
) -> Result<Initialised, ServiceError> {
    let created = now();
    let slot = |key| NewSlot { key, inscription: Inscription { label: Label::default(), created } };
    let recovery = with_recovery.then(|| NewKey::Recovery.make()).transpose()?;
    let recovery_key = recovery.as_ref().and_then(|key| PrintedKey::of(&NewKey::Recovery, key));
    let key = first.make()?;
    let slots = (slot(key), recovery.map(slot).into_iter().collect());
    match make(location, slots).await {
        Ok((repository, warnings)) => Ok(Initialised { repository, recovery_key, warnings }),
        Err(error @ RepositoryError::AlreadyExists(_)) => {
            // Of no use to anybody, and in the way of the next try.
            if let NewKey::File(path) = first {
                std::fs::remove_file(path)
                    .map_err(|source| KeyFileError::Unwritable { path: path.clone(), source })?;
            }
            Err(error.into())
        }
        Err(error) => Err(error.into()),
    }
}

async fn make(
    location: &Location,
    (first, others): (NewSlot, Vec<NewSlot>),
) -> Result<(RepositoryId, Vec<String>), RepositoryError> {
    let store = location.make().await?;
    let warnings = try_store(store.as_ref()).await?;
    Ok((unlock::create(store.as_ref(), first, others).await?, warnings))
}

// What the user should know about a store that is to hold a repository.
async fn try_store(store: &dyn Store) -> Result<Vec<String>, RepositoryError> {
    // There is a repository: it is not tried, and not made.
    if store.get(ObjectName::Descriptor).await.is_ok() {
        return Ok(Vec::new());
    }
    let found = probe::probe(store).await?;
    if !found.is_readable() {
        return Err(RepositoryError::UnreadableStore(store.location()));
    }
    Ok(found.warning().into_iter().collect())
}

/// The keys of a repository that was unlocked with one of them.
#[derive(Debug)]
pub struct Keyring {
    maintainer: Maintainer,
}

impl Keyring {
    /// Unlocks the repository.
    pub async fn open(location: &Location, key: &Key) -> Result<Self, ServiceError> {
        let store = location.open_to_maintain().map_err(RepositoryError::from)?;
        Ok(Self { maintainer: Maintainer::open(store, key).await? })
    }

    /// Every slot, the oldest first.
    pub async fn list(&self) -> Result<Vec<SlotRow>, ServiceError> {
        Ok(slots::list(&self.maintainer).await?)
    }

    /// Adds a key, and opens its slot once with it.
    pub async fn add(&self, new: &NewKey, label: Label) -> Result<Added, ServiceError> {
        let key = new.make()?;
        let (kind, recovery_key) = (key.kind(), PrintedKey::of(new, &key));
        let key_file = match new {
            NewKey::File(path) => Some(path.clone()),
            _ => None,
        };
        let inscription = Inscription { label: label.clone(), created: now() };
        let slot = slots::add(&self.maintainer, NewSlot { key, inscription }).await?;
        let label = label.to_string();
        Ok(Added { slot, kind, label, key_file, recovery_key, replaces: None })
    }

    /// Removes the slot whose id starts so, and returns its id.
    pub async fn remove(&self, start: &str, in_use: InUse) -> Result<SlotId, ServiceError> {
        let slot = choose(self.list().await?, start)?.slot;
        slots::remove(&self.maintainer, slot, in_use).await?;
        Ok(slot)
    }

    /// Puts a new key in the place of the slot whose id starts so, with its label unless another is
    /// given.
    ///
    /// The new key is added, opened, and told to `tell` before the old one is removed: whatever
    /// fails in between leaves both.
    pub async fn rotate(
        &self,
        start: &str,
        new: &NewKey,
        label: Option<Label>,
        tell: impl FnOnce(&Added) -> Result<(), ServiceError>,
    ) -> Result<(), ServiceError> {
        let old = choose(self.list().await?, start)?;
        // What stood on the old slot was a label; on a damaged one it may be nothing.
        let label = label.or_else(|| old.label.parse().ok()).unwrap_or_default();
        let added = self.add(new, label).await?;
        tell(&Added { replaces: Some(old.slot), ..added })?;
        Ok(slots::remove(&self.maintainer, old.slot, InUse::Remove).await?)
    }
}

// Nobody needs to know when a slot was made to the nanosecond.
fn now() -> Timestamp {
    let now = clock::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

fn choose(rows: Vec<SlotRow>, start: &str) -> Result<SlotRow, ServiceError> {
    let start = start.to_ascii_lowercase();
    let fits = |row: &SlotRow| !start.is_empty() && row.slot.to_string().starts_with(&start);
    let mut fitting: Vec<_> = rows.into_iter().filter(fits).collect();
    match (fitting.pop(), fitting.len()) {
        (Some(row), 0) => Ok(row),
        (None, _) => Err(ServiceError::UnknownSlot(start)),
        (Some(_), others) => Err(ServiceError::AmbiguousSlot { start, count: others + 1 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeySource;

    #[tokio::test]
    async fn a_rotation_that_stops_in_between_leaves_both_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let location = Location::Directory(path("repository"));
        init(&location, &NewKey::File(path("old")), false).await.unwrap();
        let key = |name: &str| KeySource::File(path(name)).read().unwrap();
        let keyring = Keyring::open(&location, &key("old")).await.unwrap();
        let old = keyring.maintainer.slot().to_string();

        let new = NewKey::File(path("new"));
        let stopped = keyring.rotate(&old, &new, None, |_| Err(ServiceError::NoRepository)).await;
        assert!(matches!(stopped, Err(ServiceError::NoRepository)), "{stopped:?}");
        for name in ["old", "new"] {
            let keyring = Keyring::open(&location, &key(name)).await.unwrap();
            assert_eq!(keyring.list().await.unwrap().len(), 2);
        }

        let newer = NewKey::File(path("newer"));
        keyring.rotate(&old, &newer, None, |_| Ok(())).await.unwrap();
        assert!(Keyring::open(&location, &key("newer")).await.is_ok());
        let gone = Keyring::open(&location, &key("old")).await.unwrap_err();
        assert!(
            matches!(gone, ServiceError::Repository(RepositoryError::WrongKey { .. })),
            "{gone:?}"
        );
    }

    #[tokio::test]
    async fn a_repository_that_exists_takes_no_new_key_file() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Directory(folder.path().join("repository"));
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        init(&location, &NewKey::File(first.clone()), true).await.unwrap();
        assert!(init(&location, &NewKey::File(second.clone()), true).await.is_err());
        assert!(first.exists() && !second.exists());
        let key = KeySource::File(first).read().unwrap();
        assert_eq!(Keyring::open(&location, &key).await.unwrap().list().await.unwrap().len(), 2);
    }
}
