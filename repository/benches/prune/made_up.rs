//! Ten million chunks in packs that nobody has made.

use std::path::Path;

use format::pack::{FrameRecord, HEADER_BYTES};

#[allow(clippy::wildcard_imports, reason = "the two halves of one measurement")]
use super::*;

const PACKS: u64 = 640_000;
const PACK_CHUNKS: u64 = 16;
const SEGMENT_PACKS: u64 = 500;
const CHUNK_BYTES: u32 = 1_000_000;
const SESSION: PointId = PointId::new([7; 16]);

/// A repository whose packs and segments are computed from their names.
#[derive(Debug)]
struct MadeUp {
    keys: Keys,
    /// What is really there.
    rest: Counted,
}

pub(super) async fn measure(cache: &Path) {
    let rest = Counted::default();
    let (keys, key) = open(&rest).await;
    // One file, which needs a chunk of nine packs of ten.
    let mut tree = Tree { keys: keys.clone(), chunks: Vec::new() };
    let needed = (0..PACKS).filter(|pack| pack % 10 != 0);
    let slice = |pack| Slice {
        chunk: chunk_id(&keys, pack * PACK_CHUNKS + pack % PACK_CHUNKS),
        offset: 0,
        length: CHUNK_BYTES,
    };
    let extents = Extents::Stored(tree.extents(needed.clone().map(|p| Extent::Whole(slice(p)))));
    let size = needed.count() as u64 * u64::from(CHUNK_BYTES);
    let top = Kind::File(Content { size, extents, hash: None });
    put_tree(&rest, &keys, PointId::new([1; 16]), tree, top);
    let outcome =
        Outcome { nonce: ObjectId::new([0; 16]), end: SessionEnd::Repacked, previous: None };
    let name = ObjectName::Outcome(SESSION);
    rest.put(name, control::seal(&keys, name, &outcome, [0; 16]).unwrap().into());
    let store: Arc<dyn MaintainStore> = Arc::new(MadeUp { keys, rest });
    let maintainer = Maintainer::open(store, &key).await.unwrap();
    let before = memory("VmRSS:");
    let started = Instant::now();
    let options = Options { cache: Some(cache.to_owned()), ..unlimited() };
    let prune = Prune::plan(&maintainer, options, Arc::default()).await.unwrap();
    println!(
        "{} chunks in {PACKS} packs: planned in {:.1?}",
        PACKS * PACK_CHUNKS,
        started.elapsed()
    );
    println!("  resident at most {} MiB, {before} of it before", memory("VmHWM:"));
    println!("  delete {:?}", prune.shown().delete);
}

impl MadeUp {
    fn pack_name(&self, number: u64) -> PackName {
        let id = *self.keys.digest(&number.to_le_bytes()).as_bytes();
        PackName { session: SESSION, id: ObjectId::new(id) }
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
        let ObjectName::Index(SESSION, id) = name else { return self.rest.get(name).await };
        let first = u128::from_be_bytes(*id.as_bytes()) as u64 * SEGMENT_PACKS;
        let packs = (first..first + SEGMENT_PACKS).map(|number| self.pack(number)).collect();
        let segment = IndexSegment { packs, previous: None };
        Ok(control::seal(&self.keys, name, &segment, [0; 16]).unwrap().into())
    }

    async fn get_range(&self, name: ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.rest.get_range(name, range).await
    }

    async fn list(&self, folder: Folder) -> Result<Vec<Listed>, StoreError> {
        let mut listed = self.rest.list(folder).await?;
        if folder == Folder::Packs {
            let made_up = |n| Listed { name: ObjectName::Pack(self.pack_name(n)), size: size() };
            listed.extend((0..PACKS).map(made_up));
        }
        if folder == Folder::Indexes {
            let id = |number: u64| ObjectId::new(u128::from(number).to_be_bytes());
            let size = SEGMENT_PACKS * PACK_CHUNKS * 50;
            let made_up = |n| Listed { name: ObjectName::Index(SESSION, id(n)), size };
            listed.extend((0..PACKS / SEGMENT_PACKS).map(made_up));
        }
        Ok(listed)
    }
}

#[async_trait]
impl Store for MadeUp {
    async fn create(&self, name: ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        self.rest.create(name, bytes).await
    }
}

#[async_trait]
impl MaintainStore for MadeUp {
    async fn delete(&self, name: ObjectName) -> Result<(), StoreError> {
        self.rest.delete(name).await
    }
}
