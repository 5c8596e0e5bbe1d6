//! A repository in the hands of whoever may delete from it.

use std::sync::Arc;

use format::ids::{RepositoryId, SlotId};

use crate::error::RepositoryError;
use crate::reader::Reader;
use crate::store::{MaintainStore, ReadStore, Store};
use crate::unlock::{self, Key, Unlocked};

/// An unlocked repository whose objects can be deleted. It alone keeps the root key, because it
/// makes key slots.
///
/// Not `Clone`: whoever changes who can unlock a repository does it in one place.
#[derive(Debug)]
pub struct Maintainer {
    store: Arc<dyn MaintainStore>,
    unlocked: Unlocked,
}

impl Maintainer {
    /// Unlocks the repository in `store`.
    pub async fn open(store: Arc<dyn MaintainStore>, key: &Key) -> Result<Self, RepositoryError> {
        let unlocked = unlock::unlock(store.as_ref(), key).await?;
        Ok(Self { store, unlocked })
    }

    /// Which repository this is.
    pub fn id(&self) -> RepositoryId {
        self.unlocked.repository
    }

    /// The slot that it was unlocked with.
    pub fn slot(&self) -> SlotId {
        self.unlocked.slot
    }

    /// The same repository, to read from.
    pub fn reader(&self) -> Reader {
        let readable: Arc<dyn ReadStore> = Arc::<dyn MaintainStore>::clone(&self.store);
        Reader::with_keys(readable, self.unlocked.keys())
    }

    /// Where the objects lie, for whoever also writes restore points.
    pub fn writable(&self) -> Arc<dyn Store> {
        Arc::<dyn MaintainStore>::clone(&self.store)
    }

    /// Where the objects lie, for whoever removes some.
    pub fn store(&self) -> &dyn MaintainStore {
        self.store.as_ref()
    }

    pub(crate) fn unlocked(&self) -> &Unlocked {
        &self.unlocked
    }
}
