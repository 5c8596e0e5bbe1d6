//! Object stores of others as a store, through the `object_store` crate.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use format::names::{Folder, ObjectName};
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutPayload};

use crate::store::{Listed, MaintainStore, ReadStore, Store, StoreError};

/// A store in a bucket, or in memory.
#[derive(Clone, Debug)]
pub struct RemoteStore {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    location: String,
}

impl RemoteStore {
    /// The objects below `prefix`; `location` is what messages call them.
    pub fn new(objects: Arc<dyn ObjectStore>, prefix: Path, location: String) -> Self {
        Self { objects, prefix, location }
    }

    /// An empty store that lives as long as the process.
    pub fn in_memory() -> Self {
        Self::new(Arc::new(object_store::memory::InMemory::new()), Path::default(), "memory".into())
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.prefix.clone(), Path::join)
    }

    fn failed(&self, action: String, source: object_store::Error) -> StoreError {
        // What the service has understood and refused, it will refuse again.
        let passing = !matches!(
            source,
            object_store::Error::PermissionDenied { .. }
                | object_store::Error::Unauthenticated { .. }
                | object_store::Error::InvalidPath { .. }
                | object_store::Error::NotSupported { .. }
        );
        let location = self.location.clone();
        StoreError::Failed { action, location, passing, source: source.into() }
    }

    fn unreadable(&self, name: ObjectName, error: object_store::Error) -> StoreError {
        match error {
            object_store::Error::NotFound { .. } => {
                StoreError::Missing { name, location: self.location.clone() }
            }
            error => self.failed(format!("read object `{name}`"), error),
        }
    }
}

#[async_trait]
impl ReadStore for RemoteStore {
    fn location(&self) -> String {
        self.location.clone()
    }

    async fn get(&self, name: ObjectName) -> Result<Bytes, StoreError> {
        let path = self.path(&name.to_string());
        let read = async { self.objects.get(&path).await?.bytes().await };
        read.await.map_err(|e| self.unreadable(name, e))
    }

    async fn get_range(&self, name: ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        let path = self.path(&name.to_string());
        let (length, end) = (range.end.saturating_sub(range.start), range.end);
        if length == 0 {
            return Ok(Bytes::new());
        }
        let bytes =
            self.objects.get_range(&path, range).await.map_err(|e| self.unreadable(name, e))?;
        // Services answer a range that leaves the object with the part that is there.
        if bytes.len() as u64 == length {
            Ok(bytes)
        } else {
            Err(StoreError::Short { name, location: self.location.clone(), end })
        }
    }

    async fn list(&self, folder: Folder) -> Result<Vec<Listed>, StoreError> {
        let prefix = self.path(folder.as_str());
        let objects: Vec<_> = self
            .objects
            .list(Some(&prefix))
            .try_collect()
            .await
            .map_err(|e| self.failed(format!("list folder `{}`", folder.as_str()), e))?;
        let relative = |path: &Path| -> Option<ObjectName> {
            let parts: Vec<_> = path.prefix_match(&self.prefix)?.collect();
            let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
            parts.join("/").parse().ok()
        };
        Ok(objects
            .iter()
            .filter_map(|o| Some(Listed { name: relative(&o.location)?, size: o.size }))
            .collect())
    }
}

#[async_trait]
impl Store for RemoteStore {
    async fn create(&self, name: ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        let path = self.path(&name.to_string());
        let put =
            self.objects.put_opts(&path, PutPayload::from_bytes(bytes), PutMode::Create.into());
        match put.await {
            Ok(_) => Ok(()),
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) => Err(StoreError::Exists { name, location: self.location.clone() }),
            Err(error) => Err(self.failed(format!("create object `{name}`"), error)),
        }
    }
}

#[async_trait]
impl MaintainStore for RemoteStore {
    async fn delete(&self, name: ObjectName) -> Result<(), StoreError> {
        match self.objects.delete(&self.path(&name.to_string())).await {
            // Some services say so, also when our own request was sent twice.
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(format!("delete object `{name}`"), error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract;

    #[tokio::test]
    async fn memory_keeps_the_contract() {
        contract::check(&RemoteStore::in_memory()).await.unwrap();
    }

    #[tokio::test]
    async fn a_prefix_keeps_the_contract_and_hides_what_is_beside_it() {
        let objects: Arc<dyn ObjectStore> = Arc::new(object_store::memory::InMemory::new());
        let store = |prefix: &str| {
            RemoteStore::new(Arc::clone(&objects), Path::from(prefix), format!("memory/{prefix}"))
        };
        contract::check(&store("a/b")).await.unwrap();
        assert_eq!(store("a").list(Folder::Generations).await.unwrap(), []);
        contract::check(&store("a")).await.unwrap();
    }
}
