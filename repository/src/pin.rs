//! Pins: a reader says which restore points it reads, so that no prune deletes what they need, even
//! if somebody forgets them meanwhile. See docs/format.md#prune.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use format::control;
use format::ids::{ObjectId, PointId};
use format::names::{Folder, ObjectName};
use format::prune::Pin;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use crate::error::RepositoryError;
use crate::protocol::roots::Forgotten;
use crate::random;
use crate::reader::{FETCHES, Reader};
use crate::store::{MaintainStore, StoreError, create_own};

/// Restore points that stay readable until this is [released](Pinned::release).
///
/// One that is dropped instead leaves its pin in the repository; [`remove`] is for that.
#[derive(Debug)]
pub struct Pinned {
    store: Arc<dyn MaintainStore>,
    name: ObjectName,
}

impl Pinned {
    /// Pins these points on behalf of `who`, under a [new id](new_id). The store is asked to
    /// delete nothing but this pin.
    ///
    /// # Errors
    /// [`RepositoryError::Forgotten`] for a point that was forgotten before: nothing keeps it.
    pub async fn new(
        store: Arc<dyn MaintainStore>,
        reader: &Reader,
        (id, points): (ObjectId, &[PointId]),
        (who, when): (&str, Timestamp),
    ) -> Result<Self, RepositoryError> {
        let name = ObjectName::Pin(id);
        let generation = reader.generation().await?;
        let (who, points) = (who.to_owned(), points.to_vec());
        let pin = Pin { who, when, generation, points, previous: None };
        let bytes = control::seal(reader.keys(), name, &pin, random::bytes())
            .map_err(|error| RepositoryError::damaged(name, error))?;
        create_own(store.as_ref(), name, bytes.into()).await?;
        let pinned = Self { store, name };
        match first_forgotten(reader, &pin.points).await {
            Ok(None) => Ok(pinned),
            Ok(Some(point)) => {
                pinned.release().await?;
                Err(RepositoryError::Forgotten(point))
            }
            Err(error) => {
                // The first error counts.
                let _ = pinned.release().await;
                Err(error)
            }
        }
    }

    /// Takes the pin away.
    pub async fn release(self) -> Result<(), StoreError> {
        self.store.delete(self.name).await
    }
}

/// An id that no other pin has, for whoever wants to remember it before the pin is made.
#[must_use]
pub fn new_id() -> ObjectId {
    random::object_id()
}

/// Every pin that is there, with its id: those of readers at work, and of readers that were cut off.
pub async fn list(reader: &Reader) -> Result<Vec<(ObjectId, Pin)>, RepositoryError> {
    let listed = reader.store().list(Folder::Pins).await?;
    let ids = listed.into_iter().filter_map(|listed| match listed.name {
        ObjectName::Pin(id) => Some(id),
        _ => None,
    });
    let read = async |id| {
        // The reader of one that is gone is done.
        let pin = reader.control_if_there::<Pin>(ObjectName::Pin(id)).await?;
        Ok::<_, RepositoryError>(pin.map(|pin| (id, pin)))
    };
    let pins: Vec<_> = stream::iter(ids).map(read).buffered(FETCHES).try_collect().await?;
    let mut pins: Vec<_> = pins.into_iter().flatten().collect();
    pins.sort_by_key(|(id, pin)| (pin.when, *id));
    Ok(pins)
}

/// Removes the pin of a reader that was cut off. One that is still at work may lose a point that
/// is forgotten; it says so then.
pub async fn remove(store: &dyn MaintainStore, pin: ObjectId) -> Result<(), StoreError> {
    store.delete(ObjectName::Pin(pin)).await
}

// Asked with a listing that is newer than the pin: a prune that does not see the pin sees the point
// as it is in an older one.
async fn first_forgotten(
    reader: &Reader,
    points: &[PointId],
) -> Result<Option<PointId>, RepositoryError> {
    let listed = reader.store().list(Folder::Forgotten).await?;
    let forgotten = Forgotten::listed(listed.into_iter().map(|listed| listed.name));
    Ok(points.iter().copied().find(|point| forgotten.contains(*point)))
}
