//! A repository to read from, and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use format::control;
use format::ids::{PointId, RepositoryId};
use format::index::IndexSegment;
use format::keys::Keys;
use format::manifest::Manifest;
use format::names::{Folder, ObjectName, PackName};
use format::session::{Outcome, SessionEnd};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::error::RepositoryError;
use crate::store::{ReadStore, StoreError};
use crate::unlock::{self, Key};

/// How many small objects are fetched at once.
pub(crate) const FETCHES: usize = 16;

/// An unlocked repository that can only be read.
#[derive(Clone, Debug)]
pub struct Reader {
    store: Arc<dyn ReadStore>,
    keys: Arc<Keys>,
}

impl Reader {
    /// Unlocks the repository in `store`.
    pub async fn open(store: Arc<dyn ReadStore>, key: &Key) -> Result<Self, RepositoryError> {
        // The root key ends here: what reads and writes needs only what follows from it.
        let unlocked = unlock::unlock(store.as_ref(), key).await?;
        Ok(Self { store, keys: Arc::new(unlocked.keys()) })
    }

    /// A file name for what a cache keeps about something. It tells nobody what that is.
    pub fn cache_name(&self, about: &[u8]) -> String {
        self.keys.digest(about).to_string()
    }

    /// Which repository this is.
    pub fn id(&self) -> RepositoryId {
        self.keys.repository()
    }

    /// The sessions that have ended, committed or not, in the order of their ids. Whether a point
    /// exists is for [`Reader::point`] to say.
    pub async fn sessions(&self) -> Result<Vec<PointId>, RepositoryError> {
        let listed = self.store.list(Folder::Outcomes).await?;
        let point = |name| match name {
            ObjectName::Outcome(point) => Some(point),
            _ => None,
        };
        let mut points: Vec<_> = listed.into_iter().filter_map(|l| point(l.name)).collect();
        points.sort_unstable();
        Ok(points)
    }

    /// The manifest of a restore point; `None` for a session that a prune has ended.
    pub async fn point(&self, point: PointId) -> Result<Option<Manifest>, RepositoryError> {
        let name = ObjectName::Outcome(point);
        let bytes = match self.store.get(name).await {
            Err(StoreError::Missing { .. }) => return Err(RepositoryError::UnknownPoint(point)),
            bytes => bytes?,
        };
        let outcome: Outcome = self.open_control(name, &bytes)?;
        match outcome.end {
            SessionEnd::Commit(manifest) if manifest.point == point => Ok(Some(*manifest)),
            SessionEnd::Commit(_) => Err(RepositoryError::damaged(name, "it names another point")),
            SessionEnd::Fenced => Ok(None),
        }
    }

    pub(crate) fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    pub(crate) fn store(&self) -> &dyn ReadStore {
        self.store.as_ref()
    }

    /// The packs that are there, with their sizes.
    pub(crate) async fn packs(&self) -> Result<BTreeMap<PackName, u64>, RepositoryError> {
        let listed = self.store.list(Folder::Packs).await?;
        let pack = |name| match name {
            ObjectName::Pack(pack) => Some(pack),
            _ => None,
        };
        Ok(listed.into_iter().filter_map(|l| Some((pack(l.name)?, l.size))).collect())
    }

    /// The index segments, each with its name; a damaged one is an error in its place.
    pub(crate) async fn index_segments(
        &self,
    ) -> Result<Vec<(ObjectName, Result<IndexSegment, RepositoryError>)>, RepositoryError> {
        let listed = self.store.list(Folder::Indexes).await?;
        let segments = stream::iter(listed).map(|listed| async move {
            let bytes = self.store.get(listed.name).await?;
            Ok::<_, RepositoryError>((listed.name, self.open_control(listed.name, &bytes)))
        });
        segments.buffer_unordered(FETCHES).try_collect().await
    }

    fn open_control<T: serde::de::DeserializeOwned>(
        &self,
        name: ObjectName,
        bytes: &Bytes,
    ) -> Result<T, RepositoryError> {
        control::open(&self.keys, name, bytes).map_err(|e| RepositoryError::damaged(name, e))
    }
}
