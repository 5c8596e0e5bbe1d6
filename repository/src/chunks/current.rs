//! The index that is in use, and when it is loaded again.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Mutex;

use crate::error::RepositoryError;
use crate::index::Index;
use crate::protocol::condemned::Condemned;
use crate::reader::Reader;

/// How often the index is loaded again in vain: what is not found then is lost, and not moved.
const FRUITLESS_MAX: u32 = 3;
/// How often it is loaded again because tables on this machine are damaged.
const DAMAGED_MAX: u32 = 3;

/// The index that is in use.
#[derive(Debug)]
pub(super) struct Current {
    index: RwLock<Arc<Index>>,
    /// Absent where the index is to stay as it is.
    again: Option<Again>,
    /// How often tables were damaged. Held while the index is loaded.
    damaged: Mutex<u32>,
    fruitless: AtomicU32,
}

/// How the index is loaded again.
#[derive(Debug)]
pub(super) struct Again {
    pub(super) cache: Option<PathBuf>,
    pub(super) condemned: Condemned,
    /// Whether it is also loaded to see where a prune has moved something. A writer sees to that
    /// before it commits, and until then keeps to what it knew when it made its promise.
    pub(super) follows: bool,
}

/// Why the index may have to be loaded again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stale {
    /// A table on this machine is damaged.
    Damaged,
    /// What it leads to is not there.
    Gone,
}

/// Whether another index is in use now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Renewal {
    /// It was loaded by somebody else before, and may be too old as well.
    Before,
    /// It was loaded just now.
    Now,
    /// It is the same: another one would not help.
    Useless,
}

impl Stale {
    /// Whether this error may go away with another index.
    pub(super) fn of(error: &RepositoryError) -> Option<Self> {
        match error {
            RepositoryError::Cache { .. } => Some(Self::Damaged),
            error if error.is_gone() => Some(Self::Gone),
            _ => None,
        }
    }
}

impl Current {
    pub(super) fn new(index: Index, again: Option<Again>) -> Self {
        let index = RwLock::new(Arc::new(index));
        Self { index, again, damaged: Mutex::default(), fruitless: AtomicU32::new(0) }
    }

    pub(super) fn index(&self) -> Arc<Index> {
        // It is replaced as a whole, so a panic elsewhere leaves it so.
        Arc::clone(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes sure that another index than `seen` is in use, unless there is no point in that.
    pub(super) async fn renew(
        &self,
        reader: &Reader,
        seen: &Arc<Index>,
        why: Stale,
    ) -> Result<Renewal, RepositoryError> {
        let mut damaged = self.damaged.lock().await;
        if !Arc::ptr_eq(seen, &self.index()) {
            return Ok(Renewal::Before);
        }
        let Some(Again { cache, condemned, follows }) = &self.again else {
            return Ok(Renewal::Useless);
        };
        let mut cache: Option<&Path> = cache.as_deref();
        match why {
            Stale::Damaged if *damaged >= DAMAGED_MAX => return Ok(Renewal::Useless),
            Stale::Damaged => {
                // A disk that spoils what was just made is not relied on any more.
                cache = cache.filter(|_| *damaged == 0);
                *damaged += 1;
            }
            Stale::Gone if !follows => return Ok(Renewal::Useless),
            Stale::Gone if self.fruitless.load(Ordering::Relaxed) >= FRUITLESS_MAX => {
                return Ok(Renewal::Useless);
            }
            Stale::Gone => _ = self.fruitless.fetch_add(1, Ordering::Relaxed),
        }
        let index = load(reader, cache, condemned, *follows).await?;
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(index);
        Ok(Renewal::Now)
    }

    /// What was gone was found after the index was loaded again.
    pub(super) fn was_fruitful(&self) {
        self.fruitless.store(0, Ordering::Relaxed);
    }
}

/// The index for a reader, which `follows` what prunes move, or for a writer.
pub(super) async fn load(
    reader: &Reader,
    cache: Option<&Path>,
    condemned: &Condemned,
    follows: bool,
) -> Result<Index, RepositoryError> {
    if follows {
        Index::load(reader, cache, condemned).await
    } else {
        Index::load_named(reader, cache, condemned).await
    }
}
