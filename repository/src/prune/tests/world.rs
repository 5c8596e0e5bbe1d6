//! A repository that is backed up to, restored from, pruned, and cut off anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use async_trait::async_trait;
use bytes::Bytes;
use format::frame::{ChunkKind, ChunkRecord, Encoder};
use format::ids::{ChunkId, PointId};
use format::listing;
use format::manifest::{Level, Manifest, Statistics, VolumeRecord};
use format::names::{Folder, ObjectName};
use format::pack::PackRecord;
use format::raw::RawPath;
use format::slot::Key;
use format::tree::{Content, Entry, Extent, Extents, Kind, Metadata, Slice};
use jiff::Timestamp;

use crate::chunks::Chunks;
use crate::error::RepositoryError;
use crate::forget;
use crate::maintainer::Maintainer;
use crate::pin::{self, Pinned};
use crate::prune::{Options, Plan, Progress, Prune, Report, Unused};
use crate::store::remote::RemoteStore;
use crate::store::{Listed, MaintainStore, ReadStore, Store, StoreError};
use crate::tree::{self, EntryReader, ExtentReader};
use crate::unlock;
use crate::unlock::tests::{file, new};
use crate::writer::{Known, Writer};

/// How many bytes of a file become a chunk.
pub(super) const CHUNK: usize = 64;

/// What a point holds: files in directories.
pub(super) type Files = BTreeMap<(u8, u8), Vec<u8>>;

/// A store that fails when it is told to.
#[derive(Debug)]
pub(super) struct Faulty {
    inner: Arc<dyn MaintainStore>,
    /// How many calls were made.
    pub(super) calls: AtomicU64,
    /// Which call fails, and all after it.
    pub(super) fails_at: AtomicU64,
    /// Whether the first one that fails does its work all the same.
    pub(super) loses_answer: bool,
}

impl Faulty {
    fn fault(&self) -> (bool, Option<StoreError>) {
        let (call, at) = (self.calls.fetch_add(1, SeqCst), self.fails_at.load(SeqCst));
        let error = StoreError::Failed {
            action: "go on".into(),
            location: self.location(),
            passing: false,
            source: "the machine stopped".into(),
        };
        (call == at && self.loses_answer || call < at, (call >= at).then_some(error))
    }

    async fn with<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match self.fault() {
            (true, Some(error)) => work.await.and(Err(error)),
            (false, Some(error)) => Err(error),
            (_, None) => work.await,
        }
    }
}

#[async_trait]
impl ReadStore for Faulty {
    fn location(&self) -> String {
        self.inner.location()
    }

    async fn get(&self, name: ObjectName) -> Result<Bytes, StoreError> {
        self.with(self.inner.get(name)).await
    }

    async fn get_range(&self, name: ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.with(self.inner.get_range(name, range)).await
    }

    async fn list(&self, folder: Folder) -> Result<Vec<Listed>, StoreError> {
        self.with(self.inner.list(folder)).await
    }
}

#[async_trait]
impl Store for Faulty {
    async fn create(&self, name: ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        self.with(self.inner.create(name, bytes)).await
    }
}

#[async_trait]
impl MaintainStore for Faulty {
    async fn delete(&self, name: ObjectName) -> Result<(), StoreError> {
        self.with(self.inner.delete(name)).await
    }
}

/// A repository and whoever maintains it.
pub(super) struct World {
    pub(super) maintainer: Maintainer,
    store: Arc<dyn MaintainStore>,
    key: Key,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::over(Arc::new(RemoteStore::in_memory())).await
    }

    pub(super) async fn over(store: Arc<dyn MaintainStore>) -> Self {
        let key = file(1);
        unlock::create(store.as_ref(), new(key.clone()), Vec::new()).await.unwrap();
        let maintainer = Maintainer::open(Arc::clone(&store), &key).await.unwrap();
        Self { maintainer, store, key }
    }

    /// The same repository with everything that is in it, elsewhere.
    pub(super) async fn copy(&self) -> Self {
        let store: Arc<dyn MaintainStore> = Arc::new(RemoteStore::in_memory());
        let names = self.names().await;
        for name in names.into_iter().chain([ObjectName::Descriptor]) {
            store.create(name, self.store.get(name).await.unwrap()).await.unwrap();
        }
        let maintainer = Maintainer::open(Arc::clone(&store), &self.key).await.unwrap();
        Self { maintainer, store, key: self.key.clone() }
    }

    /// The same repository through a store that fails from this call on.
    pub(super) async fn failing(&self, at: u64, loses_answer: bool) -> (Maintainer, Arc<Faulty>) {
        let (inner, calls) = (Arc::clone(&self.store), AtomicU64::new(0));
        let store = Arc::new(Faulty { inner, calls, fails_at: u64::MAX.into(), loses_answer });
        let given: Arc<dyn MaintainStore> = Arc::<Faulty>::clone(&store);
        let maintainer = Maintainer::open(given, &self.key).await.unwrap();
        store.calls.store(0, SeqCst);
        store.fails_at.store(at, SeqCst);
        (maintainer, store)
    }

    pub(super) async fn names(&self) -> Vec<ObjectName> {
        let mut names = Vec::new();
        for folder in [
            Folder::Slots,
            Folder::Generations,
            Folder::Condemned,
            Folder::Sessions,
            Folder::Outcomes,
            Folder::Packs,
            Folder::Indexes,
            Folder::Heartbeats,
            Folder::Forgotten,
            Folder::Annotations,
            Folder::Pins,
        ] {
            names.extend(self.store.list(folder).await.unwrap().into_iter().map(|l| l.name));
        }
        names
    }

    pub(super) async fn count(&self, folder: Folder) -> usize {
        self.store.list(folder).await.unwrap().len()
    }

    pub(super) async fn pack_bytes(&self) -> u64 {
        self.store.list(Folder::Packs).await.unwrap().iter().map(|listed| listed.size).sum()
    }

    /// Changes the bytes of an object.
    pub(super) async fn spoil(&self, name: ObjectName) {
        let mut bytes = self.store.get(name).await.unwrap().to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        self.store.delete(name).await.unwrap();
        self.store.create(name, bytes.into()).await.unwrap();
    }

    pub(super) async fn backup(&self, files: &Files) -> PointId {
        let mut backup = self.begin().await;
        backup.store(files).await;
        backup.commit(files).await.unwrap()
    }

    pub(super) async fn begin(&self) -> Backup {
        let reader = self.maintainer.reader();
        let store = self.maintainer.writable();
        let writer = Writer::register(store, &reader, "a host").await.unwrap();
        let known = writer.known(None).await.unwrap();
        Backup {
            writer,
            known,
            sent: BTreeSet::new(),
            packs: Vec::new(),
            root: Vec::new(),
            tree: Vec::new(),
        }
    }

    pub(super) async fn forget(&self, point: PointId) {
        let (who, why) = ("me".into(), "old".into());
        let request = forget::Request { who, when: Timestamp::UNIX_EPOCH, why };
        forget::forget(&self.maintainer, &[point], &request).await.unwrap();
    }

    pub(super) async fn pin(&self, point: PointId) -> Pinned {
        let (store, reader) = (Arc::clone(&self.store), self.maintainer.reader());
        Pinned::new(store, &reader, (pin::new_id(), &[point]), ("reader", Timestamp::UNIX_EPOCH))
            .await
            .unwrap()
    }

    pub(super) async fn prune(&self, options: Options) -> Report {
        prune(&self.maintainer, options).await.unwrap()
    }

    pub(super) async fn plan(&self, options: Options) -> Plan {
        let planned = Prune::plan(&self.maintainer, options, Arc::default()).await.unwrap();
        planned.shown().clone()
    }

    /// The files of a point, every chunk read and checked against its name.
    pub(super) async fn restore(&self, point: PointId) -> Files {
        let reader = self.maintainer.reader();
        let manifest = reader.point(point).await.unwrap().unwrap();
        let chunks = Arc::new(Chunks::load(&reader, None).await.unwrap());
        let root = tree::root(&chunks, &manifest.volumes[0].root).await.unwrap();
        let Kind::Directory { listing } = root.kind else { panic!("no directory") };
        let (mut files, mut entries) = (Files::new(), EntryReader::new(&chunks, listing));
        while let Some(directory) = entries.next().await.unwrap() {
            let Kind::Directory { listing } = directory.kind else { panic!("no directory") };
            let mut inner = EntryReader::new(&chunks, listing);
            while let Some(file) = inner.next().await.unwrap() {
                let Kind::File(content) = file.kind else { panic!("no file") };
                let mut extents = ExtentReader::new(&chunks, content);
                let mut bytes = Vec::new();
                while let Some(extent) = extents.next().await.unwrap() {
                    bytes.extend(chunks.read(extent.slice().unwrap()).await.unwrap());
                }
                files.insert((number(&directory.name), number(&file.name)), bytes);
            }
        }
        files
    }

    /// Panics unless exactly these points are there, each as it was.
    pub(super) async fn holds(&self, points: &BTreeMap<PointId, Files>) {
        let reader = self.maintainer.reader();
        let mut listed = BTreeSet::new();
        for session in reader.sessions().await.unwrap() {
            if reader.point(session).await.unwrap().is_some() {
                listed.insert(session);
            }
        }
        assert_eq!(listed, points.keys().copied().collect());
        for (point, files) in points {
            assert_eq!(self.restore(*point).await, *files, "{point}");
        }
        let report = crate::check::check(&reader, true).await.unwrap();
        assert_eq!(report.findings, []);
    }
}

pub(super) async fn prune(
    maintainer: &Maintainer,
    options: Options,
) -> Result<Report, RepositoryError> {
    let progress: Arc<Progress> = Arc::default();
    Prune::plan(maintainer, options, progress).await?.execute().await
}

/// Every unused byte goes, and a session that has not ended is ended at once.
pub(super) fn strict() -> Options {
    Options {
        max_unused: Unused::Bytes(0),
        stalled_after: std::time::Duration::ZERO,
        ..Options::usual("here", None)
    }
}

/// The same, and nobody is waited for.
pub(super) fn hasty() -> Options {
    Options { wait: false, ..strict() }
}

/// A backup that goes step by step.
pub(super) struct Backup {
    pub(super) writer: Writer,
    known: Known,
    sent: BTreeSet<ChunkId>,
    packs: Vec<PackRecord>,
    root: Vec<Slice>,
    tree: Vec<(ChunkRecord, Vec<u8>)>,
}

impl Backup {
    /// Stores what is not known to be there, in small packs.
    pub(super) async fn store(&mut self, files: &Files) {
        let mut data = Vec::new();
        let mut directories: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
        for ((directory, name), bytes) in files {
            let extents: Vec<_> = bytes
                .chunks(CHUNK)
                .map(|part| Extent::Whole(self.chunk(part, &mut data)))
                .collect();
            let (size, extents) = (bytes.len() as u64, Extents::Here(extents));
            let entry = entry(*name, Kind::File(Content { size, extents, hash: None }));
            listing::write(&entry, directories.entry(*directory).or_default());
        }
        self.send(ChunkKind::Data, data).await;
        let (mut tree, mut top) = (Vec::new(), Vec::new());
        for (name, bytes) in directories {
            let listing = vec![self.chunk(&bytes, &mut tree)];
            listing::write(&entry(name, Kind::Directory { listing }), &mut top);
        }
        let listing = if top.is_empty() { vec![] } else { vec![self.chunk(&top, &mut tree)] };
        let mut root = Vec::new();
        let (kind, metadata) = (Kind::Directory { listing }, Metadata::default());
        listing::write(&Entry { name: RawPath::default(), kind, metadata }, &mut root);
        self.root = vec![self.chunk(&root, &mut tree)];
        self.tree = tree;
    }

    /// Stores the tree, the index and the point, as often as it takes.
    pub(super) async fn commit(mut self, files: &Files) -> Result<PointId, RepositoryError> {
        loop {
            let tree = std::mem::take(&mut self.tree);
            self.send(ChunkKind::Tree, tree).await;
            self.writer.store_index(std::mem::take(&mut self.packs)).await?;
            let point = self.writer.point();
            match self.writer.stand(self.known.generation).await {
                Ok(standing) => {
                    standing.commit(manifest(point, self.root)).await?;
                    return Ok(point);
                }
                Err(writer) => {
                    let known = writer.known(None).await?;
                    self = Self { writer, known, sent: BTreeSet::new(), packs: vec![], ..self };
                    self.store(files).await;
                }
            }
        }
    }

    fn chunk(&mut self, bytes: &[u8], new: &mut Vec<(ChunkRecord, Vec<u8>)>) -> Slice {
        let id = self.writer.keys().chunk_id(bytes);
        let length = u32::try_from(bytes.len()).unwrap();
        if !self.known.chunks.index().contains(id).unwrap() && self.sent.insert(id) {
            new.push((ChunkRecord { id, length }, bytes.to_vec()));
        }
        Slice { chunk: id, offset: 0, length }
    }

    /// Stores packs of at most four frames of two chunks each.
    pub(super) async fn send(&mut self, kind: ChunkKind, chunks: Vec<(ChunkRecord, Vec<u8>)>) {
        let mut encoder = Encoder::new().unwrap();
        for pack in chunks.chunks(8) {
            let frames = pack.chunks(2).map(|frame| {
                let records = frame.iter().map(|(record, _)| *record).collect();
                let plaintext: Vec<_> = frame.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
                encoder.encode(kind, records, &plaintext)
            });
            let sealed = self.writer.seal(frames.collect()).unwrap();
            self.packs.push(self.writer.store_pack(sealed).await.unwrap());
        }
    }
}

fn entry(name: u8, kind: Kind) -> Entry {
    Entry { name: RawPath::new(format!("{name:03}")), kind, metadata: Metadata::default() }
}

fn number(name: &RawPath) -> u8 {
    name.to_string().parse().unwrap()
}

fn manifest(point: PointId, root: Vec<Slice>) -> Manifest {
    let volume = VolumeRecord {
        name: RawPath::new("v"),
        source: RawPath::new("/v"),
        driver: "none".into(),
        mounts: Vec::new(),
        root,
        files: 0,
        bytes: 0,
        data: 0,
    };
    Manifest {
        point,
        application: "a".into(),
        platform: "path".into(),
        host: "here".into(),
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

/// Numbers that look random and are the same every time.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn byte(&mut self, end: u64) -> u8 {
        u8::try_from(self.below(end)).unwrap()
    }

    /// Files of chunks that are often the same.
    pub(super) fn files(&mut self) -> Files {
        (0..12).map(|_| ((self.byte(3), self.byte(6)), self.content())).collect()
    }

    /// Files as they may be some time later.
    pub(super) fn edited(&mut self, files: &Files) -> Files {
        let mut edited = files.clone();
        for _ in 0..4 {
            edited.insert((self.byte(3), self.byte(6)), self.content());
            edited.remove(&(self.byte(3), self.byte(6)));
        }
        edited
    }

    fn content(&mut self) -> Vec<u8> {
        let chunks = self.below(6);
        (0..chunks).flat_map(|_| self.below(40).to_le_bytes().repeat(CHUNK / 8)).collect()
    }
}
