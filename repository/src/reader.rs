//! A repository to read from, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use format::control;
use format::ids::{PointId, RepositoryId};
use format::keys::Keys;
use format::manifest::Manifest;
use format::names::{Folder, ObjectName, PackName};
use format::pack::{self, HEADER_BYTES, PACK_BYTES_MAX, PackRecord, TRAILER_BYTES};
use format::prune;
use format::session::{Outcome, SessionEnd};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::error::RepositoryError;
use crate::protocol::condemned::Condemned;
use crate::protocol::generation::newest;
use crate::store::{Listed, ReadStore, StoreError};
use crate::unlock::{self, Key};

/// How many small objects are fetched at once.
pub const FETCHES: usize = 16;
/// How much of a pack's end is read to find its footer; most footers are in it.
const TAIL_BYTES: u64 = 64 << 10;
/// No footer that is looked for by itself is longer: it names some millions of chunks.
const FOOTER_BYTES_MAX: u64 = 256 << 20;

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

    /// The repository in `store`, with keys that are at hand already.
    pub fn with_keys(store: Arc<dyn ReadStore>, keys: Keys) -> Self {
        Self { store, keys: Arc::new(keys) }
    }

    /// Which repository this is.
    pub fn id(&self) -> RepositoryId {
        self.keys.repository()
    }

    /// The sessions that have ended and were not forgotten, committed or not, in the order of
    /// their ids. Whether a point exists is for [`Reader::point`] to say.
    pub async fn sessions(&self) -> Result<Vec<PointId>, RepositoryError> {
        // What is forgotten in between is not shown any more.
        let mut points = self.outcomes().await?;
        let forgotten = self.forgotten().await?;
        points.retain(|point| !forgotten.contains(point));
        Ok(points.into_iter().collect())
    }

    /// The objects in these folders, with their sizes, listed one folder after the other.
    pub async fn listed(
        &self,
        folders: &[Folder],
    ) -> Result<BTreeMap<ObjectName, u64>, RepositoryError> {
        let mut objects = BTreeMap::new();
        for folder in folders {
            let listed = self.store.list(*folder).await?;
            objects.extend(listed.into_iter().map(|listed| (listed.name, listed.size)));
        }
        Ok(objects)
    }

    /// The manifest of a restore point; `None` for a session that ended without one.
    ///
    /// # Errors
    /// [`RepositoryError::Forgotten`] when the point was forgotten, whatever of it is left.
    pub async fn point(&self, point: PointId) -> Result<Option<Manifest>, RepositoryError> {
        // The record of forgetting after the outcome: a prune removes the outcome only when the
        // record is there.
        let outcome = self.manifest(point).await;
        match self.store.get(ObjectName::Forgotten(point)).await {
            Err(StoreError::Missing { .. }) => outcome,
            forgotten => Err(forgotten.map(|_| RepositoryError::Forgotten(point))?),
        }
    }

    /// The same, forgotten or not.
    pub(crate) async fn manifest(
        &self,
        point: PointId,
    ) -> Result<Option<Manifest>, RepositoryError> {
        let name = ObjectName::Outcome(point);
        let bytes = match self.store.get(name).await {
            Err(StoreError::Missing { .. }) => return Err(RepositoryError::UnknownPoint(point)),
            bytes => bytes?,
        };
        self.committed(point, &bytes)
    }

    /// The manifest in an outcome, of which `bytes` are the stored bytes.
    pub(crate) fn committed(
        &self,
        point: PointId,
        bytes: &Bytes,
    ) -> Result<Option<Manifest>, RepositoryError> {
        let name = ObjectName::Outcome(point);
        let outcome: Outcome = self.open_control(name, bytes)?;
        match outcome.end {
            SessionEnd::Commit(manifest) if manifest.point == point => Ok(Some(*manifest)),
            SessionEnd::Commit(_) => Err(RepositoryError::damaged(name, "it names another point")),
            SessionEnd::Fenced | SessionEnd::Repacked => Ok(None),
        }
    }

    /// What is condemned at this generation.
    ///
    /// # Errors
    /// Also when one of the lists up to it is missing: they are never deleted.
    pub async fn condemned(&self, generation: u64) -> Result<Condemned, RepositoryError> {
        let read = async |number| {
            let list = self.control::<prune::Condemned>(ObjectName::Condemned(number)).await?;
            Ok((number, list.objects))
        };
        let lists = stream::iter(1..=generation).map(read).buffered(FETCHES);
        let add = async |mut condemned: Condemned, (number, objects)| {
            condemned.add(number, objects);
            Ok(condemned)
        };
        lists.try_fold(Condemned::default(), add).await
    }

    /// Whether a restore point is to be forgotten.
    pub async fn is_forgotten(&self, point: PointId) -> Result<bool, RepositoryError> {
        match self.store.get(ObjectName::Forgotten(point)).await {
            Ok(_) => Ok(true),
            Err(StoreError::Missing { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The sessions with an outcome.
    pub(crate) async fn outcomes(&self) -> Result<BTreeSet<PointId>, RepositoryError> {
        self.points_in(Folder::Outcomes).await
    }

    /// The restore points that were forgotten, from the first one on.
    pub(crate) async fn forgotten(&self) -> Result<BTreeSet<PointId>, RepositoryError> {
        self.points_in(Folder::Forgotten).await
    }

    /// The sessions that have ended. The outcome of one whose point was forgotten may be gone.
    pub(crate) async fn ended(&self) -> Result<BTreeSet<PointId>, RepositoryError> {
        let mut ended = self.outcomes().await?;
        ended.append(&mut self.forgotten().await?);
        Ok(ended)
    }

    async fn points_in(&self, folder: Folder) -> Result<BTreeSet<PointId>, RepositoryError> {
        let listed = self.store.list(folder).await?;
        let point = |listed: Listed| match listed.name {
            ObjectName::Outcome(point) | ObjectName::Forgotten(point) => Some(point),
            _ => None,
        };
        Ok(listed.into_iter().filter_map(point).collect())
    }

    /// The newest generation; 0 before the first prune.
    pub(crate) async fn generation(&self) -> Result<u64, RepositoryError> {
        let listed = self.store.list(Folder::Generations).await?;
        Ok(newest(listed.into_iter().map(|listed| listed.name)))
    }

    pub(crate) fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    pub(crate) fn store(&self) -> &dyn ReadStore {
        self.store.as_ref()
    }

    /// The packs that are there, with their sizes.
    pub(crate) async fn packs(&self) -> Result<PackListing, RepositoryError> {
        Ok(PackListing::new(self.store.list(Folder::Packs).await?))
    }

    /// The index segments that are there.
    pub(crate) async fn segments(&self) -> Result<Vec<Listed>, RepositoryError> {
        Ok(self.store.list(Folder::Indexes).await?)
    }

    /// What a pack of `size` bytes says about itself. Its frames are not read.
    pub(crate) async fn footer(
        &self,
        pack: PackName,
        size: u64,
    ) -> Result<PackRecord, RepositoryError> {
        let name = ObjectName::Pack(pack);
        let damaged = |error| RepositoryError::damaged(name, error);
        let least = (HEADER_BYTES + TRAILER_BYTES) as u64;
        if !(least..=PACK_BYTES_MAX).contains(&size) {
            return Err(damaged(pack::PackError::Malformed));
        }
        let start = size.saturating_sub(TAIL_BYTES);
        let mut tail = self.store.get_range(name, start..size).await?;
        let length = pack::footer_bytes(&tail).map_err(damaged)?;
        let footer_start = size.checked_sub(length).filter(|_| length <= FOOTER_BYTES_MAX);
        let footer_start = footer_start.ok_or_else(|| damaged(pack::PackError::Malformed))?;
        if footer_start < start {
            tail = self.store.get_range(name, footer_start..size).await?;
        }
        let head = self.store.get_range(name, 0..HEADER_BYTES as u64).await?;
        pack::read_footer_of(&self.keys, pack, size, &head, &tail).map_err(damaged)
    }

    /// The content of a control object.
    pub(crate) async fn control<T: serde::de::DeserializeOwned>(
        &self,
        name: ObjectName,
    ) -> Result<T, RepositoryError> {
        let bytes = self.store.get(name).await?;
        self.open_control(name, &bytes)
    }

    /// The same; `None` when the object is gone, as one may be that was listed before.
    pub(crate) async fn control_if_there<T: serde::de::DeserializeOwned>(
        &self,
        name: ObjectName,
    ) -> Result<Option<T>, RepositoryError> {
        match self.control(name).await {
            Err(RepositoryError::Store(StoreError::Missing { .. })) => Ok(None),
            read => read.map(Some),
        }
    }

    pub(crate) fn open_control<T: serde::de::DeserializeOwned>(
        &self,
        name: ObjectName,
        bytes: &Bytes,
    ) -> Result<T, RepositoryError> {
        control::open(&self.keys, name, bytes).map_err(|e| RepositoryError::damaged(name, e))
    }
}

/// The packs that are there, in ascending order of their names. It takes 40 bytes a pack.
#[derive(Debug)]
pub(crate) struct PackListing(Vec<(PackName, u64)>);

impl PackListing {
    fn new(listed: Vec<Listed>) -> Self {
        let pack = |listed: Listed| match listed.name {
            ObjectName::Pack(pack) => Some((pack, listed.size)),
            _ => None,
        };
        let mut packs: Vec<_> = listed.into_iter().filter_map(pack).collect();
        packs.sort_unstable();
        Self(packs)
    }

    /// Those of them that are not condemned.
    pub(crate) fn without(mut self, condemned: &Condemned) -> Self {
        self.0.retain(|(name, _)| !condemned.contains(ObjectName::Pack(*name)));
        self
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Each with its size in bytes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PackName, u64)> {
        self.0.iter().copied()
    }

    /// The number of one in this order, if it is there.
    pub(crate) fn number(&self, pack: PackName) -> Option<u32> {
        let at = self.0.binary_search_by_key(&pack, |(name, _)| *name).ok()?;
        u32::try_from(at).ok()
    }

    /// The one with this number.
    pub(crate) fn get(&self, number: u32) -> Option<(PackName, u64)> {
        self.0.get(number as usize).copied()
    }

    /// The size of one, if it is there.
    pub(crate) fn size(&self, pack: PackName) -> Option<u64> {
        let at = self.0.binary_search_by_key(&pack, |(name, _)| *name).ok()?;
        self.0.get(at).map(|(_, size)| *size)
    }
}
