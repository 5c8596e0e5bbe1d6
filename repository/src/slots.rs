//! The key slots of a repository: who can unlock it.
//!
//! # Invariants
//! - A slot that is reported as added was read back from the store and opened with its key.
//! - There is always a slot that is known to open: the last one is not removed, and whoever removes
//!   one while somebody else removes the others puts it back.

use bytes::Bytes;
use format::ids::SlotId;
use format::names::ObjectName;
use format::slot::{Kind, Slot, SlotError};
use jiff::Timestamp;
use serde::Serialize;

use crate::error::RepositoryError;
use crate::maintainer::Maintainer;
use crate::store::{Listed, StoreError, create_own};
use crate::unlock::{self, NewSlot};

/// One slot in a list.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct SlotRow {
    /// Its id.
    pub slot: SlotId,
    /// What opens it; absent where that is not known.
    pub kind: Option<Kind>,
    /// What people call it.
    pub label: String,
    /// When it was made; absent where that is not known.
    pub created: Option<Timestamp>,
    /// Whether the repository was unlocked with it just now.
    pub current: bool,
    /// What is known about it.
    pub state: SlotState,
}

/// What is known about a slot without its key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlotState {
    /// It was altered, or is of another repository, and opens for nobody.
    Damaged,
    /// It opens for whoever has its key.
    Good,
    /// It is of a kind that this version does not know.
    Unknown,
}

/// Whether the slot that the repository was unlocked with may be removed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InUse {
    /// Keep it: the key at hand is the one that is known to be there.
    Keep,
    /// Remove it as well.
    Remove,
}

/// The slots of the repository, the oldest first.
pub async fn list(maintainer: &Maintainer) -> Result<Vec<SlotRow>, RepositoryError> {
    let mut rows = Vec::new();
    for listed in unlock::list(maintainer.store()).await? {
        rows.extend(row(maintainer, listed).await?);
    }
    // Those whose age is not known come last.
    rows.sort_by_key(|row| (row.created.is_none(), row.created, row.slot));
    Ok(rows)
}

/// Adds a slot, and opens it once with its key; returns its id.
pub async fn add(maintainer: &Maintainer, new: NewSlot) -> Result<SlotId, RepositoryError> {
    let (store, unlocked) = (maintainer.store(), maintainer.unlocked());
    let key = new.key.clone();
    let id = unlock::store_slot(store, (&unlocked.root, unlocked.repository), new).await?;
    let useless = |source| RepositoryError::UselessSlot { slot: id, source };
    let bytes = store.get(ObjectName::Slot(id)).await?;
    let slot = Slot::parse(id, &bytes).map_err(useless)?;
    let root = unlock::open(slot.clone(), unlocked.repository, &key).await.map_err(useless)?;
    // Only the root key that made the proof can repeat it.
    if slot.is_proven(&root, unlocked.repository) && is_good(maintainer, &slot) {
        Ok(id)
    } else {
        Err(useless(SlotError::Damaged(id)))
    }
}

/// Removes a slot: its key unlocks nothing any more.
pub async fn remove(
    maintainer: &Maintainer,
    slot: SlotId,
    in_use: InUse,
) -> Result<(), RepositoryError> {
    let store = maintainer.store();
    let rows = list(maintainer).await?;
    let row = rows.iter().find(|row| row.slot == slot);
    let row = row.ok_or(RepositoryError::UnknownSlot(slot))?;
    let others = rows.iter().filter(|row| row.slot != slot);
    if row.state == SlotState::Good && !others.into_iter().any(|r| r.state == SlotState::Good) {
        return Err(RepositoryError::LastSlot(slot));
    }
    if row.current && in_use == InUse::Keep {
        return Err(RepositoryError::SlotInUse(slot));
    }
    let name = ObjectName::Slot(slot);
    let bytes: Bytes = match store.get(name).await {
        Err(StoreError::Missing { .. }) => return Err(RepositoryError::UnknownSlot(slot)),
        bytes => bytes?,
    };
    store.delete(name).await?;
    // Two who remove the last two slots at once would each have seen the other's.
    let left = list(maintainer).await;
    if left.as_ref().is_ok_and(|rows| rows.iter().any(|row| row.state == SlotState::Good)) {
        return Ok(());
    }
    create_own(store, name, bytes).await?;
    left.and(Err(RepositoryError::LastSlot(slot)))
}

// Nothing for a slot that was removed meanwhile.
async fn row(
    maintainer: &Maintainer,
    (slot, listed): (SlotId, Listed),
) -> Result<Option<SlotRow>, RepositoryError> {
    let current = slot == maintainer.slot();
    let found = match unlock::read(maintainer.store(), (slot, listed)).await {
        Ok(found) => found,
        Err(RepositoryError::Store(StoreError::Missing { .. })) => return Ok(None),
        Err(RepositoryError::Slots { source, .. }) => {
            let unknown = matches!(source, Some(SlotError::UnknownKind { .. }));
            let state = if unknown { SlotState::Unknown } else { SlotState::Damaged };
            let (kind, label, created) = (None, String::new(), None);
            return Ok(Some(SlotRow { slot, kind, label, created, current, state }));
        }
        Err(error) => return Err(error),
    };
    let state = if is_good(maintainer, &found) { SlotState::Good } else { SlotState::Damaged };
    let (kind, created) = (Some(found.kind()), Some(found.created()));
    let label = found.label().to_string();
    Ok(Some(SlotRow { slot, kind, label, created, current, state }))
}

fn is_good(maintainer: &Maintainer, slot: &Slot) -> bool {
    let unlocked = maintainer.unlocked();
    slot.is_proven(&unlocked.root, unlocked.repository)
}

#[cfg(test)]
mod tests;
