//! The door of a repository: made once, unlocked by whoever holds a key.

mod leftovers;

use bytes::Bytes;
use format::descriptor::Descriptor;
use format::ids::{RepositoryId, SlotId};
use format::keys::{Keys, RootKey};
use format::names::{Folder, ObjectName};
use format::slot::{Inscription, SLOT_BYTES_MAX, Slot, SlotError};

pub use format::slot::{Key, KeyFile, Kind, Passphrase, RecoveryKey};

use crate::blocking;
use crate::error::RepositoryError;
use crate::random;
use crate::store::{Listed, MaintainStore, ReadStore, Store, StoreError, create_own};

/// A key that a slot is to be made for.
#[derive(Clone, Debug)]
pub struct NewSlot {
    /// The key.
    pub key: Key,
    /// What people will read in the list of slots.
    pub inscription: Inscription,
}

/// The random content of a new key file.
pub fn new_key_file() -> KeyFile {
    KeyFile::new(random::bytes())
}

/// A new, random recovery key.
pub fn new_recovery_key() -> RecoveryKey {
    RecoveryKey::new(random::bytes())
}

/// Makes a new, empty repository that opens with this key, and with the others. Key slots that are
/// there from an attempt that was cut off are removed: they open for nobody.
pub async fn create(
    store: &dyn MaintainStore,
    first: NewSlot,
    others: Vec<NewSlot>,
) -> Result<RepositoryId, RepositoryError> {
    let location = store.location();
    match store.get(ObjectName::Descriptor).await {
        Ok(_) => {
            leftovers::clear_unused(store, &first.key).await;
            return Err(RepositoryError::AlreadyExists(location));
        }
        Err(StoreError::Missing { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let repository = random::repository_id();
    let root = RootKey::new(random::bytes());
    let mut slots = Vec::new();
    for new in std::iter::once(first).chain(others) {
        slots.push(store_slot(store, (&root, repository), new).await?);
    }
    // The descriptor last: without it there is no repository, with it there is one that opens.
    let descriptor = Descriptor::new(repository).to_bytes();
    match create_own(store, ObjectName::Descriptor, descriptor.into()).await {
        Err(StoreError::Exists { .. }) => {
            leftovers::remove(store, slots).await;
            return Err(RepositoryError::AlreadyExists(location));
        }
        created => created?,
    }
    // From now on no other attempt can succeed, so what is not of this one is of no use.
    leftovers::clear(store, &Keys::derive(&root, repository), &slots).await;
    Ok(repository)
}

/// A repository that a key has opened. It holds the root key, so it is not for those who only read
/// or write restore points.
#[derive(Debug)]
pub(crate) struct Unlocked {
    pub(crate) root: RootKey,
    pub(crate) repository: RepositoryId,
    /// The slot that opened.
    pub(crate) slot: SlotId,
}

impl Unlocked {
    /// The keys below the root key.
    pub(crate) fn keys(&self) -> Keys {
        Keys::derive(&self.root, self.repository)
    }
}

/// Opens the repository with `key`, trying every slot of its kind.
pub(crate) async fn unlock(store: &dyn ReadStore, key: &Key) -> Result<Unlocked, RepositoryError> {
    let location = store.location();
    let descriptor = match store.get(ObjectName::Descriptor).await {
        Err(StoreError::Missing { .. }) => return Err(RepositoryError::NotFound(location)),
        descriptor => descriptor?,
    };
    let repository = Descriptor::parse(&descriptor)
        .map_err(|source| RepositoryError::Unusable { location: location.clone(), source })?
        .repository();
    let mut wrong = false;
    let mut failure = None;
    let mut readable = false;
    for listed in list(store).await? {
        // A slot that is damaged or unknown must not keep a good one from opening.
        let slot = match read(store, listed).await {
            Ok(slot) => slot,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "passing over a key slot");
                failure = Some(error);
                continue;
            }
        };
        readable = true;
        if slot.kind() != key.kind() {
            continue;
        }
        let id = slot.id();
        match open(slot, repository, key).await {
            Ok(root) => return Ok(Unlocked { root, repository, slot: id }),
            Err(SlotError::WrongKey { .. }) => wrong = true,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "passing over a key slot");
                failure = Some(slots_error(store, Some(error)));
            }
        }
    }
    let kind = key.kind();
    Err(match failure {
        _ if wrong => RepositoryError::WrongKey { location, kind },
        Some(failure) => failure,
        None if readable => RepositoryError::NoSlot { location, kind },
        None => slots_error(store, None),
    })
}

/// Wraps the root key in a new slot and stores it; returns the slot's id.
pub(crate) async fn store_slot(
    store: &dyn Store,
    (root, repository): (&RootKey, RepositoryId),
    new: NewSlot,
) -> Result<SlotId, RepositoryError> {
    let (root, id) = (root.clone(), random::slot_id());
    // Stretching a passphrase takes a second of computing.
    let wrapping = blocking::run(move || {
        Slot::wrap((&root, repository), id, &new.key, new.inscription, random::bytes())
    });
    let slot = wrapping.await.map_err(|error| slots_error(store, Some(error)))?;
    create_own(store, ObjectName::Slot(id), slot.to_bytes().into()).await?;
    Ok(id)
}

/// The objects that are called slots, in the order of their ids.
pub(crate) async fn list(store: &dyn ReadStore) -> Result<Vec<(SlotId, Listed)>, RepositoryError> {
    let listed = store.list(Folder::Slots).await?;
    let slot = |listed: Listed| match listed.name {
        ObjectName::Slot(slot) => Some((slot, listed)),
        _ => None,
    };
    let mut slots: Vec<_> = listed.into_iter().filter_map(slot).collect();
    slots.sort_unstable();
    Ok(slots)
}

/// Reads one of them.
pub(crate) async fn read(
    store: &dyn ReadStore,
    listed: (SlotId, Listed),
) -> Result<Slot, RepositoryError> {
    Ok(read_with_bytes(store, listed).await?.0)
}

/// The same, with what is stored.
pub(crate) async fn read_with_bytes(
    store: &dyn ReadStore,
    (slot, listed): (SlotId, Listed),
) -> Result<(Slot, Bytes), RepositoryError> {
    if listed.size > SLOT_BYTES_MAX {
        return Err(slots_error(store, Some(SlotError::Damaged(slot))));
    }
    let bytes = store.get(listed.name).await?;
    let parsed = Slot::parse(slot, &bytes).map_err(|error| slots_error(store, Some(error)))?;
    Ok((parsed, bytes))
}

/// The root key in a slot.
pub(crate) async fn open(
    slot: Slot,
    repository: RepositoryId,
    key: &Key,
) -> Result<RootKey, SlotError> {
    let key = key.clone();
    blocking::run(move || slot.unwrap(repository, &key)).await
}

fn slots_error(store: &(impl ReadStore + ?Sized), source: Option<SlotError>) -> RepositoryError {
    RepositoryError::Slots { location: store.location(), source }
}

#[cfg(test)]
pub(crate) mod tests {
    use format::slot::Label;

    use super::*;
    use crate::store::remote::RemoteStore;

    /// A key file's key; unlike a passphrase it costs nothing.
    pub(crate) fn file(byte: u8) -> Key {
        Key::File(KeyFile::new([byte; 32]))
    }

    pub(crate) fn new(key: Key) -> NewSlot {
        let created = "2026-03-01T12:00:00Z".parse().unwrap();
        NewSlot { key, inscription: Inscription { label: Label::default(), created } }
    }

    fn passphrase(text: &str) -> Key {
        Key::Passphrase(Passphrase::new(text))
    }

    #[tokio::test]
    async fn only_the_right_passphrase_opens() {
        let store = RemoteStore::in_memory();
        let right = passphrase("right");
        assert!(matches!(unlock(&store, &right).await, Err(RepositoryError::NotFound(_))));
        let repository = create(&store, new(right.clone()), Vec::new()).await.unwrap();
        assert_eq!(unlock(&store, &right).await.unwrap().repository, repository);
        let wrong = unlock(&store, &passphrase("wrong")).await;
        assert!(matches!(wrong, Err(RepositoryError::WrongKey { .. })));
    }

    #[tokio::test]
    async fn every_kind_of_key_opens_the_same() {
        let store = RemoteStore::in_memory();
        let keys = [passphrase("a"), file(1), Key::Recovery(new_recovery_key())];
        let others = keys[1..].iter().cloned().map(new).collect();
        create(&store, new(keys[0].clone()), others).await.unwrap();
        let mut names = Vec::new();
        for key in &keys {
            names.push(unlock(&store, key).await.unwrap().keys().chunk_id(b"x"));
        }
        assert!(names.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[tokio::test]
    async fn a_kind_without_a_slot_is_named() {
        let store = RemoteStore::in_memory();
        create(&store, new(file(1)), Vec::new()).await.unwrap();
        let error = unlock(&store, &passphrase("a")).await.unwrap_err();
        assert!(matches!(error, RepositoryError::NoSlot { kind: Kind::Passphrase, .. }));
        assert!(error.to_string().contains("opens with a passphrase"), "{error}");
    }

    #[tokio::test]
    async fn damaged_unknown_and_huge_slots_do_not_keep_a_good_one_from_opening() {
        let store = RemoteStore::in_memory();
        let huge = vec![b' '; 1 << 20];
        let unknown = br#"{ "slot": "0000000000000001", "kind": "tpm", "algorithm": "tpm2" }"#;
        for (id, content) in [(0, &b"no slot"[..]), (1, unknown), (2, &huge)] {
            let name = ObjectName::Slot(SlotId::new(u64::to_be_bytes(id)));
            store.create(name, content.to_vec().into()).await.unwrap();
        }
        create(&store, new(file(1)), Vec::new()).await.unwrap();
        assert!(unlock(&store, &file(1)).await.is_ok());
        let wrong = unlock(&store, &file(2)).await;
        assert!(matches!(wrong, Err(RepositoryError::WrongKey { .. })), "{wrong:?}");
    }

    #[tokio::test]
    async fn a_repository_with_unknown_slots_only_says_so() {
        let store = RemoteStore::in_memory();
        let descriptor = Descriptor::new(RepositoryId::new([1; 16])).to_bytes();
        store.create(ObjectName::Descriptor, descriptor.into()).await.unwrap();
        let none = unlock(&store, &file(1)).await.unwrap_err();
        assert!(matches!(none, RepositoryError::Slots { source: None, .. }), "{none:?}");
        let unknown = r#"{ "slot": "0000000000000001", "kind": "tpm", "algorithm": "tpm2" }"#;
        let name = ObjectName::Slot(SlotId::new(u64::to_be_bytes(1)));
        store.create(name, unknown.into()).await.unwrap();
        let error = unlock(&store, &file(1)).await.unwrap_err();
        let RepositoryError::Slots { source: Some(source), .. } = error else { panic!("{error}") };
        assert!(matches!(source, SlotError::UnknownKind { .. }), "{source}");
    }

    #[tokio::test]
    async fn a_repository_is_made_once() {
        let store = RemoteStore::in_memory();
        create(&store, new(file(1)), Vec::new()).await.unwrap();
        let again = create(&store, new(file(2)), Vec::new()).await;
        assert!(matches!(again, Err(RepositoryError::AlreadyExists(_))));
        assert!(unlock(&store, &file(1)).await.is_ok());
    }
}
