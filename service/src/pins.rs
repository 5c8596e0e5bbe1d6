//! Pins: a restore says which point it reads, so that it stays although somebody forgets it.

use format::ids::{ObjectId, PointId};
use repository::error::RepositoryError;
use repository::pin::{self, Pinned};
use repository::store::MaintainStore;

use crate::engine::{Engine, is_alive, this_process};
use crate::error::ServiceError;

/// Whether a restore keeps its point from being pruned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pinning {
    /// It writes a pin, and removes it at the end. Where the repository cannot be written to, a
    /// warning says so, and the restore goes on without.
    Pin,
    /// It writes nothing to the repository.
    Without,
}

/// A pin, and its id.
pub(crate) struct Held {
    id: ObjectId,
    pinned: Pinned,
}

impl Engine {
    /// Pins a point, if that is wanted and possible.
    ///
    /// # Errors
    /// When the point is forgotten.
    pub(crate) async fn pin(
        &self,
        point: PointId,
        pinning: Pinning,
    ) -> Result<Option<Held>, ServiceError> {
        if pinning == Pinning::Without {
            return Ok(None);
        }
        match self.try_pin(point).await {
            Ok(held) => Ok(Some(held)),
            Err(error @ ServiceError::Repository(RepositoryError::Forgotten(_))) => Err(error),
            Err(error) => {
                // To restore matters more than to be safe from a prune meanwhile.
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the restore goes on without a pin: do not forget the point");
                Ok(None)
            }
        }
    }

    async fn try_pin(&self, point: PointId) -> Result<Held, ServiceError> {
        self.warn_of_store();
        let store = self.location.open_to_maintain().map_err(RepositoryError::from)?;
        self.release_abandoned(store.as_ref()).await?;
        let (id, repository) = (pin::new_id(), self.reader.id());
        self.catalog.record_pin(repository, id, this_process()?).await?;
        let who = (self.host.as_str(), self.machine.clock.now());
        let pinned = Pinned::new(store, &self.reader, (id, &[point]), who).await?;
        Ok(Held { id, pinned })
    }

    /// Takes the pin away. One that stays is removed by a later restore or prune of this host.
    pub(crate) async fn unpin(&self, held: Option<Held>) {
        let Some(Held { id, pinned }) = held else { return };
        if let Err(error) = pinned.release().await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(pin = %id, error, "the restore's pin stays in the repository");
        } else if let Err(error) = self.catalog.forget_pin(self.reader.id(), id).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(pin = %id, error, "the catalog still knows the restore's pin");
        }
    }

    /// Removes the pins of restores of this host that were cut off.
    pub(crate) async fn release_abandoned(
        &self,
        store: &dyn MaintainStore,
    ) -> Result<(), ServiceError> {
        let repository = self.reader.id();
        for (id, process) in self.catalog.pins(repository).await? {
            if !is_alive(process)? {
                pin::remove(store, id).await.map_err(RepositoryError::from)?;
                self.catalog.forget_pin(repository, id).await?;
            }
        }
        Ok(())
    }
}
