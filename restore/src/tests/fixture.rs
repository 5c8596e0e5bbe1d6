//! Repositories made of whatever a test wants in them, and what a restore should give back.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;
use bytes::Bytes;
use format::content::{ContentHasher, PAGE_BYTES};
use format::frame::{ChunkKind, ChunkRecord, Encoder, Frame};
use format::ids::{ContentHash, ObjectId, RepositoryId};
use format::keys::{Keys, RootKey};
use format::listing;
use format::manifest::{Level, Manifest, Statistics, VolumeRecord};
use format::names::{Folder, ObjectName, PackName};
use format::pack::PackRecord;
use format::raw::RawPath;
use format::tree::{
    CONTENT_HASH_BYTES_MIN, Content, Entry, Extent, Extents, FileTime, Kind, Metadata, Slice,
};
use repository::chunks::Chunks;
use repository::reader::Reader;
use repository::store::local::LocalStore;
use repository::store::{Listed, ReadStore, StoreError};
use repository::writer::Writer;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::error::RestoreError;
use crate::execute::execute;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::report::RestoreReport;
use crate::verify::{Verification, verify};

/// Numbers that look random and are the same every time.
pub(crate) struct Dice(Cell<u64>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    pub(crate) fn below(&self, end: usize) -> usize {
        let next = self.0.get().wrapping_mul(6_364_136_223_846_793_005);
        self.0.set(next.wrapping_add(1_442_695_040_888_963_407));
        usize::try_from(self.0.get() >> 33).unwrap() % end
    }

    /// Half of it compresses.
    pub(crate) fn bytes(&self, length: usize) -> Vec<u8> {
        let mut bytes = vec![b'x'; length];
        let seed = self.below(1 << 30).to_le_bytes();
        let noise = bytes.len() / 2;
        blake3_fill(&seed, &mut bytes[..noise]);
        bytes
    }
}

// The keyed digests of a counter, for there is no other source of noise here.
fn blake3_fill(seed: &[u8], bytes: &mut [u8]) {
    let root = RootKey::new([3; 32]);
    let keys = Keys::derive(&root, RepositoryId::new([4; 16]));
    for (number, part) in bytes.chunks_mut(32).enumerate() {
        let id = keys.chunk_id(&[seed, &number.to_le_bytes()].concat());
        part.copy_from_slice(&id.as_bytes()[..part.len()]);
    }
}

/// A store that counts what is fetched, and fails when told to.
#[derive(Debug)]
pub(crate) struct Watched {
    inner: LocalStore,
    pub(crate) fetched: AtomicU64,
    /// How many ranges it still gives.
    pub(crate) left: AtomicU64,
}

#[async_trait]
impl ReadStore for Watched {
    fn location(&self) -> String {
        self.inner.location()
    }

    async fn get(&self, name: ObjectName) -> Result<Bytes, StoreError> {
        self.inner.get(name).await
    }

    async fn get_range(&self, name: ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        if self.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_err() {
            return Err(StoreError::Missing { name, location: self.location() });
        }
        self.fetched.fetch_add(range.end - range.start, SeqCst);
        self.inner.get_range(name, range).await
    }

    async fn list(&self, folder: Folder) -> Result<Vec<Listed>, StoreError> {
        self.inner.list(folder).await
    }
}

/// Whoever measures the process must be alone in it.
static PROCESS: RwLock<()> = RwLock::new(());

/// A share of the process, or all of it.
enum Presence {
    Shared(#[expect(dead_code, reason = "it is held")] RwLockReadGuard<'static, ()>),
    Alone(#[expect(dead_code, reason = "it is held")] RwLockWriteGuard<'static, ()>),
}

/// A repository, a place for targets, and what runs a restore.
pub(crate) struct World {
    _presence: Presence,
    folder: TempDir,
    pub(crate) runtime: Runtime,
    pub(crate) store: Arc<Watched>,
    pub(crate) reader: Reader,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Presence::Shared(PROCESS.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// A world beside which nothing else runs in this process.
    pub(crate) fn alone() -> Self {
        Self::with(Presence::Alone(PROCESS.write().unwrap_or_else(PoisonError::into_inner)))
    }

    fn with(presence: Presence) -> Self {
        let folder = TempDir::new().unwrap();
        let runtime = Runtime::new().unwrap();
        let inner = runtime.block_on(LocalStore::make(folder.path().join("repository"))).unwrap();
        let (fetched, left) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
        let store = Arc::new(Watched { inner: inner.clone(), fetched, left });
        let readable: Arc<dyn ReadStore> = Arc::<Watched>::clone(&store);
        let keys = Keys::derive(&RootKey::new([1; 32]), RepositoryId::new([2; 16]));
        let reader = Reader::with_keys(readable, keys);
        Self { _presence: presence, folder, runtime, store, reader }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn point(&self) -> Point {
        let store = Arc::new(self.store.inner.clone());
        let writer = self.runtime.block_on(Writer::register(store, &self.reader, "host")).unwrap();
        Point {
            writer,
            encoder: Encoder::new().unwrap(),
            frames: Vec::new(),
            open: BTreeMap::new(),
            chunks: Vec::new(),
        }
    }

    pub(crate) fn chunks(&self) -> Arc<Chunks> {
        Arc::new(self.runtime.block_on(Chunks::load(&self.reader, None)).unwrap())
    }

    /// The file of a pack.
    pub(crate) fn pack(&self, name: impl std::fmt::Display) -> PathBuf {
        self.path("repository").join(name.to_string())
    }

    /// Stores the point and makes it exist.
    pub(crate) fn commit(&self, mut point: Point, root: Kind, files: u64) -> Manifest {
        let volume = point.volume("volume", root, files);
        self.commit_volumes(point, vec![volume], 6, |_| {})
    }

    /// The same for any volumes, so many frames to a pack. `spoil` is what is done to what the
    /// index says.
    pub(crate) fn commit_volumes(
        &self,
        mut point: Point,
        volumes: Vec<VolumeRecord>,
        pack_frames: usize,
        spoil: impl FnOnce(&mut Vec<PackRecord>),
    ) -> Manifest {
        point.close(ChunkKind::Tree);
        point.close(ChunkKind::Data);
        let Point { writer, frames, .. } = point;
        let manifest = Manifest {
            point: writer.point(),
            application: "a".into(),
            platform: "path".into(),
            host: "host".into(),
            taken: jiff::Timestamp::UNIX_EPOCH,
            level: Level::Fuzzy,
            remarks: Vec::new(),
            volumes,
            definition: serde_json::Value::Null,
            evidence: None,
            statistics: Statistics::default(),
            omissions: Vec::new(),
            occasion: None,
        };
        self.runtime.block_on(async {
            let mut packs = Vec::new();
            for (number, frames) in (0_u128..).zip(frames.chunks(pack_frames)) {
                // Without the check of `Writer::seal`: frames may be bad on purpose.
                let id = ObjectId::new(number.to_be_bytes());
                let name = PackName { session: writer.point(), id };
                let pack = format::pack::seal(writer.keys(), name, frames.to_vec(), Vec::new());
                packs.push(writer.store_pack(pack).await.unwrap());
            }
            spoil(&mut packs);
            writer.store_index(packs).await.unwrap();
            writer.stand(0).await.unwrap().commit(manifest.clone()).await.unwrap();
        });
        manifest
    }

    /// Restores to a new directory, or in place if `delete` is given.
    pub(crate) fn restore(
        &self,
        manifest: &Manifest,
        target: &Path,
        in_place: Option<bool>,
    ) -> Result<RestoreReport, RestoreError> {
        let chunks = self.chunks();
        let plan = match in_place {
            Some(delete) => {
                Plan::make_in_place(manifest, target, delete, &chunks, self.runtime.handle())?
            }
            None => Plan::make(manifest, target)?,
        };
        let work = execute(plan.clear()?, manifest.clone(), chunks, Arc::new(Progress::default()));
        self.runtime.block_on(work)
    }

    /// Restores to nowhere.
    pub(crate) fn verify(&self, manifest: &Manifest) -> Verification {
        let progress = Arc::new(Progress::default());
        self.runtime.block_on(verify(manifest.clone(), self.chunks(), progress)).unwrap()
    }
}

/// A restore point that is being written.
pub(crate) struct Point {
    writer: Writer,
    encoder: Encoder,
    pub(crate) frames: Vec<Frame>,
    open: BTreeMap<u8, (Vec<ChunkRecord>, Vec<u8>)>,
    /// The data chunks so far.
    pub(crate) chunks: Vec<(Slice, Vec<u8>)>,
}

/// What a file should hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) bytes: Vec<u8>,
    pub(crate) extents: Vec<Extent>,
    /// Which bytes are not in holes.
    pub(crate) data: Vec<Range<usize>>,
}

impl Point {
    pub(crate) fn keys(&self) -> &Keys {
        self.writer.keys()
    }

    pub(crate) fn chunk(&mut self, kind: ChunkKind, bytes: &[u8]) -> Slice {
        let length = u32::try_from(bytes.len()).unwrap();
        let id = self.keys().chunk_id(bytes);
        let (records, plaintext) = self.open.entry(kind as u8).or_default();
        records.push(ChunkRecord { id, length });
        plaintext.extend_from_slice(bytes);
        if plaintext.len() >= 300_000 {
            self.close(kind);
        }
        let slice = Slice { chunk: id, offset: 0, length };
        if kind == ChunkKind::Data {
            self.chunks.push((slice, bytes.to_vec()));
        }
        slice
    }

    pub(crate) fn close(&mut self, kind: ChunkKind) {
        if let Some((records, plaintext)) = self.open.remove(&(kind as u8)) {
            self.frames.push(self.encoder.encode(kind, records, &plaintext));
        }
    }

    /// A volume with this root, which is stored.
    pub(crate) fn volume(&mut self, name: &str, root: Kind, files: u64) -> VolumeRecord {
        let entry = Entry { name: RawPath::default(), kind: root, metadata: metadata(0o755) };
        let mut bytes = Vec::new();
        listing::write(&entry, &mut bytes);
        VolumeRecord {
            name: RawPath::new(name),
            source: RawPath::new("/volume"),
            driver: "none".into(),
            mounts: Vec::new(),
            root: vec![self.chunk(ChunkKind::Tree, &bytes)],
            files,
            bytes: 0,
            data: 0,
        }
    }

    pub(crate) fn directory(&mut self, entries: &[Entry]) -> Kind {
        let mut listing = Vec::new();
        for part in entries.chunks(100) {
            let mut bytes = Vec::new();
            for entry in part {
                listing::write(entry, &mut bytes);
            }
            listing.push(self.chunk(ChunkKind::Tree, &bytes));
        }
        Kind::Directory { listing }
    }

    pub(crate) fn add_chunk(&mut self, model: &mut Model, bytes: &[u8]) {
        let slice = self.chunk(ChunkKind::Data, bytes);
        model.add(Extent::Whole(slice), Some(bytes));
    }

    /// Holes, new chunks, and chunks and parts of chunks that others have too.
    pub(crate) fn random_file(&mut self, dice: &Dice, extents: usize, length: usize) -> Model {
        let mut model = Model::default();
        for _ in 0..extents {
            let known = (!self.chunks.is_empty()).then(|| dice.below(self.chunks.len()));
            match (dice.below(6), known) {
                (0, _) => {
                    let length = 1 + dice.below([100, 5000, 3_000_000][dice.below(3)]);
                    model.add(Extent::Hole { length: length as u64 }, None);
                }
                (1, Some(known)) => {
                    let (slice, bytes) = self.chunks[known].clone();
                    model.add(Extent::Whole(slice), Some(&bytes));
                }
                (2 | 3, Some(known)) => {
                    let (slice, bytes) = self.chunks[known].clone();
                    let start = dice.below(bytes.len());
                    let part = &bytes[start..start + 1 + dice.below(bytes.len() - start)];
                    let offset = u32::try_from(start).unwrap();
                    let length = u32::try_from(part.len()).unwrap();
                    let digest = self.keys().digest(part);
                    let slice = Slice { offset, length, ..slice };
                    model.add(Extent::Part { slice, digest }, Some(part));
                }
                _ => {
                    let bytes = dice.bytes(1 + dice.below(length));
                    self.add_chunk(&mut model, &bytes);
                }
            }
        }
        model
    }

    /// The content of a model, its extents stored apart when they are many.
    pub(crate) fn content(&mut self, model: &Model) -> Content {
        let size = model.bytes.len() as u64;
        let hash = (size >= CONTENT_HASH_BYTES_MIN).then(|| model.hash(self.keys()));
        let extents = if model.extents.len() <= 10 {
            Extents::Here(model.extents.clone())
        } else {
            let mut slices = Vec::new();
            for part in model.extents.chunks(7) {
                let mut bytes = Vec::new();
                for extent in part {
                    format::stream::write(extent, &mut bytes);
                }
                slices.push(self.chunk(ChunkKind::Tree, &bytes));
            }
            Extents::Stored(slices)
        };
        Content { size, extents, hash }
    }

    pub(crate) fn file(&mut self, name: &str, model: &Model) -> Entry {
        let kind = Kind::File(self.content(model));
        Entry { name: RawPath::new(name), kind, metadata: metadata(0o640) }
    }
}

impl Model {
    fn add(&mut self, extent: Extent, bytes: Option<&[u8]>) {
        let start = self.bytes.len();
        let length = usize::try_from(extent.length()).unwrap();
        self.bytes.extend_from_slice(bytes.unwrap_or(&vec![0; length]));
        if bytes.is_some() {
            self.data.push(start..start + length);
        }
        self.extents.push(extent);
    }

    /// As docs/format.md#content-hash has it.
    pub(crate) fn hash(&self, keys: &Keys) -> ContentHash {
        let mut hasher = ContentHasher::new(keys);
        let (mut data, mut next) = (self.data.iter().peekable(), 0);
        for (number, page) in self.bytes.chunks(PAGE_BYTES).enumerate() {
            let end = next + page.len();
            while data.next_if(|run| run.end <= next).is_some() {}
            if data.peek().is_some_and(|run| run.start < end) {
                hasher.page(number as u64, keys.digest(page));
            }
            next = end;
        }
        hasher.finish(self.bytes.len() as u64)
    }
}

pub(crate) fn metadata(mode: u32) -> Metadata {
    let modified = FileTime { seconds: 1_234_567_890, nanoseconds: 5 };
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    Metadata { mode, uid, gid, modified, ..Metadata::default() }
}

pub(crate) fn entry(name: &str, kind: Kind) -> Entry {
    let mode = if matches!(kind, Kind::Symlink { .. }) { 0o777 } else { 0o700 };
    Entry { name: RawPath::new(name), kind, metadata: metadata(mode) }
}
