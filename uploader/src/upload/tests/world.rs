//! A repository in memory beside which a prune can be at work, and directories to be saved.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use format::control;
use format::ids::{ObjectId, PointId, RepositoryId};
use format::keys::{Keys, RootKey};
use format::manifest::{Level, Manifest, VolumeRecord};
use format::names::{Folder, ObjectName, PackName};
use format::prune::{Condemned, Generation};
use format::raw::RawPath;
use format::session::{Outcome, SessionEnd};
use format::tree::{Entry, FileTime, Kind, Slice};
use platform::application::FileTree;
use repository::chunks::Chunks;
use repository::reader::Reader;
use repository::store::remote::RemoteStore;
use repository::store::{Listed, MaintainStore as _, ReadStore, Store, StoreError};
use repository::tree::{self, EntryReader, ExtentReader};
use tempfile::TempDir;

use crate::error::UploadError;
use crate::progress::Progress;
use crate::selection::Selection;
use crate::upload::{Directories, Upload, Uploaded};
use crate::volume::{Stillness, Volume};

type Step = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;
type Script = Arc<dyn Fn(ObjectName) -> Step + Send + Sync>;

/// A store in memory. A test may have something happen before an object is created.
#[derive(Clone)]
pub(super) struct Scripted {
    pub(super) inner: RemoteStore,
    script: Arc<Mutex<Option<Script>>>,
    /// How many objects were read.
    pub(super) fetched: Arc<AtomicU64>,
}

pub(super) struct World {
    folder: TempDir,
    pub(super) store: Scripted,
    pub(super) reader: Reader,
}

impl World {
    pub(super) fn new() -> Self {
        let store = Scripted {
            inner: RemoteStore::in_memory(),
            script: Arc::default(),
            fetched: Arc::default(),
        };
        let keys = Keys::derive(&RootKey::new([1; 32]), RepositoryId::new([2; 16]));
        let reader = Reader::with_keys(Arc::new(store.clone()), keys);
        Self { folder: TempDir::new().unwrap(), store, reader }
    }

    /// A directory with these files.
    pub(super) fn directory(&self, name: &str, files: &[(&str, Vec<u8>)]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir(&path).unwrap();
        for (name, bytes) in files {
            fs::write(path.join(name), bytes).unwrap();
        }
        path
    }

    /// A directory to be saved, whose files stand still.
    pub(super) fn volume(root: PathBuf, parent: Option<&Manifest>) -> Volume {
        Volume {
            name: RawPath::new(b"volume"),
            tree: FileTree { root, ..FileTree::default() },
            // What was just written counts as old, so that it need not be read twice.
            stillness: Stillness::Snapshot(FileTime { seconds: i64::MAX, nanoseconds: 0 }),
            parent: parent.map(|manifest| manifest.volumes[0].root.clone()),
            selection: Selection::default(),
            full: false,
            base: None,
            page_maps: None,
        }
    }

    pub(super) async fn begin(&self, progress: &Arc<Progress>) -> Upload {
        let store = Arc::new(self.store.clone());
        let progress = Arc::clone(progress);
        let directories = Directories::default();
        Upload::begin(store, &self.reader, "here", directories, progress).await.unwrap()
    }

    /// One that can read ahead.
    pub(super) async fn begin_with_spool(&self, progress: &Arc<Progress>) -> Upload {
        let (store, progress) = (Arc::new(self.store.clone()), Arc::clone(progress));
        let directories = Directories { spool: Some(self.folder.path()), cache: None };
        Upload::begin(store, &self.reader, "here", directories, progress).await.unwrap()
    }

    /// A point of this directory.
    pub(super) async fn save(&self, root: PathBuf) -> Manifest {
        let upload = self.begin(&Arc::default()).await;
        commit(upload.volume(Self::volume(root, None)).await.unwrap()).await.unwrap()
    }

    /// From now on this happens whenever an object is about to be created; with an error, it is not.
    pub(super) fn script<F>(
        &self,
        script: impl Fn(Scripted, ObjectName) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let store = self.store.clone();
        let script: Script = Arc::new(move |name| Box::pin(script(store.clone(), name)));
        *self.store.script.lock().unwrap() = Some(script);
    }

    /// The files of a point, read from the packs that are there now.
    pub(super) async fn files(&self, manifest: &Manifest) -> BTreeMap<String, Vec<u8>> {
        let chunks = Arc::new(Chunks::load(&self.reader, None).await.unwrap());
        let root = tree::root(&chunks, &manifest.volumes[0].root).await.unwrap();
        let Kind::Directory { listing } = root.kind else { panic!("the root is no directory") };
        let mut entries = EntryReader::new(&chunks, listing);
        let mut files = BTreeMap::new();
        while let Some(Entry { name, kind, .. }) = entries.next().await.unwrap() {
            let Kind::File(content) = kind else { panic!("{name} is no file") };
            let mut extents = ExtentReader::new(&chunks, content);
            let mut bytes = Vec::new();
            while let Some(extent) = extents.next().await.unwrap() {
                let slice: Slice = extent.slice().expect("no file has holes");
                bytes.extend_from_slice(&chunks.read(slice).await.unwrap());
            }
            files.insert(name.to_string(), bytes);
        }
        files
    }

    /// Every object of this folder.
    pub(super) async fn list(&self, folder: Folder) -> Vec<Listed> {
        self.store.inner.list(folder).await.unwrap()
    }
}

impl Scripted {
    /// What a prune writes to condemn the packs of these sessions; returns the packs.
    pub(super) async fn condemn(&self, number: u64, sessions: &[PointId]) -> Vec<ObjectName> {
        let listed = self.inner.list(Folder::Packs).await.unwrap();
        let names = listed.into_iter().map(|listed| listed.name);
        let is_of = |pack: PackName| sessions.contains(&pack.session);
        let of = |name: &ObjectName| matches!(name, ObjectName::Pack(pack) if is_of(*pack));
        let objects: Vec<_> = names.filter(of).collect();
        let nonce = ObjectId::new([0; 16]);
        let list = Condemned { nonce, objects: objects.clone(), previous: None };
        self.put(ObjectName::Condemned(number), &list).await;
        let generation = Generation { number, nonce, who: "prune".into(), previous: None };
        self.put(ObjectName::Generation(number), &generation).await;
        objects
    }

    /// What a prune writes to end a session.
    pub(super) async fn fence(&self, point: PointId) {
        let nonce = ObjectId::new([0; 16]);
        let fence = Outcome { nonce, end: SessionEnd::Fenced, previous: None };
        self.put(ObjectName::Outcome(point), &fence).await;
    }

    pub(super) async fn delete(&self, names: &[ObjectName]) {
        for name in names {
            self.inner.delete(*name).await.unwrap();
        }
    }

    async fn put(&self, name: ObjectName, content: &impl serde::Serialize) {
        let keys = Keys::derive(&RootKey::new([1; 32]), RepositoryId::new([2; 16]));
        let bytes = control::seal(&keys, name, content, [0; 16]).unwrap();
        self.inner.create(name, bytes.into()).await.unwrap();
    }
}

/// Commits an upload of one volume.
pub(super) async fn commit(upload: Upload) -> Result<Manifest, UploadError> {
    upload.commit(|uploaded| manifest(&uploaded)).await
}

pub(super) fn manifest(uploaded: &Uploaded<'_>) -> Manifest {
    let Uploaded { point, statistics, volumes, restarts } = uploaded;
    let stored = volumes.values().next().unwrap();
    let volume = VolumeRecord {
        name: RawPath::new(b"volume"),
        source: RawPath::new(b"/"),
        driver: "none".into(),
        mounts: Vec::new(),
        root: stored.root.clone(),
        files: stored.files,
        bytes: stored.bytes,
        data: stored.data,
    };
    Manifest {
        point: *point,
        application: "a".into(),
        platform: "path".into(),
        host: "here".into(),
        taken: jiff::Timestamp::UNIX_EPOCH,
        level: Level::Fuzzy,
        remarks: vec![restarts.to_string()],
        volumes: vec![volume],
        definition: serde_json::Value::Null,
        evidence: None,
        statistics: *statistics,
        omissions: stored.omissions.clone(),
        occasion: None,
    }
}

/// Bytes that do not compress, others for each seed.
pub(super) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}

pub(super) fn refusal() -> StoreError {
    StoreError::Failed {
        action: "create".into(),
        location: "a script".into(),
        passing: false,
        source: "a test".into(),
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ReadStore for Scripted {
    fn location(&self) -> String {
        "a script".to_owned()
    }

    async fn get(&self, name: ObjectName) -> Result<Bytes, StoreError> {
        self.fetched.fetch_add(1, SeqCst);
        self.inner.get(name).await
    }

    async fn get_range(&self, name: ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.fetched.fetch_add(1, SeqCst);
        self.inner.get_range(name, range).await
    }

    async fn list(&self, folder: Folder) -> Result<Vec<Listed>, StoreError> {
        self.inner.list(folder).await
    }
}

#[async_trait]
impl Store for Scripted {
    async fn create(&self, name: ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        let script = self.script.lock().unwrap().clone();
        if let Some(script) = script {
            script(name).await?;
        }
        self.inner.create(name, bytes).await
    }
}
