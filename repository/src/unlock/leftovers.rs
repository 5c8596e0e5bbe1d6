//! Key slots that attempts to make a repository have left behind: nobody has what they open.
//!
//! None of this may fail: the repository is as good with them, only that a check names them.

use format::ids::SlotId;
use format::keys::Keys;
use format::names::{Folder, ObjectName};

use super::{Key, list, read_with_bytes, unlock};
use crate::error::RepositoryError;
use crate::store::MaintainStore;

/// What a repository has as soon as somebody has used it.
const USED: [Folder; 6] = [
    Folder::Sessions,
    Folder::Outcomes,
    Folder::Forgotten,
    Folder::Generations,
    Folder::Packs,
    Folder::Indexes,
];

/// Removes the slots that were not made for the repository with these keys; never one of `own`,
/// whatever is read of it.
pub(super) async fn clear(store: &dyn MaintainStore, keys: &Keys, own: &[SlotId]) {
    match foreign(store, keys, own).await {
        Ok(slots) => remove(store, slots).await,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "key slots of an attempt that was cut off may be left");
        }
    }
}

/// The same for a repository that exists, if this key opens it and nobody has used it: whoever made
/// it may have been cut off before the slots of an earlier attempt were removed. In a repository that
/// was used, what looks like one is evidence.
pub(super) async fn clear_unused(store: &dyn MaintainStore, key: &Key) {
    for folder in USED {
        if !store.list(folder).await.is_ok_and(|listed| listed.is_empty()) {
            return;
        }
    }
    if let Ok(unlocked) = unlock(store, key).await {
        clear(store, &unlocked.keys(), &[unlocked.slot]).await;
    }
}

/// Removes these slots.
pub(super) async fn remove(store: &dyn MaintainStore, slots: Vec<SlotId>) {
    for slot in slots {
        match store.delete(ObjectName::Slot(slot)).await {
            Ok(()) => tracing::info!(%slot, "removed a key slot of an attempt that was cut off"),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(%slot, error, "cannot remove a key slot that opens for nobody");
            }
        }
    }
}

// Only what is whole, and reads so twice: a bad read must not cost anybody a key.
async fn foreign(
    store: &dyn MaintainStore,
    keys: &Keys,
    own: &[SlotId],
) -> Result<Vec<SlotId>, RepositoryError> {
    let mut foreign = Vec::new();
    for listed in list(store).await?.into_iter().filter(|(slot, _)| !own.contains(slot)) {
        let Ok((slot, bytes)) = read_with_bytes(store, listed).await else { continue };
        if !slot.is_proven_by(keys) && store.get(listed.1.name).await? == bytes {
            foreign.push(listed.0);
        }
    }
    Ok(foreign)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{file, new};
    use super::super::{create, store_slot};
    use super::*;
    use crate::check::{Finding, check};
    use crate::random;
    use crate::reader::Reader;
    use crate::store::remote::RemoteStore;
    use format::keys::RootKey;
    use std::sync::Arc;

    async fn findings(store: &Arc<RemoteStore>) -> Vec<Finding> {
        let reader = Reader::open(Arc::<RemoteStore>::clone(store), &file(1)).await.unwrap();
        check(&reader, false).await.unwrap().findings
    }

    async fn cut_off(store: &RemoteStore) -> SlotId {
        let root = RootKey::new(random::bytes());
        let of = (&root, random::repository_id());
        store_slot(store, of, new(file(1))).await.unwrap()
    }

    #[tokio::test]
    async fn what_an_attempt_has_left_that_was_cut_off_goes_with_the_next() {
        let store = Arc::new(RemoteStore::in_memory());
        cut_off(&store).await;
        create(store.as_ref(), new(file(1)), vec![new(file(2))]).await.unwrap();
        assert_eq!(findings(&store).await, []);
        assert_eq!(list(store.as_ref()).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn an_attempt_after_one_that_was_cut_off_late_removes_what_is_left() {
        let store = Arc::new(RemoteStore::in_memory());
        create(store.as_ref(), new(file(1)), Vec::new()).await.unwrap();
        let left = cut_off(&store).await;
        let named = |finding: &Finding| match finding {
            Finding::DamagedRecord { object, .. } => *object == ObjectName::Slot(left),
            _ => false,
        };
        assert!(findings(&store).await.iter().all(named));
        // Whoever cannot open it removes nothing.
        for (key, is_left) in [(2, true), (1, false)] {
            let again = create(store.as_ref(), new(file(key)), Vec::new()).await;
            assert!(matches!(again, Err(RepositoryError::AlreadyExists(_))), "{again:?}");
            assert_eq!(!findings(&store).await.is_empty(), is_left);
        }
    }

    #[tokio::test]
    async fn in_a_repository_that_was_used_a_strange_slot_is_evidence() {
        let store = Arc::new(RemoteStore::in_memory());
        create(store.as_ref(), new(file(1)), Vec::new()).await.unwrap();
        let reader = Reader::open(Arc::<RemoteStore>::clone(&store), &file(1)).await.unwrap();
        let writable: Arc<dyn crate::store::Store> = Arc::<RemoteStore>::clone(&store);
        crate::writer::Writer::register(writable, &reader, "here").await.unwrap();
        cut_off(&store).await;
        let again = create(store.as_ref(), new(file(1)), Vec::new()).await;
        assert!(matches!(again, Err(RepositoryError::AlreadyExists(_))), "{again:?}");
        assert_eq!(findings(&store).await.len(), 1);
    }
}
