//! A session: one writer's work in a repository, from registration to commit.

use std::sync::Arc;

use format::control::{self, Link};
use format::frame::Frame;
use format::ids::PointId;
use format::index::IndexSegment;
use format::keys::Keys;
use format::manifest::Manifest;
use format::names::{Folder, ObjectName, PackName};
use format::pack::{self, PackRecord, SealedPack};
use format::session::{Outcome, Registration, SessionEnd};
use serde::Serialize;
use tokio::sync::Mutex;

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
    /// Leads to the session's newest control object.
    newest: Arc<Mutex<Option<Link>>>,
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
        let keys = Arc::clone(reader.keys());
        let writer = Self { store, keys, point: random::point_id(), newest: Arc::default() };
        let generation = writer.newest_generation().await?;
        let (host, nonce) = (host.to_owned(), random::object_id());
        let registration = |previous| Registration { host, nonce, previous };
        writer.create(ObjectName::Session(generation, writer.point), registration).await?;
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
    pub fn seal(&self, frames: &[Frame]) -> Result<SealedPack, RepositoryError> {
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
            let segment = |previous| IndexSegment { packs: packs.to_vec(), previous };
            length += self.create(name, segment).await?;
        }
        Ok(length)
    }

    /// Makes the restore point exist, in one step, or not at all.
    pub async fn commit(self, manifest: Manifest) -> Result<(), RepositoryError> {
        debug_assert_eq!(manifest.point, self.point);
        let name = ObjectName::Outcome(self.point);
        let (nonce, end) = (random::object_id(), SessionEnd::Commit(Box::new(manifest)));
        match self.create(name, |previous| Outcome { nonce, end, previous }).await {
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

    // Creates a control object that links to the one before it; returns its length in bytes. One
    // at a time, for the objects of a session are a chain.
    async fn create<T: Serialize>(
        &self,
        name: ObjectName,
        content: impl FnOnce(Option<Link>) -> T,
    ) -> Result<u64, RepositoryError> {
        let mut newest = self.newest.lock().await;
        let bytes = control::seal(&self.keys, name, &content(*newest), random::bytes())
            .map_err(|e| RepositoryError::damaged(name, e))?;
        let (length, link) = (bytes.len() as u64, control::link(&self.keys, name, &bytes));
        create_own(self.store.as_ref(), name, bytes.into()).await?;
        *newest = Some(link);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ReadStore;
    use crate::store::remote::RemoteStore;
    use crate::unlock::{self, Passphrase};

    #[tokio::test]
    async fn the_control_objects_of_a_session_are_a_chain() {
        let store: Arc<dyn Store> = Arc::new(RemoteStore::in_memory());
        unlock::create(store.as_ref(), &Passphrase::new("a")).await.unwrap();
        let reader = Reader::open(Arc::clone(&store) as Arc<dyn ReadStore>, &Passphrase::new("a"))
            .await
            .unwrap();
        let writer = Writer::register(Arc::clone(&store), &reader, "here").await.unwrap();
        let session = ObjectName::Session(0, writer.point());
        let bytes = store.get(session).await.unwrap();
        let keys = writer.keys();
        let first: Registration = control::open(keys, session, &bytes).unwrap();
        assert_eq!(first.previous, None);
        let mut previous = control::link(keys, session, &bytes);
        for _ in 0..2 {
            let known: Vec<_> = reader.index_segments().await.unwrap();
            let known: Vec<ObjectName> = known.into_iter().map(|(name, _)| name).collect();
            let packs = vec![writer.seal(&[]).unwrap().record];
            writer.store_index(packs).await.unwrap();
            let segments = reader.index_segments().await.unwrap();
            let mut new = segments.into_iter().filter(|(name, _)| !known.contains(name));
            let (name, segment) = new.next().unwrap();
            assert_eq!(segment.unwrap().previous, Some(previous));
            previous = control::link(keys, name, &store.get(name).await.unwrap());
        }
    }
}
