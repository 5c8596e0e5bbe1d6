//! The door of a repository: made once, unlocked by whoever holds a key.

use std::fmt;

use format::descriptor::Descriptor;
use format::ids::RepositoryId;
use format::keys::{Keys, RootKey};
use format::names::{Folder, ObjectName};
use format::slot::{PassphraseSlot, SlotError};
use zeroize::Zeroizing;

use crate::blocking;
use crate::error::RepositoryError;
use crate::random;
use crate::store::{ReadStore, Store, StoreError, create_own};

/// What a person types to unlock a repository. It never shows in any output.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// The passphrase with these bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Makes a new, empty repository that opens with `passphrase`.
pub async fn create(
    store: &dyn Store,
    passphrase: &Passphrase,
) -> Result<RepositoryId, RepositoryError> {
    let location = store.location();
    match store.get(ObjectName::Descriptor).await {
        Ok(_) => return Err(RepositoryError::AlreadyExists(location)),
        Err(StoreError::Missing { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let (repository, slot) = (random::repository_id(), random::slot_id());
    let root = RootKey::new(random::bytes());
    let passphrase = passphrase.clone();
    // Stretching a passphrase takes a second of computing.
    let key_slot = blocking::run(move || {
        PassphraseSlot::wrap(&root, repository, slot, &passphrase.0, random::bytes())
    })
    .await
    .map_err(|source| RepositoryError::Slots {
        location: location.clone(),
        source: Some(source),
    })?;
    let name = ObjectName::Slot(slot);
    let key_slot =
        serde_json::to_vec_pretty(&key_slot).map_err(|e| RepositoryError::damaged(name, e))?;
    create_own(store, name, key_slot.into()).await?;
    // The descriptor last: without it there is no repository, with it there is one that opens.
    let descriptor = Descriptor::new(repository).to_bytes();
    match create_own(store, ObjectName::Descriptor, descriptor.into()).await {
        Err(StoreError::Exists { .. }) => Err(RepositoryError::AlreadyExists(location)),
        result => Ok(result.map(|()| repository)?),
    }
}

/// Opens the repository's keys with `passphrase`, trying every slot.
pub(crate) async fn unlock(
    store: &dyn ReadStore,
    passphrase: &Passphrase,
) -> Result<Keys, RepositoryError> {
    let location = store.location();
    let descriptor = match store.get(ObjectName::Descriptor).await {
        Err(StoreError::Missing { .. }) => return Err(RepositoryError::NotFound(location)),
        descriptor => descriptor?,
    };
    let repository = Descriptor::parse(&descriptor)
        .map_err(|source| RepositoryError::Unusable { location: location.clone(), source })?
        .repository();
    let mut failure = RepositoryError::Slots { location: location.clone(), source: None };
    for listed in store.list(Folder::Slots).await? {
        // A slot that is damaged must not keep a good one from opening.
        match try_slot(store, listed.name, repository, passphrase).await {
            Ok(root) => return Ok(Keys::derive(&root, repository)),
            Err(SlotFailure::Slot(SlotError::WrongPassphrase(_))) => {
                failure = RepositoryError::WrongPassphrase(location.clone());
            }
            Err(SlotFailure::Slot(error)) => {
                let (location, source) = (location.clone(), Some(error));
                failure = RepositoryError::Slots { location, source };
            }
            Err(SlotFailure::Object(error)) => failure = error,
        }
    }
    Err(failure)
}

enum SlotFailure {
    Object(RepositoryError),
    Slot(SlotError),
}

async fn try_slot(
    store: &dyn ReadStore,
    name: ObjectName,
    repository: RepositoryId,
    passphrase: &Passphrase,
) -> Result<RootKey, SlotFailure> {
    let bytes = store.get(name).await.map_err(|e| SlotFailure::Object(e.into()))?;
    let slot: PassphraseSlot = serde_json::from_slice(&bytes)
        .map_err(|e| SlotFailure::Object(RepositoryError::damaged(name, e)))?;
    let passphrase = passphrase.clone();
    let opening = blocking::run(move || slot.unwrap(repository, &passphrase.0));
    opening.await.map_err(SlotFailure::Slot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::remote::RemoteStore;

    #[tokio::test]
    async fn only_the_right_passphrase_opens() {
        let store = RemoteStore::in_memory();
        let right = Passphrase::new("right");
        assert!(matches!(unlock(&store, &right).await, Err(RepositoryError::NotFound(_))));
        let repository = create(&store, &right).await.unwrap();
        assert_eq!(unlock(&store, &right).await.unwrap().repository(), repository);
        let wrong = unlock(&store, &Passphrase::new("wrong")).await;
        assert!(matches!(wrong, Err(RepositoryError::WrongPassphrase(_))));
    }

    #[tokio::test]
    async fn a_damaged_slot_does_not_keep_a_good_one_from_opening() {
        let store = RemoteStore::in_memory();
        for id in [[0; 8], [0xff; 8]] {
            let name = ObjectName::Slot(format::ids::SlotId::new(id));
            store.create(name, "no slot".into()).await.unwrap();
        }
        create(&store, &Passphrase::new("a")).await.unwrap();
        assert!(unlock(&store, &Passphrase::new("a")).await.is_ok());
    }

    #[tokio::test]
    async fn a_repository_is_made_once() {
        let store = RemoteStore::in_memory();
        create(&store, &Passphrase::new("a")).await.unwrap();
        let again = create(&store, &Passphrase::new("b")).await;
        assert!(matches!(again, Err(RepositoryError::AlreadyExists(_))));
        assert!(unlock(&store, &Passphrase::new("a")).await.is_ok());
    }

    #[test]
    fn a_passphrase_does_not_show() {
        assert_eq!(format!("{:?}", Passphrase::new("secret")), "Passphrase(..)");
    }
}
