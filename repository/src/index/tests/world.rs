//! A repository in memory, of which everything can be changed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use format::control;
use format::descriptor::Descriptor;
use format::frame::{ChunkKind, ChunkRecord, Encoder};
use format::ids::{ChunkId, ObjectId, PointId, RepositoryId};
use format::index::IndexSegment;
use format::keys::{Keys, RootKey};
use format::names::{Folder, ObjectName, PackName};
use format::pack::{self, PackRecord};

use crate::error::RepositoryError;
use crate::index::Index;
use crate::protocol::condemned::Condemned;
use crate::random;
use crate::reader::Reader;
use crate::store::{Listed, ReadStore, Store, StoreError};

const POINT: PointId = PointId::new([7; 16]);

pub(crate) fn keys() -> Keys {
    Keys::derive(&RootKey::new([1; 32]), RepositoryId::new([2; 16]))
}

/// The plaintext of a chunk, a different one for every number.
pub(crate) fn plaintext(number: u64) -> Vec<u8> {
    number.to_le_bytes().repeat(1 + (number % 5) as usize)
}

/// The id of that chunk.
pub(crate) fn chunk_id(number: u64) -> ChunkId {
    keys().chunk_id(&plaintext(number))
}

/// The objects of a repository.
#[derive(Debug, Default)]
pub(crate) struct World {
    objects: Mutex<BTreeMap<ObjectName, Bytes>>,
    /// Objects that vanish when they are read for the first time, and what appears instead.
    replaced: Mutex<BTreeMap<ObjectName, (ObjectName, Bytes)>>,
    /// What was read.
    reads: Mutex<Vec<ObjectName>>,
}

impl World {
    pub(crate) fn new() -> Arc<Self> {
        let world = Self::default();
        let descriptor = Descriptor::new(keys().repository());
        world.put(ObjectName::Descriptor, descriptor.to_bytes().into());
        Arc::new(world)
    }

    pub(crate) fn reader(self: &Arc<Self>) -> Reader {
        Reader::with_keys(Arc::clone(self) as Arc<dyn ReadStore>, keys())
    }

    /// Stores a pack with the chunks of these numbers; returns its record.
    pub(crate) fn pack(&self, chunks: impl IntoIterator<Item = u64>) -> PackRecord {
        self.pack_of(&chunks.into_iter().map(plaintext).collect::<Vec<_>>())
    }

    /// Stores a pack with these chunks in frames of three; returns its record.
    pub(crate) fn pack_of(&self, chunks: &[Vec<u8>]) -> PackRecord {
        let mut encoder = Encoder::new().unwrap();
        let frames = chunks.chunks(3).enumerate().map(|(at, texts)| {
            let record = |text: &Vec<u8>| ChunkRecord {
                id: keys().chunk_id(text),
                length: text.len() as u32,
            };
            let kind = if at % 2 == 0 { ChunkKind::Data } else { ChunkKind::Tree };
            encoder.encode(kind, texts.iter().map(record).collect(), &texts.concat())
        });
        let frames: Vec<_> = frames.collect();
        let name = PackName { session: POINT, id: random::object_id() };
        let sealed = pack::seal(&keys(), name, frames, Vec::new());
        self.put(ObjectName::Pack(name), sealed.bytes.into());
        sealed.record
    }

    /// Stores a segment that names these packs.
    pub(crate) fn segment(&self, packs: impl IntoIterator<Item = PackRecord>) -> ObjectName {
        let (name, bytes) = sealed_segment(packs.into_iter().collect());
        self.put(name, bytes);
        name
    }

    /// Replaces a segment in the moment when it is read, as a prune may.
    pub(crate) fn replace_when_read(&self, name: ObjectName, packs: Vec<PackRecord>) {
        self.replaced.lock().unwrap().insert(name, sealed_segment(packs));
    }

    /// The same, so many times, each time the one that came instead.
    pub(crate) fn replace_whenever_read(&self, first: ObjectName, pack: &PackRecord, times: usize) {
        let mut replaced = self.replaced.lock().unwrap();
        let mut name = first;
        for _ in 0..times {
            let (next, bytes) = sealed_segment(vec![pack.clone()]);
            replaced.insert(name, (next, bytes));
            name = next;
        }
    }

    pub(crate) fn put(&self, name: ObjectName, bytes: Bytes) {
        self.objects.lock().unwrap().insert(name, bytes);
    }

    /// Everything that is there.
    pub(crate) fn objects(&self) -> BTreeMap<ObjectName, Bytes> {
        self.objects.lock().unwrap().clone()
    }

    /// A world with these objects and no others.
    pub(crate) fn of(objects: BTreeMap<ObjectName, Bytes>) -> Arc<Self> {
        let world = Self::default();
        *world.objects.lock().unwrap() = objects;
        Arc::new(world)
    }

    pub(crate) fn remove(&self, name: ObjectName) -> Bytes {
        self.objects.lock().unwrap().remove(&name).unwrap()
    }

    pub(crate) fn change(&self, name: ObjectName, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.objects.lock().unwrap()[&name].to_vec();
        change(&mut bytes);
        self.put(name, bytes.into());
    }

    /// How many objects with such names were read since it was last asked.
    pub(crate) fn reads(&self, which: impl Fn(&ObjectName) -> bool) -> usize {
        std::mem::take(&mut *self.reads.lock().unwrap()).iter().filter(|name| which(name)).count()
    }

    pub(crate) async fn open(self: &Arc<Self>, cache: Option<&Path>) -> Index {
        self.try_open(cache).await.unwrap()
    }

    pub(crate) async fn try_open(
        self: &Arc<Self>,
        cache: Option<&Path>,
    ) -> Result<Index, RepositoryError> {
        Index::load(&self.reader(), cache, &Condemned::default()).await
    }
}

fn sealed_segment(packs: Vec<PackRecord>) -> (ObjectName, Bytes) {
    let name = ObjectName::Index(POINT, ObjectId::new(random::bytes()));
    let bytes =
        control::seal(&keys(), name, &IndexSegment { packs, previous: None }, [0; 16]).unwrap();
    (name, bytes.into())
}

/// Whether this is a segment.
pub(crate) fn is_segment(name: &ObjectName) -> bool {
    matches!(name, ObjectName::Index(..))
}

/// The files with tables below a cache.
pub(crate) fn tables(cache: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(cache.join(keys().repository().to_string()).join("index"));
    let paths = entries.into_iter().flatten().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "table")).collect()
}

/// Asserts that exactly these of the first chunks are found, each where it can be read.
pub(crate) fn assert_finds(index: &Index, world: &World, wanted: impl Fn(u64) -> bool, end: u64) {
    for number in 0..end {
        let place = index.find(chunk_id(number)).unwrap();
        assert_eq!(place.is_some(), wanted(number), "chunk {number}");
        let Some(place) = place else { continue };
        let objects = world.objects.lock().unwrap();
        let pack = &objects[&ObjectName::Pack(place.frame.pack)];
        let sealed = &pack[place.frame.offset as usize..][..place.frame.length as usize];
        let frame = pack::open_frame(&keys(), &place.frame, sealed).unwrap();
        let id = chunk_id(number);
        let found = frame.chunk(&keys(), id, place.offset, place.length).unwrap();
        assert_eq!(found, plaintext(number));
    }
}

#[async_trait]
impl ReadStore for World {
    fn location(&self) -> String {
        "a world".to_owned()
    }

    async fn get(&self, name: ObjectName) -> Result<Bytes, StoreError> {
        tokio::task::yield_now().await;
        self.reads.lock().unwrap().push(name);
        let mut objects = self.objects.lock().unwrap();
        if let Some((other, bytes)) = self.replaced.lock().unwrap().remove(&name) {
            objects.remove(&name);
            objects.insert(other, bytes);
        }
        objects.get(&name).cloned().ok_or(StoreError::Missing { name, location: self.location() })
    }

    async fn get_range(&self, name: ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        let bytes = self.get(name).await?;
        let short = StoreError::Short { name, location: self.location(), end: range.end };
        if range.end > bytes.len() as u64 {
            return Err(short);
        }
        Ok(bytes.slice(range.start as usize..range.end as usize))
    }

    async fn list(&self, folder: Folder) -> Result<Vec<Listed>, StoreError> {
        let objects = self.objects.lock().unwrap();
        let listed =
            objects.iter().map(|(name, bytes)| Listed { name: *name, size: bytes.len() as u64 });
        Ok(listed
            .filter(|l| l.name.to_string().starts_with(&format!("{}/", folder.as_str())))
            .collect())
    }
}

#[async_trait]
impl Store for World {
    async fn create(&self, name: ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        match self.objects.lock().unwrap().entry(name) {
            Entry::Occupied(_) => Err(StoreError::Exists { name, location: self.location() }),
            Entry::Vacant(free) => {
                free.insert(bytes);
                Ok(())
            }
        }
    }
}
