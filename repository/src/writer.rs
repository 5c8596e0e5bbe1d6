//! A session: one writer's work in a repository, from registration to commit.

use std::sync::Arc;

use format::control;
use format::frame::Frame;
use format::ids::PointId;
use format::index::IndexSegment;
use format::keys::Keys;
use format::manifest::Manifest;
use format::names::{Folder, ObjectName, PackName};
use format::pack::{self, PackRecord, SealedPack};
use format::session::{Outcome, Registration, SessionEnd};
use serde::Serialize;

use crate::error::RepositoryError;
use crate::random;
use crate::reader::Reader;
use crate::store::{Store, StoreError, create_own};

/// How many packs one index segment names. Even with chunks of 1 KiB only, that is far below the
/// limit that readers set.
const SEGMENT_PACKS: usize = 512;

/// Adds one restore point to a repository.
///
/// Nothing of it can be seen by others before [`Writer::commit`], and a writer that dies leaves
/// packs that nobody needs, and no more.
#[derive(Clone, Debug)]
pub struct Writer {
    store: Arc<dyn Store>,
    keys: Arc<Keys>,
    point: PointId,
}

impl Writer {
    /// Registers a session under the newest generation.
    ///
    /// `store` must be the one that `reader` reads.
    pub async fn register(
        store: Arc<dyn Store>,
        reader: &Reader,
        host: &str,
    ) -> Result<Self, RepositoryError> {
        let writer = Self { store, keys: Arc::clone(reader.keys()), point: random::point_id() };
        let generation = writer.newest_generation().await?;
        let registration = Registration { host: host.to_owned(), nonce: random::object_id() };
        writer.create(ObjectName::Session(generation, writer.point), &registration).await?;
        Ok(writer)
    }

    /// An id that no restore point has, for what is done in place of writing one.
    pub fn unused_point() -> PointId {
        random::point_id()
    }

    /// The id of the restore point to be.
    pub fn point(&self) -> PointId {
        self.point
    }

    /// The keys that chunks are named and cut by.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Seals frames into a pack, and opens it again to see that every chunk can be read.
    pub fn seal(&self, frames: Vec<Frame>) -> Result<SealedPack, RepositoryError> {
        let name = PackName { session: self.point, id: random::object_id() };
        let sealed = pack::seal(&self.keys, name, frames);
        pack::verify(&self.keys, name, &sealed.bytes).map_err(RepositoryError::Verification)?;
        Ok(sealed)
    }

    /// Stores a pack; returns what the index has to say about it.
    pub async fn store_pack(&self, pack: SealedPack) -> Result<PackRecord, RepositoryError> {
        create_own(self.store.as_ref(), ObjectName::Pack(pack.record.name), pack.bytes.into())
            .await?;
        Ok(pack.record)
    }

    /// Stores index segments for packs that are stored already; returns their length in bytes.
    pub async fn store_index(&self, packs: Vec<PackRecord>) -> Result<u64, RepositoryError> {
        let mut length = 0;
        for packs in packs.chunks(SEGMENT_PACKS) {
            let name = ObjectName::Index(self.point, random::object_id());
            length += self.create(name, &IndexSegment { packs: packs.to_vec() }).await?;
        }
        Ok(length)
    }

    /// Makes the restore point exist, in one step, or not at all.
    pub async fn commit(self, manifest: Manifest) -> Result<(), RepositoryError> {
        debug_assert_eq!(manifest.point, self.point);
        let name = ObjectName::Outcome(self.point);
        let end = SessionEnd::Commit(Box::new(manifest));
        match self.create(name, &Outcome { nonce: random::object_id(), end }).await {
            // Only a prune writes the outcome of somebody else's session.
            Err(RepositoryError::Store(StoreError::Exists { .. })) => {
                Err(RepositoryError::Fenced(self.point))
            }
            result => result.map(|_| ()),
        }
    }

    async fn newest_generation(&self) -> Result<u64, RepositoryError> {
        let listed = self.store.list(Folder::Generations).await?;
        let number = |name| match name {
            ObjectName::Generation(number) => Some(number),
            _ => None,
        };
        Ok(listed.into_iter().filter_map(|l| number(l.name)).max().unwrap_or(0))
    }

    async fn create<T: Serialize>(
        &self,
        name: ObjectName,
        content: &T,
    ) -> Result<u64, RepositoryError> {
        let bytes = control::seal(&self.keys, name, content, random::bytes())
            .map_err(|e| RepositoryError::damaged(name, e))?;
        let length = bytes.len() as u64;
        create_own(self.store.as_ref(), name, bytes.into()).await?;
        Ok(length)
    }
}
