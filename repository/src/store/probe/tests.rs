//! Stores with one shortcoming each.

use std::ops::Range;

use async_trait::async_trait;

use super::*;
use crate::store::local::LocalStore;
use crate::store::remote::RemoteStore;
use crate::store::{Listed, MaintainStore, ReadStore};

/// A store that does not do one thing.
#[derive(Debug)]
struct Poor(RemoteStore, Shortcoming);

#[async_trait]
impl ReadStore for Poor {
    fn location(&self) -> String {
        "poor".into()
    }

    async fn get(&self, name: ObjectName) -> Result<Bytes, StoreError> {
        self.0.get(name).await
    }

    async fn get_range(&self, name: ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        let shift = u64::from(self.1 == Shortcoming::WrongRanges);
        self.0.get_range(name, range.start - shift..range.end - shift).await
    }

    async fn list(&self, folder: Folder) -> Result<Vec<Listed>, StoreError> {
        match self.1 {
            Shortcoming::ListsLate => Ok(Vec::new()),
            _ => self.0.list(folder).await,
        }
    }
}

#[async_trait]
impl Store for Poor {
    async fn create(&self, name: ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        let rival = bytes.first().is_some_and(|first| *first != b'4');
        match self.1 {
            Shortcoming::CreatesTwice if !rival => {
                self.0.delete(name).await?;
                self.0.create(name, bytes).await
            }
            // Each of them is told that it came first.
            Shortcoming::LosesRaces if rival => {
                let _ = self.0.create(name, bytes).await;
                Ok(())
            }
            _ => self.0.create(name, bytes).await,
        }
    }
}

#[tokio::test]
async fn good_stores_may_be_shared_and_the_probe_leaves_one_object() {
    let folder = tempfile::tempdir().unwrap();
    let stores: [&dyn Store; 2] = [&RemoteStore::in_memory(), &LocalStore::new(folder.path())];
    for store in stores {
        for before in 0..2 {
            assert_eq!(store.list(Folder::Probes).await.unwrap().len(), before);
            let found = probe(store).await.unwrap();
            assert!(found.may_be_shared() && found.is_readable(), "{found:?}");
            assert_eq!(found.warning(), None);
        }
    }
}

#[tokio::test]
async fn every_shortcoming_is_found_and_said() {
    for shortcoming in [
        Shortcoming::CreatesTwice,
        Shortcoming::LosesRaces,
        Shortcoming::ListsLate,
        Shortcoming::WrongRanges,
    ] {
        let found = probe(&Poor(RemoteStore::in_memory(), shortcoming)).await.unwrap();
        assert_eq!(found.shortcomings, [shortcoming]);
        assert!(!found.may_be_shared());
        assert_eq!(found.is_readable(), shortcoming != Shortcoming::WrongRanges);
        assert!(found.warning().unwrap().contains(shortcoming.describe()));
        let kept = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<Probe>(&kept).unwrap(), found);
    }
}
