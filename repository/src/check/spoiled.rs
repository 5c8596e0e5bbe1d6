//! Which chunks of damaged packs cannot be read: damage loses what it hits, and nothing else.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use format::ids::ChunkId;
use format::names::PackName;

use crate::blocking;
use crate::error::RepositoryError;
use crate::reader::Reader;
use crate::salvage;

/// Packs that are damaged, each with those of its chunks that cannot be read; `None` where that is
/// all of them.
#[derive(Debug, Default)]
pub(crate) struct Spoiled(BTreeMap<PackName, Option<HashSet<ChunkId>>>);

impl Spoiled {
    /// Reads these packs once more, chunk by chunk.
    pub(crate) async fn look(
        reader: &Reader,
        packs: BTreeSet<PackName>,
    ) -> Result<Self, RepositoryError> {
        let mut spoiled = Self::default();
        let records = salvage::records_of(reader, &packs, &BTreeSet::new()).await?.packs;
        for pack in packs {
            let records = records.iter().filter(|record| record.name == pack).cloned();
            let records: Vec<_> = records.collect();
            let bytes = salvage::bytes_of(reader, pack, &records).await?;
            let chunks = match bytes {
                Some(bytes) if !records.is_empty() => {
                    let keys = Arc::clone(reader.keys());
                    let trying = move || {
                        let (mut good, mut bad) = (HashSet::new(), HashSet::new());
                        for record in &records {
                            salvage::try_chunks(&keys, record, &bytes, |_, chunk, found| {
                                let set = if found.is_some() { &mut good } else { &mut bad };
                                set.insert(chunk.id);
                            });
                        }
                        bad.retain(|chunk| !good.contains(chunk));
                        bad
                    };
                    Some(blocking::run(trying).await)
                }
                _ => None,
            };
            spoiled.0.insert(pack, chunks);
        }
        Ok(spoiled)
    }

    /// Takes over what another one knows.
    pub(crate) fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Whether this chunk cannot be read from this pack.
    pub(crate) fn spoils(&self, pack: PackName, chunk: ChunkId) -> bool {
        match self.0.get(&pack) {
            None => false,
            Some(None) => true,
            Some(Some(chunks)) => chunks.contains(&chunk),
        }
    }

    /// Whether it is known what can be read of this pack.
    pub(crate) fn knows(&self, pack: PackName) -> bool {
        self.0.contains_key(&pack)
    }

    /// Whether no pack is damaged.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
