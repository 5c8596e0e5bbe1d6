//! A prune of 100,000 small packs, with every request to the store counted; and the looking part of
//! one of ten million chunks, with the memory that it takes.
//!
//! The first repository is real and in memory, the packs of the second are made up when they are
//! asked for.

#![allow(
    clippy::cast_possible_truncation,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement prints, and one that cannot go on panics"
)]

#[path = "prune/made_up.rs"]
mod made_up;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use format::frame::{ChunkKind, ChunkRecord, Codec, Frame};
use format::ids::{ChunkId, ObjectId, PointId, RepositoryId, SlotId};
use format::index::IndexSegment;
use format::keys::{Keys, RootKey};
use format::manifest::{Level, Manifest, Statistics, VolumeRecord};
use format::names::{Folder, ObjectName, PackName};
use format::pack::{self, PackRecord};
use format::raw::RawPath;
use format::session::{Outcome, SessionEnd};
use format::slot::{Inscription, Key, KeyFile, Label, Slot};
use format::tree::{Content, Entry, Extent, Extents, Kind, Metadata, Slice};
use format::{control, descriptor, listing, stream};
use jiff::Timestamp;
use repository::forget;
use repository::maintainer::Maintainer;
use repository::prune::{Options, Progress, Prune, Unused};
use repository::store::{Listed, MaintainStore, ReadStore, Store, StoreError};

const PACKS: u64 = 100_000;
const PACK_CHUNKS: u64 = 10;
const SEGMENT_PACKS: usize = 500;
/// How many files a directory has.
const DIRECTORY_FILES: u64 = 100;

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Some(cache) = std::env::args().skip_while(|arg| arg != "--ten-million").nth(1) {
        return runtime.block_on(made_up::measure(cache.as_ref()));
    }
    runtime.block_on(many_packs());
    // Without a cache, and with what that has left.
    let cache = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.arg("--ten-million").arg(cache.path());
        assert!(child.status().unwrap().success());
    }
}

// Of every three packs the first point alone needs one, the second point needs one, and of the last
// one each needs half.
async fn many_packs() {
    let store = Arc::new(Counted::default());
    let (keys, key) = open(store.as_ref()).await;
    let mut packs = Vec::new();
    for number in 0..PACKS {
        packs.push(put_pack(
            &store,
            &keys,
            number,
            number * PACK_CHUNKS..(number + 1) * PACK_CHUNKS,
        ));
    }
    for (number, packs) in (0..).zip(packs.chunks(SEGMENT_PACKS)) {
        put_segment(&store, &keys, number, packs.to_vec());
    }
    let needs = |which: u64| {
        move |chunk: &u64| match chunk / PACK_CHUNKS % 3 {
            2 => chunk % 2 == which,
            third => third == which,
        }
    };
    let (one, other) = (PointId::new([1; 16]), PointId::new([2; 16]));
    for (which, point) in [(0, one), (1, other)] {
        put_point(&store, &keys, point, (0..PACKS * PACK_CHUNKS).filter(needs(which)));
    }
    let given: Arc<dyn MaintainStore> = Arc::<Counted>::clone(&store);
    let maintainer = Maintainer::open(given, &key).await.unwrap();
    let request = forget::Request {
        who: "bench".into(),
        when: Timestamp::UNIX_EPOCH,
        why: "to see what it costs".into(),
    };
    forget::forget(&maintainer, &[one], &request).await.unwrap();
    store.counts.lock().unwrap().clear();
    let before = memory("VmRSS:");
    let cache = tempfile::tempdir().unwrap();
    let options = Options {
        stalled_after: Duration::ZERO,
        ..Options::usual("bench", Some(cache.path().to_owned()))
    };
    let started = Instant::now();
    let progress: Arc<Progress> = Arc::default();
    let prune = Prune::plan(&maintainer, options, Arc::clone(&progress)).await.unwrap();
    println!("{PACKS} packs, {} chunks", PACKS * PACK_CHUNKS);
    println!("planned in {:.1?}: {}", started.elapsed(), store.counted());
    let plan = prune.shown();
    println!("  delete {:?}, write anew {:?}, copy {}", plan.delete, plan.repack, plan.copy);
    let started = Instant::now();
    let report = prune.execute().await.unwrap();
    println!("executed in {:.1?}: {}", started.elapsed(), store.counted());
    println!("  {report:?}");
    println!("memory beside the repository: at most {} MiB", memory("VmHWM:") - before);
}

fn memory(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Makes the door of a repository; returns its keys and the key that opens it.
async fn open(store: &dyn Store) -> (Keys, Key) {
    let (root, repository) = (RootKey::new([1; 32]), RepositoryId::new([2; 16]));
    let (slot, key) = (SlotId::new([3; 8]), Key::File(KeyFile::new([4; 32])));
    let inscription = Inscription { label: Label::default(), created: Timestamp::UNIX_EPOCH };
    let wrapped = Slot::wrap((&root, repository), slot, &key, inscription, [5; 32]).unwrap();
    store.create(ObjectName::Slot(slot), wrapped.to_bytes().into()).await.unwrap();
    let descriptor = descriptor::Descriptor::new(repository).to_bytes();
    store.create(ObjectName::Descriptor, descriptor.into()).await.unwrap();
    (Keys::derive(&root, repository), key)
}

fn chunk(keys: &Keys, number: u64) -> (ChunkRecord, Vec<u8>) {
    let bytes = number.to_le_bytes().to_vec();
    (ChunkRecord { id: keys.chunk_id(&bytes), length: bytes.len() as u32 }, bytes)
}

fn whole(record: &ChunkRecord) -> Slice {
    Slice { chunk: record.id, offset: 0, length: record.length }
}

fn put_pack(store: &Counted, keys: &Keys, number: u64, chunks: Range<u64>) -> PackRecord {
    let chunks: Vec<_> = chunks.map(|number| chunk(keys, number)).collect();
    put_chunks(store, keys, (PointId::new([9; 16]), number), ChunkKind::Data, chunks)
}

// One frame, as it is.
fn put_chunks(
    store: &Counted,
    keys: &Keys,
    (session, number): (PointId, u64),
    kind: ChunkKind,
    chunks: Vec<(ChunkRecord, Vec<u8>)>,
) -> PackRecord {
    let (chunks, bytes): (Vec<_>, Vec<_>) = chunks.into_iter().unzip();
    let bytes = bytes.concat();
    let raw_length = bytes.len() as u32;
    let frame = Frame { kind, chunks, raw_length, codec: Codec::Plain, bytes };
    // Names are random, so they do not come in order.
    let id = ObjectId::new(*keys.digest(&number.to_le_bytes()).as_bytes());
    let sealed = pack::seal(keys, PackName { session, id }, vec![frame], Vec::new());
    store.put(ObjectName::Pack(sealed.record.name), sealed.bytes.into());
    sealed.record
}

fn put_segment(store: &Counted, keys: &Keys, number: u64, packs: Vec<PackRecord>) {
    let id = ObjectId::new(u128::from(number).to_be_bytes());
    let name = ObjectName::Index(PointId::new([9; 16]), id);
    let segment = IndexSegment { packs, previous: None };
    store.put(name, control::seal(keys, name, &segment, [0; 16]).unwrap().into());
}

/// A point with directories of files of ten chunks.
fn put_point(store: &Counted, keys: &Keys, point: PointId, chunks: impl Iterator<Item = u64>) {
    let chunks: Vec<Slice> = chunks.map(|number| whole(&chunk(keys, number).0)).collect();
    let files: Vec<Kind> = chunks
        .chunks(10)
        .map(|slices| {
            let extents: Vec<_> = slices.iter().copied().map(Extent::Whole).collect();
            let size = extents.iter().map(Extent::length).sum();
            Kind::File(Content { size, extents: Extents::Here(extents), hash: None })
        })
        .collect();
    let mut tree = Tree { keys: keys.clone(), chunks: Vec::new() };
    let directories: Vec<_> =
        files.chunks(DIRECTORY_FILES as usize).map(|files| tree.directory(files)).collect();
    let top = tree.directory(&directories);
    put_tree(store, keys, point, tree, top);
}

fn put_tree(store: &Counted, keys: &Keys, point: PointId, mut tree: Tree, top: Kind) {
    let root = tree.stream(&[("", top)]);
    let mut packs = Vec::new();
    // Frames of about 1 MiB.
    let mut chunks = tree.chunks.into_iter().peekable();
    while chunks.peek().is_some() {
        let (mut frame, mut bytes) = (Vec::new(), 0);
        while bytes < 1 << 20
            && let Some(next) = chunks.next()
        {
            bytes += next.1.len();
            frame.push(next);
        }
        let number = packs.len() as u64;
        packs.push(put_chunks(store, keys, (point, number), ChunkKind::Tree, frame));
    }
    let name = ObjectName::Index(point, ObjectId::new([0; 16]));
    let segment = IndexSegment { packs, previous: None };
    store.put(name, control::seal(keys, name, &segment, [0; 16]).unwrap().into());
    for session in [point, PointId::new([9; 16])] {
        let name = ObjectName::Outcome(session);
        let volume = VolumeRecord {
            name: RawPath::new("v"),
            source: RawPath::new("/v"),
            driver: "none".into(),
            mounts: Vec::new(),
            root: root.clone(),
            files: 0,
            bytes: 0,
            data: 0,
        };
        let end = SessionEnd::Commit(Box::new(manifest(point, volume)));
        let end = if session == point { end } else { SessionEnd::Repacked };
        let outcome = Outcome { nonce: ObjectId::new([0; 16]), end, previous: None };
        store.put(name, control::seal(keys, name, &outcome, [0; 16]).unwrap().into());
    }
}

fn manifest(point: PointId, volume: VolumeRecord) -> Manifest {
    Manifest {
        point,
        application: "a".into(),
        platform: "path".into(),
        host: "bench".into(),
        taken: Timestamp::UNIX_EPOCH,
        level: Level::Fuzzy,
        remarks: Vec::new(),
        volumes: vec![volume],
        definition: serde_json::Value::Null,
        evidence: None,
        statistics: Statistics::default(),
        omissions: Vec::new(),
        occasion: None,
    }
}

/// The chunks of a tree.
struct Tree {
    keys: Keys,
    chunks: Vec<(ChunkRecord, Vec<u8>)>,
}

impl Tree {
    fn directory(&mut self, entries: &[Kind]) -> Kind {
        let names: Vec<_> = (0..entries.len()).map(|number| format!("{number:08}")).collect();
        let entries: Vec<_> =
            names.iter().map(String::as_str).zip(entries.iter().cloned()).collect();
        Kind::Directory { listing: self.stream(&entries) }
    }

    fn stream(&mut self, entries: &[(&str, Kind)]) -> Vec<Slice> {
        let mut bytes = Vec::new();
        for (name, kind) in entries {
            let (name, kind) = (RawPath::new(*name), kind.clone());
            listing::write(&Entry { name, kind, metadata: Metadata::default() }, &mut bytes);
        }
        self.cut(&bytes)
    }

    fn extents(&mut self, extents: impl Iterator<Item = Extent>) -> Vec<Slice> {
        let mut bytes = Vec::new();
        extents.for_each(|extent| stream::write(&extent, &mut bytes));
        self.cut(&bytes)
    }

    fn cut(&mut self, bytes: &[u8]) -> Vec<Slice> {
        let mut slices = Vec::new();
        for part in bytes.chunks(1 << 20) {
            let record = ChunkRecord { id: self.keys.chunk_id(part), length: part.len() as u32 };
            slices.push(whole(&record));
            self.chunks.push((record, part.to_vec()));
        }
        slices
    }
}

/// A store in memory that counts.
#[derive(Debug, Default)]
struct Counted {
    objects: Mutex<BTreeMap<ObjectName, Bytes>>,
    counts: Mutex<BTreeMap<String, u64>>,
    listed: AtomicU64,
}

impl Counted {
    fn put(&self, name: ObjectName, bytes: Bytes) {
        self.objects.lock().unwrap().insert(name, bytes);
    }

    fn count(&self, what: &str, name: &str) {
        let folder = name.split('/').next().unwrap();
        *self.counts.lock().unwrap().entry(format!("{what} {folder}")).or_default() += 1;
    }

    /// What was counted since the last time.
    fn counted(&self) -> String {
        let counts = std::mem::take(&mut *self.counts.lock().unwrap());
        let counts: Vec<_> = counts.iter().map(|(what, n)| format!("{n} {what}")).collect();
        format!("{}; {} pages of listings", counts.join(", "), self.listed.swap(0, Relaxed))
    }

    fn object(&self, name: ObjectName) -> Result<Bytes, StoreError> {
        let found = self.objects.lock().unwrap().get(&name).cloned();
        found.ok_or(StoreError::Missing { name, location: self.location() })
    }
}

#[async_trait]
impl ReadStore for Counted {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    async fn get(&self, name: ObjectName) -> Result<Bytes, StoreError> {
        self.count("get", &name.to_string());
        self.object(name)
    }

    async fn get_range(&self, name: ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.count("get", &name.to_string());
        Ok(self.object(name)?.slice(range.start as usize..range.end as usize))
    }

    async fn list(&self, folder: Folder) -> Result<Vec<Listed>, StoreError> {
        self.count("list", folder.as_str());
        let prefix = format!("{}/", folder.as_str());
        let objects = self.objects.lock().unwrap();
        let listed = objects.iter().filter(|(name, _)| name.to_string().starts_with(&prefix));
        let listed: Vec<_> =
            listed.map(|(name, bytes)| Listed { name: *name, size: bytes.len() as u64 }).collect();
        // As a bucket gives them.
        self.listed.fetch_add((listed.len() as u64).div_ceil(1000).max(1), Relaxed);
        Ok(listed)
    }
}

#[async_trait]
impl Store for Counted {
    async fn create(&self, name: ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        self.count("create", &name.to_string());
        match self.objects.lock().unwrap().entry(name) {
            std::collections::btree_map::Entry::Occupied(_) => {
                Err(StoreError::Exists { name, location: "memory".to_owned() })
            }
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(bytes);
                Ok(())
            }
        }
    }
}

#[async_trait]
impl MaintainStore for Counted {
    async fn delete(&self, name: ObjectName) -> Result<(), StoreError> {
        self.count("delete", &name.to_string());
        self.objects.lock().unwrap().remove(&name);
        Ok(())
    }
}

fn chunk_id(keys: &Keys, number: u64) -> ChunkId {
    keys.chunk_id(&number.to_le_bytes())
}

fn unlimited() -> Options {
    Options { max_unused: Unused::Unlimited, ..Options::usual("bench", None) }
}
