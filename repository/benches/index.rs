//! The index with ten million chunks: how long it takes to make and to open, how many look-ups a
//! second one core does, and how much memory a process needs that does no more than that.
//!
//! The segments are made up when they are asked for; everything else is the real thing.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement prints, and one that cannot go on panics"
)]

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use format::control;
use format::frame::{ChunkKind, ChunkRecord, Codec};
use format::ids::{ChunkId, ObjectId, PointId, RepositoryId};
use format::index::IndexSegment;
use format::keys::{Keys, RootKey};
use format::names::{Folder, ObjectName, PackName};
use format::pack::{FrameRecord, HEADER_BYTES, PackRecord};
use repository::chunks::Chunks;
use repository::reader::Reader;
use repository::store::{Listed, ReadStore, StoreError};

const PACKS: u64 = 640_000;
const PACK_CHUNKS: u64 = 16;
const SEGMENT_PACKS: u64 = 500;
const CHUNK_BYTES: u32 = 1_000_000;
const LOOKUPS: u64 = 4_000_000;
/// How many ids are made before they are looked up, so that only the latter is measured.
const BATCH: u64 = 20_000;
const POINT: PointId = PointId::new([7; 16]);

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // What a process was told by the one that started it: where the cache is.
    if let Some(cache) = std::env::args().skip_while(|arg| arg != "--opened").nth(1) {
        return runtime.block_on(measure(Path::new(&cache)));
    }
    let cache = tempfile::tempdir().unwrap();
    println!("{} chunks in {PACKS} packs", PACKS * PACK_CHUNKS);
    let started = Instant::now();
    runtime.block_on(Chunks::load(&reader(), Some(cache.path()))).unwrap();
    println!("made in {:.2?}, {}", started.elapsed(), memory());
    let this = std::env::current_exe().unwrap();
    let child = Command::new(this).arg("--opened").arg(cache.path()).status().unwrap();
    assert!(child.success());
}

async fn measure(cache: &Path) {
    let reader = reader();
    let started = Instant::now();
    let chunks = Chunks::load(&reader, Some(cache)).await.unwrap();
    println!("opened in {:.2?}, {}", started.elapsed(), memory());
    assert_eq!(chunks.index().len(), PACKS * PACK_CHUNKS);
    let all = PACKS * PACK_CHUNKS;
    for (what, numbers, wanted) in [("hits", 0..all, true), ("misses", all..2 * all, false)] {
        let mut spent = Duration::ZERO;
        for batch in 0..LOOKUPS / BATCH {
            let ids: Vec<ChunkId> =
                (0..BATCH).map(|at| scattered(batch * BATCH + at, &numbers)).collect();
            let started = Instant::now();
            for id in &ids {
                assert_eq!(chunks.index().find(*id).unwrap().is_some(), wanted);
            }
            spent += started.elapsed();
        }
        let rate = LOOKUPS as f64 / spent.as_secs_f64();
        println!("{what}: {rate:.0} look-ups/s, {}", memory());
    }
}

fn memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mib = |field: &str| {
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    };
    format!("resident {} MiB, at most {} MiB", mib("VmRSS:"), mib("VmHWM:"))
}

fn keys() -> Keys {
    Keys::derive(&RootKey::new([1; 32]), RepositoryId::new([2; 16]))
}

fn reader() -> Reader {
    Reader::with_keys(Arc::new(MadeUp { keys: keys() }), keys())
}

// Chunks in an order in which none is near the one before.
fn scattered(number: u64, range: &Range<u64>) -> ChunkId {
    let count = range.end - range.start;
    let at = u128::from(number) * 0x9e37_79b9_7f4a_7c15 % u128::from(count);
    chunk_id(keys_once(), range.start + at as u64)
}

fn keys_once() -> &'static Keys {
    static KEYS: std::sync::OnceLock<Keys> = std::sync::OnceLock::new();
    KEYS.get_or_init(keys)
}

fn chunk_id(keys: &Keys, number: u64) -> ChunkId {
    keys.chunk_id(&number.to_le_bytes())
}

/// A repository whose objects are computed from their names.
#[derive(Debug)]
struct MadeUp {
    keys: Keys,
}

impl MadeUp {
    fn pack_name(&self, number: u64) -> PackName {
        let id = *self.keys.digest(&number.to_le_bytes()).as_bytes();
        PackName { session: POINT, id: ObjectId::new(id) }
    }

    fn pack(&self, number: u64) -> PackRecord {
        let frame = |at: u64| FrameRecord {
            offset: HEADER_BYTES as u64 + at * u64::from(CHUNK_BYTES),
            length: CHUNK_BYTES,
            kind: ChunkKind::Data,
            codec: Codec::Zstd,
            raw_length: CHUNK_BYTES,
            chunks: vec![ChunkRecord {
                id: chunk_id(&self.keys, number * PACK_CHUNKS + at),
                length: CHUNK_BYTES,
            }],
        };
        PackRecord {
            name: self.pack_name(number),
            size: size(),
            salt: [number as u8; 32],
            frames: (0..PACK_CHUNKS).map(frame).collect(),
        }
    }

    fn missing(&self, name: ObjectName) -> StoreError {
        StoreError::Missing { name, location: self.location() }
    }
}

fn size() -> u64 {
    PACK_CHUNKS * u64::from(CHUNK_BYTES) + 2000
}

#[async_trait]
impl ReadStore for MadeUp {
    fn location(&self) -> String {
        "nowhere".to_owned()
    }

    async fn get(&self, name: ObjectName) -> Result<Bytes, StoreError> {
        let ObjectName::Index(_, id) = name else { return Err(self.missing(name)) };
        let first = u128::from_be_bytes(*id.as_bytes()) as u64 * SEGMENT_PACKS;
        let packs = (first..first + SEGMENT_PACKS).map(|number| self.pack(number)).collect();
        let segment =
            control::seal(&self.keys, name, &IndexSegment { packs, previous: None }, [0; 16]);
        Ok(segment.unwrap().into())
    }

    async fn get_range(&self, name: ObjectName, _: Range<u64>) -> Result<Bytes, StoreError> {
        Err(self.missing(name))
    }

    async fn list(&self, folder: Folder) -> Result<Vec<Listed>, StoreError> {
        let segment = |number: u64| ObjectId::new(u128::from(number).to_be_bytes());
        Ok(match folder {
            Folder::Packs => {
                let listed = |n| Listed { name: ObjectName::Pack(self.pack_name(n)), size: size() };
                (0..PACKS).map(listed).collect()
            }
            Folder::Indexes => {
                let name = |n| ObjectName::Index(POINT, segment(n));
                let listed = |n| Listed { name: name(n), size: SEGMENT_PACKS * PACK_CHUNKS * 50 };
                (0..PACKS / SEGMENT_PACKS).map(listed).collect()
            }
            _ => Vec::new(),
        })
    }
}
