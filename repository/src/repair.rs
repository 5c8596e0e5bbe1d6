//! Making the best of a damaged repository.
//!
//! A repair adds and condemns; it deletes nothing. It stores again what can still be read of damaged
//! packs, writes index segments for packs that no good one names, and condemns what is damaged, so
//! that nobody relies on it any more and a prune removes it in the end. Whatever moment it is
//! interrupted at, all that could be restored before can be restored after. See docs/check.md#repair.

mod cutter;
mod donor;
mod mend;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use format::frame::{ChunkKind, ChunkRecord};
use format::ids::ChunkId;
use format::names::ObjectName;
use format::pack::PackRecord;
use serde::Serialize;

pub use self::cutter::Cutter;
pub use self::donor::Donor;
pub use self::plan::{Plan, plan};
use crate::error::RepositoryError;
use crate::packer::Packer;
use crate::reader::Reader;
use crate::store::Store;
use crate::writer::Writer;

/// What a repair did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Repaired {
    /// How many chunks of damaged packs were stored again.
    pub salvaged: u64,
    /// How many packs were put into the index.
    pub indexed: u64,
    /// The packs and index segments that nobody relies on any more.
    pub condemned: Vec<ObjectName>,
}

/// Carries out a plan.
///
/// # Errors
/// [`RepositoryError::Overtaken`] when a prune has decided meanwhile: plan anew.
pub async fn execute(
    store: Arc<dyn Store>,
    reader: &Reader,
    plan: Plan,
    host: &str,
) -> Result<Repaired, RepositoryError> {
    if plan.is_empty() {
        return Ok(Repaired::default());
    }
    let writer = Writer::register(Arc::clone(&store), reader, host).await?;
    let result = mend::mend((store.as_ref(), reader), &writer, plan).await;
    // What was stored is good, and whoever looks at the session later need not wait for it.
    let resolved = writer.resolve().await;
    let repaired = result?;
    resolved.map(|()| repaired)
}

/// Stores lost chunks again that were found elsewhere.
pub struct Healing {
    writer: Writer,
    packer: Packer,
    packs: Vec<PackRecord>,
    wanted: BTreeSet<ChunkId>,
    /// What was stored although nobody had asked for it.
    taken: BTreeSet<ChunkId>,
    healed: u64,
}

impl Healing {
    /// Begins to look for the chunks that are `wanted`.
    pub async fn begin(
        store: Arc<dyn Store>,
        reader: &Reader,
        wanted: BTreeSet<ChunkId>,
        host: &str,
    ) -> Result<Self, RepositoryError> {
        let writer = Writer::register(store, reader, host).await?;
        let packer = Packer::new(writer.clone())?;
        let (packs, taken) = (Vec::new(), BTreeSet::new());
        Ok(Self { writer, packer, packs, wanted, taken, healed: 0 })
    }

    /// The key that decides where content is cut.
    pub fn cut_key(&self) -> &[u8; 32] {
        self.writer.keys().cut_key()
    }

    /// Whether nothing is wanted any more.
    pub fn is_done(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Whether this chunk is wanted.
    pub(crate) fn wants(&self, chunk: ChunkId) -> bool {
        self.wanted.contains(&chunk)
    }

    /// Takes these bytes if they are a chunk that is wanted.
    pub async fn offer(&mut self, bytes: &[u8]) -> Result<(), RepositoryError> {
        let id = self.writer.keys().chunk_id(bytes);
        if self.wanted.remove(&id) {
            self.store(ChunkKind::Data, id, bytes).await?;
        }
        Ok(())
    }

    /// Takes this chunk, once, whether anybody has asked for it or not.
    pub(crate) async fn take(
        &mut self,
        kind: ChunkKind,
        id: ChunkId,
        bytes: &[u8],
    ) -> Result<(), RepositoryError> {
        self.wanted.remove(&id);
        if self.taken.insert(id) { self.store(kind, id, bytes).await } else { Ok(()) }
    }

    async fn store(
        &mut self,
        kind: ChunkKind,
        id: ChunkId,
        bytes: &[u8],
    ) -> Result<(), RepositoryError> {
        // No chunk is longer than a frame, so its length fits.
        let Ok(length) = u32::try_from(bytes.len()) else { return Ok(()) };
        self.healed += 1;
        self.packer.add(kind, ChunkRecord { id, length }, bytes);
        self.packs.extend(self.packer.store_full().await?);
        Ok(())
    }

    /// Stores what was found; returns how many chunks that are.
    pub async fn finish(mut self) -> Result<u64, RepositoryError> {
        self.packs.extend(self.packer.finish().await?);
        self.writer.store_index(self.packs).await?;
        self.writer.resolve().await?;
        Ok(self.healed)
    }
}
