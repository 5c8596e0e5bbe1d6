//! Reading packs, each byte of them, several at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use format::ids::Digest;
use format::names::{ObjectName, PackName};
use format::pack;
use futures::{StreamExt as _, stream};
use tokio::sync::Semaphore;

use super::finding::Finding;
use crate::blocking;
use crate::error::{RepositoryError, chain};
use crate::reader::Reader;
use crate::store::{StoreError, get_patiently};

/// How many KiB of packs are in memory at once; a longer one is read alone.
const READ_KIB: u32 = 128 << 10;
/// After how many packs in a row that the store did not give, it is called gone.
const UNREAD_MAX: u32 = 3;

/// How far a check is, for whoever wants to show it.
#[derive(Debug, Default)]
pub struct Progress {
    packs: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// How many packs were read.
    pub fn packs(&self) -> u64 {
        self.packs.load(Relaxed)
    }

    /// How many bytes they have.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
}

/// What reading found.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) findings: Vec<Finding>,
    pub(super) damaged: BTreeSet<PackName>,
    /// Packs that are as they were written, in no particular order.
    pub(super) good: Vec<PackName>,
    pub(super) bytes: u64,
}

/// Reads these packs; `indexed` is what the segments say of all packs, in the order of the names.
///
/// # Errors
/// When the store gives several packs in a row not.
pub(super) async fn read(
    reader: &Reader,
    packs: Vec<(PackName, u64)>,
    indexed: &[(PackName, u64, Digest)],
    progress: &Progress,
) -> Result<Read, RepositoryError> {
    let room = Arc::new(Semaphore::new(READ_KIB as usize));
    // While all cores compute, the next packs are on their way.
    let at_once = thread::available_parallelism().map_or(1, usize::from) + 2;
    let reads = stream::iter(packs).map(|(pack, size)| {
        let room = Arc::clone(&room);
        async move {
            let kib = u32::try_from(size.div_ceil(1024)).unwrap_or(READ_KIB).clamp(1, READ_KIB);
            // The semaphore is never closed, so there is always a permit in the end.
            let _permit = room.acquire_many_owned(kib).await.ok();
            (pack, size, read_pack(reader, pack, said(indexed, pack)).await)
        }
    });
    let mut reads = std::pin::pin!(reads.buffer_unordered(at_once));
    let (mut read, mut unread) = (Read::default(), 0);
    while let Some((pack, size, found)) = reads.next().await {
        progress.packs.fetch_add(1, Relaxed);
        progress.bytes.fetch_add(size, Relaxed);
        let object = ObjectName::Pack(pack);
        match found {
            Ok(None) => read.good.push(pack),
            Ok(Some(reason)) => {
                read.findings.push(Finding::DamagedPack { object, reason });
                read.damaged.insert(pack);
            }
            Err(StoreError::Missing { .. }) => read.findings.push(Finding::MissingPack { object }),
            // That says nothing about the pack.
            Err(error @ StoreError::Failed { passing: true, .. }) => return Err(error.into()),
            // A bad place on a disk is damage like any other.
            Err(error) => {
                unread += 1;
                if unread > UNREAD_MAX {
                    return Err(error.into());
                }
                read.findings.push(Finding::DamagedPack { object, reason: chain(&error) });
                read.damaged.insert(pack);
                continue;
            }
        }
        unread = 0;
        read.bytes = read.bytes.saturating_add(size);
    }
    Ok(read)
}

// What the segments say of one pack.
fn said(indexed: &[(PackName, u64, Digest)], pack: PackName) -> Vec<Digest> {
    let start = indexed.partition_point(|(name, ..)| *name < pack);
    let rest = indexed.get(start..).unwrap_or_default();
    rest.iter().take_while(|(name, ..)| *name == pack).map(|(_, _, digest)| *digest).collect()
}

// What is wrong with a pack, if anything is.
async fn read_pack(
    reader: &Reader,
    pack: PackName,
    indexed: Vec<Digest>,
) -> Result<Option<String>, StoreError> {
    let bytes = get_patiently(reader.store(), ObjectName::Pack(pack)).await?;
    let keys = Arc::clone(reader.keys());
    let verifying = move || match pack::verify(&keys, pack, &bytes) {
        Err(error) => Some(chain(&error)),
        Ok(record) => {
            let digest = record.digest(&keys);
            let agrees = indexed.iter().all(|indexed| *indexed == digest);
            (!agrees).then(|| "the index says something else about it".to_owned())
        }
    };
    Ok(blocking::run(verifying).await)
}
