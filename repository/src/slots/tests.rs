//! Adding and removing slots, also with a rival and with a store that fails.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use format::names::Folder;

use super::*;
use crate::store::remote::RemoteStore;
use crate::store::{MaintainStore, ReadStore, Store};
use crate::unlock::tests::{file, new};
use crate::unlock::{Key, create, unlock};

async fn opened<S: MaintainStore + 'static>(store: &Arc<S>, keys: u8) -> Maintainer {
    let others = (2..=keys).map(|byte| new(file(byte))).collect();
    create(store.as_ref(), new(file(1)), others).await.unwrap();
    let store: Arc<dyn MaintainStore> = Arc::<S>::clone(store);
    Maintainer::open(store, &file(1)).await.unwrap()
}

async fn slot_of(store: &dyn ReadStore, key: &Key) -> SlotId {
    unlock(store, key).await.unwrap().slot
}

#[tokio::test]
async fn a_slot_that_was_added_opens_and_one_that_was_removed_does_not() {
    let store = Arc::new(RemoteStore::in_memory());
    let maintainer = opened(&store, 1).await;
    let added = add(&maintainer, new(file(2))).await.unwrap();
    assert_eq!(slot_of(store.as_ref(), &file(2)).await, added);
    let rows = list(&maintainer).await.unwrap();
    assert!(rows.iter().all(|row| row.state == SlotState::Good && row.kind == Some(Kind::KeyFile)));
    let current: Vec<_> = rows.iter().filter(|row| row.current).map(|row| row.slot).collect();
    assert_eq!(current, [maintainer.slot()]);

    remove(&maintainer, added, InUse::Keep).await.unwrap();
    assert!(unlock(store.as_ref(), &file(2)).await.is_err());
    assert!(unlock(store.as_ref(), &file(1)).await.is_ok());
    let again = remove(&maintainer, added, InUse::Keep).await;
    assert!(matches!(again, Err(RepositoryError::UnknownSlot(_))));
}

#[tokio::test]
async fn the_last_slot_stays_and_the_one_in_use_must_be_meant() {
    let store = Arc::new(RemoteStore::in_memory());
    let maintainer = opened(&store, 1).await;
    let own = maintainer.slot();
    for in_use in [InUse::Keep, InUse::Remove] {
        let last = remove(&maintainer, own, in_use).await;
        assert!(matches!(last, Err(RepositoryError::LastSlot(_))), "{last:?}");
    }
    add(&maintainer, new(file(2))).await.unwrap();
    let in_use = remove(&maintainer, own, InUse::Keep).await;
    assert!(matches!(in_use, Err(RepositoryError::SlotInUse(_))), "{in_use:?}");
    remove(&maintainer, own, InUse::Remove).await.unwrap();
    assert!(unlock(store.as_ref(), &file(1)).await.is_err());
    assert!(unlock(store.as_ref(), &file(2)).await.is_ok());
}

#[tokio::test]
async fn a_slot_that_opens_for_nobody_does_not_count_as_another_one() {
    let store = Arc::new(RemoteStore::in_memory());
    let maintainer = opened(&store, 1).await;
    // A whole slot of another repository, and one with another label.
    let other = RemoteStore::in_memory();
    create(&other, new(file(2)), Vec::new()).await.unwrap();
    let foreign = slot_of(&other, &file(2)).await;
    let bytes = other.get(ObjectName::Slot(foreign)).await.unwrap();
    store.create(ObjectName::Slot(foreign), bytes).await.unwrap();
    let own = store.get(ObjectName::Slot(maintainer.slot())).await.unwrap();
    let forged = String::from_utf8(own.to_vec()).unwrap();
    let forged = forged.replace(&maintainer.slot().to_string(), "00000000000000aa");
    let name = ObjectName::Slot("00000000000000aa".parse().unwrap());
    store.create(name, forged.into()).await.unwrap();

    let rows = list(&maintainer).await.unwrap();
    let damaged = rows.iter().filter(|row| row.state == SlotState::Damaged).count();
    assert_eq!((rows.len(), damaged), (3, 2), "{rows:?}");
    let last = remove(&maintainer, maintainer.slot(), InUse::Remove).await;
    assert!(matches!(last, Err(RepositoryError::LastSlot(_))), "{last:?}");
    remove(&maintainer, foreign, InUse::Keep).await.unwrap();
}

#[tokio::test]
async fn two_who_remove_the_last_two_slots_leave_one() {
    let rival = Arc::new(Rival::default());
    let maintainer = opened(&rival, 2).await;
    let other = slot_of(rival.as_ref(), &file(2)).await;
    rival.strikes.store(true, Ordering::Relaxed);
    let removed = remove(&maintainer, other, InUse::Keep).await;
    assert!(matches!(removed, Err(RepositoryError::LastSlot(_))), "{removed:?}");
    assert!(unlock(rival.as_ref(), &file(2)).await.is_ok());
}

#[tokio::test]
async fn a_slot_that_does_not_read_back_is_not_called_added() {
    let rival = Arc::new(Rival::default());
    let maintainer = opened(&rival, 1).await;
    rival.garbles.store(true, Ordering::Relaxed);
    let added = add(&maintainer, new(file(2))).await;
    assert!(matches!(added, Err(RepositoryError::UselessSlot { .. })), "{added:?}");
}

/// A store that somebody else works on, too.
#[derive(Debug)]
struct Rival {
    inner: RemoteStore,
    /// Whether whoever deletes one slot finds that all others were deleted at the same time.
    strikes: AtomicBool,
    /// Whether what is read is not what was stored.
    garbles: AtomicBool,
}

impl Default for Rival {
    fn default() -> Self {
        let inner = RemoteStore::in_memory();
        Self { inner, strikes: false.into(), garbles: false.into() }
    }
}

#[async_trait]
impl ReadStore for Rival {
    fn location(&self) -> String {
        self.inner.location()
    }

    async fn get(&self, name: ObjectName) -> Result<Bytes, StoreError> {
        let bytes = self.inner.get(name).await?;
        let garbled = || String::from_utf8_lossy(&bytes).replace("\"label\": \"", "\"label\": \"x");
        Ok(if self.garbles.load(Ordering::Relaxed) { garbled().into() } else { bytes })
    }

    async fn get_range(&self, name: ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.inner.get_range(name, range).await
    }

    async fn list(&self, folder: Folder) -> Result<Vec<Listed>, StoreError> {
        self.inner.list(folder).await
    }
}

#[async_trait]
impl Store for Rival {
    async fn create(&self, name: ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        self.inner.create(name, bytes).await
    }
}

#[async_trait]
impl MaintainStore for Rival {
    async fn delete(&self, name: ObjectName) -> Result<(), StoreError> {
        self.inner.delete(name).await?;
        if self.strikes.load(Ordering::Relaxed) {
            for other in self.inner.list(Folder::Slots).await? {
                self.inner.delete(other.name).await?;
            }
        }
        Ok(())
    }
}
