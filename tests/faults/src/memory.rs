//! A store in memory that does nothing but what a store must.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use format::names::{Folder, ObjectName};
use repository::store::{Listed, MaintainStore, ReadStore, Store, StoreError};

const LOCATION: &str = "memory";

/// Objects by their names. Ten times as fast as a store of paths, and the simulation asks it thousands of
/// times a seed.
#[derive(Debug, Default)]
pub struct Memory(Mutex<BTreeMap<Option<Folder>, BTreeMap<ObjectName, Bytes>>>);

impl Memory {
    /// Another store with the same objects.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self(Mutex::new(self.0.lock().unwrap().clone()))
    }

    /// Changes the bytes of an object, as a bad disk does.
    pub fn spoil(&self, name: ObjectName, spoil: impl FnOnce(&mut Vec<u8>)) {
        let mut folders = self.0.lock().unwrap();
        let object = folders.get_mut(&name.folder()).and_then(|objects| objects.get_mut(&name));
        let object = object.unwrap();
        let mut bytes = object.to_vec();
        spoil(&mut bytes);
        *object = bytes.into();
    }
}

#[async_trait]
impl ReadStore for Memory {
    fn location(&self) -> String {
        LOCATION.into()
    }

    async fn get(&self, name: ObjectName) -> Result<Bytes, StoreError> {
        let folders = self.0.lock().unwrap();
        let bytes = folders.get(&name.folder()).and_then(|objects| objects.get(&name));
        bytes.cloned().ok_or_else(|| StoreError::Missing { name, location: LOCATION.into() })
    }

    async fn get_range(&self, name: ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        let bytes = self.get(name).await?;
        let end = usize::try_from(range.end).unwrap();
        if end > bytes.len() {
            return Err(StoreError::Short { name, location: LOCATION.into(), end: range.end });
        }
        Ok(bytes.slice(usize::try_from(range.start).unwrap()..end))
    }

    async fn list(&self, folder: Folder) -> Result<Vec<Listed>, StoreError> {
        let folders = self.0.lock().unwrap();
        let objects = folders.get(&Some(folder)).into_iter().flatten();
        Ok(objects.map(|(name, bytes)| Listed { name: *name, size: bytes.len() as u64 }).collect())
    }
}

#[async_trait]
impl Store for Memory {
    async fn create(&self, name: ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        match self.0.lock().unwrap().entry(name.folder()).or_default().entry(name) {
            Entry::Occupied(_) => Err(StoreError::Exists { name, location: LOCATION.into() }),
            Entry::Vacant(free) => {
                free.insert(bytes);
                Ok(())
            }
        }
    }
}

#[async_trait]
impl MaintainStore for Memory {
    async fn delete(&self, name: ObjectName) -> Result<(), StoreError> {
        self.0.lock().unwrap().entry(name.folder()).or_default().remove(&name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_keeps_the_contract() {
        repository::contract::check(&Memory::default()).await.unwrap();
    }
}
