//! A repository in memory, whose store can fail, and beside which a prune can be at work.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use format::control;
use format::frame::{ChunkKind, ChunkRecord, Encoder};
use format::ids::{ChunkId, ObjectId, PointId, RepositoryId};
use format::keys::{Keys, RootKey};
use format::manifest::{Level, Manifest, Statistics};
use format::names::{Folder, ObjectName, PackName};
use format::prune::{Condemned, Generation};
use format::session::{Heartbeat, Outcome, SessionEnd};

use crate::reader::Reader;
use crate::store::remote::RemoteStore;
use crate::store::{Listed, ReadStore, Store, StoreError};
use crate::writer::Writer;

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// It is carried out, and nobody learns of it.
    Lost,
    /// It is carried out, and may be lost in a power cut.
    NotDurable,
    /// It is not carried out, and will not be.
    Refused,
}

pub(super) type Objects = Vec<(ObjectName, Bytes)>;

/// A store that does what a test says.
#[derive(Debug)]
pub(super) struct Scripted {
    inner: RemoteStore,
    faults: Mutex<Vec<(Folder, Fault)>>,
    unreadable: Mutex<Option<ObjectName>>,
    /// What appears as soon as an object of a folder is created.
    meanwhile: Mutex<Vec<(Folder, Objects)>>,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) store: Arc<Scripted>,
    pub(super) reader: Reader,
}

impl World {
    pub(super) fn new() -> Self {
        let store = Arc::new(Scripted {
            inner: RemoteStore::in_memory(),
            faults: Mutex::default(),
            unreadable: Mutex::default(),
            meanwhile: Mutex::default(),
        });
        let keys = Keys::derive(&RootKey::new([1; 32]), RepositoryId::new([2; 16]));
        let readable: Arc<dyn ReadStore> = Arc::<Scripted>::clone(&store);
        Self { store, reader: Reader::with_keys(readable, keys) }
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        Arc::<Scripted>::clone(&self.store)
    }

    pub(super) async fn register(&self) -> Writer {
        Writer::register(self.store(), &self.reader, "here").await.unwrap()
    }

    /// The next object of this folder that is created has this fault.
    pub(super) fn fail(&self, folder: Folder, fault: Fault) {
        self.store.faults.lock().unwrap().push((folder, fault));
    }

    pub(super) fn make_unreadable(&self, name: Option<ObjectName>) {
        *self.store.unreadable.lock().unwrap() = name;
    }

    /// When the next object of this folder is created, these appear.
    pub(super) fn when_created(&self, folder: Folder, objects: Objects) {
        self.store.meanwhile.lock().unwrap().push((folder, objects));
    }

    pub(super) async fn put(&self, objects: impl IntoIterator<Item = (ObjectName, Bytes)>) {
        for (name, bytes) in objects {
            self.store.inner.create(name, bytes).await.unwrap();
        }
    }

    /// What a prune writes to condemn these.
    pub(super) fn condemn(
        &self,
        number: u64,
        objects: impl IntoIterator<Item = ObjectName>,
    ) -> Objects {
        let (nonce, objects) = (ObjectId::new([0; 16]), objects.into_iter().collect());
        let generation = Generation { number, nonce, who: "prune".into(), previous: None };
        let condemned = Condemned { nonce, objects, previous: None };
        let name = ObjectName::Condemned(number);
        let keys = self.reader.keys();
        let condemned = control::seal(keys, name, &condemned, [0; 16]).unwrap();
        let began = ObjectName::Generation(number);
        let generation = control::seal(keys, began, &generation, [0; 16]).unwrap();
        vec![(name, condemned.into()), (began, generation.into())]
    }

    /// What a prune writes to end a session.
    pub(super) fn fence(&self, point: PointId) -> Objects {
        let (name, nonce) = (ObjectName::Outcome(point), ObjectId::new([0; 16]));
        let fence = Outcome { nonce, end: SessionEnd::Fenced, previous: None };
        vec![(name, control::seal(self.reader.keys(), name, &fence, [0; 16]).unwrap().into())]
    }

    pub(super) fn chunk(&self, number: u8) -> ChunkId {
        self.reader.keys().chunk_id(&[number; 9])
    }

    /// A pack with one chunk, and a segment that names it, of a session that has ended.
    pub(super) async fn pack(&self, number: u8) -> PackName {
        let writer = self.register().await;
        let record = ChunkRecord { id: self.chunk(number), length: 9 };
        let mut encoder = Encoder::new().unwrap();
        let frame = encoder.encode(ChunkKind::Data, vec![record], &[number; 9]);
        let sealed = writer.seal(vec![frame]).unwrap();
        let record = writer.store_pack(sealed).await.unwrap();
        let name = record.name;
        writer.store_index(vec![record]).await.unwrap();
        writer.resolve().await.unwrap();
        name
    }

    /// The numbers and generations of a session's heartbeats.
    pub(super) async fn heartbeats(&self, point: PointId) -> Vec<(u64, u64)> {
        let mut found = Vec::new();
        for listed in self.store.list(Folder::Heartbeats).await.unwrap() {
            let ObjectName::Heartbeat(session, number) = listed.name else { continue };
            let beat: Heartbeat = self.reader.control(listed.name).await.unwrap();
            assert_eq!(beat.number, number);
            if session == point {
                found.push((number, beat.generation));
            }
        }
        found.sort_unstable();
        found
    }

    pub(super) fn manifest(point: PointId) -> Manifest {
        Manifest {
            point,
            application: "a".into(),
            platform: "path".into(),
            host: "host".into(),
            taken: jiff::Timestamp::UNIX_EPOCH,
            level: Level::Fuzzy,
            remarks: Vec::new(),
            volumes: Vec::new(),
            definition: serde_json::Value::Null,
            evidence: None,
            statistics: Statistics::default(),
            omissions: Vec::new(),
            occasion: None,
        }
    }
}

#[async_trait]
impl ReadStore for Scripted {
    fn location(&self) -> String {
        "a script".to_owned()
    }

    async fn get(&self, name: ObjectName) -> Result<Bytes, StoreError> {
        if *self.unreadable.lock().unwrap() == Some(name) {
            return Err(refusal("read"));
        }
        self.inner.get(name).await
    }

    async fn get_range(&self, name: ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.inner.get_range(name, range).await
    }

    async fn list(&self, folder: Folder) -> Result<Vec<Listed>, StoreError> {
        self.inner.list(folder).await
    }
}

#[async_trait]
impl Store for Scripted {
    async fn create(&self, name: ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        let fault = take(&self.faults, name);
        if let Some(Fault::Refused) = fault {
            return Err(refusal("create"));
        }
        self.inner.create(name, bytes).await?;
        for (name, bytes) in take(&self.meanwhile, name).into_iter().flatten() {
            self.inner.create(name, bytes).await?;
        }
        match fault {
            Some(Fault::NotDurable) => {
                let source = std::io::Error::other("a test");
                Err(StoreError::NotDurable { name, location: self.location(), source })
            }
            // As services do when a request was sent twice.
            Some(_) => Err(StoreError::Exists { name, location: self.location() }),
            None => Ok(()),
        }
    }
}

fn take<T>(scripts: &Mutex<Vec<(Folder, T)>>, name: ObjectName) -> Option<T> {
    let mut scripts = scripts.lock().unwrap();
    let is_in = |folder: Folder| name.to_string().starts_with(&format!("{}/", folder.as_str()));
    let at = scripts.iter().position(|(folder, _)| is_in(*folder))?;
    Some(scripts.remove(at).1)
}

fn refusal(action: &str) -> StoreError {
    StoreError::Failed {
        action: action.to_owned(),
        location: "a script".to_owned(),
        passing: false,
        source: "a test".into(),
    }
}
