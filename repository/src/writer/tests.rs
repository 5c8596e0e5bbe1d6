mod commit;
mod heartbeats;
mod world;

use format::control;
use format::frame::{ChunkKind, ChunkRecord, Codec};
use format::ids::{ChunkId, ObjectId};
use format::pack::FrameRecord;
use format::session::Registration;

use self::world::World;
use super::segments::{SEGMENT_CHUNKS, SEGMENT_PACKS};
use super::*;
use crate::store::ReadStore as _;
use format::names::Folder;

#[test]
fn no_segment_is_too_large_and_no_pack_is_lost() {
    let pack = |number: u32| {
        let chunk = ChunkRecord { id: ChunkId::new([0; 32]), length: 1 };
        let frame = FrameRecord {
            offset: 0,
            length: 0,
            kind: ChunkKind::Data,
            codec: Codec::Plain,
            raw_length: 0,
            chunks: vec![chunk; number as usize % 1500],
        };
        let id = ObjectId::new(u128::from(number).to_be_bytes());
        let name = PackName { session: PointId::new([0; 16]), id };
        PackRecord { name, size: 0, salt: [0; 32], frames: vec![frame] }
    };
    let mut packs: Vec<_> = (0..2000).map(pack).collect();
    let chunk = packs[1].frames[0].chunks[0];
    packs[1000].frames[0].chunks.resize(SEGMENT_CHUNKS + 1, chunk);
    let segments: Vec<_> = segments(packs.clone()).collect();
    for segment in &segments {
        let chunks: usize = segment.iter().map(|pack| pack.frames[0].chunks.len()).sum();
        assert!(segment.len() <= SEGMENT_PACKS);
        assert!(chunks <= SEGMENT_CHUNKS || segment.len() == 1);
    }
    assert_eq!(segments.concat(), packs);
    assert!(segments.len() < 15, "{}", segments.len());
}

#[tokio::test]
async fn the_control_objects_of_a_session_are_a_chain() {
    let world = World::new();
    let writer = world.register().await;
    let session = ObjectName::Session(0, writer.point());
    let bytes = world.store.get(session).await.unwrap();
    let keys = writer.keys();
    let first: Registration = control::open(keys, session, &bytes).unwrap();
    assert_eq!(first.previous, None);
    let mut previous = control::link(keys, session, &bytes);
    for _ in 0..2 {
        let known = world.store.list(Folder::Indexes).await.unwrap();
        let packs = vec![writer.seal(Vec::new()).unwrap().record];
        writer.store_index(packs).await.unwrap();
        // Heartbeats are no part of it, for a prune clears them away.
        writer.beat().await.unwrap();
        let mut segments = world.store.list(Folder::Indexes).await.unwrap();
        segments.retain(|listed| !known.contains(listed));
        let name = segments[0].name;
        let bytes = world.store.get(name).await.unwrap();
        assert_eq!(IndexSegment::open(keys, name, &bytes).unwrap().previous, Some(previous));
        previous = control::link(keys, name, &bytes);
    }
}

#[tokio::test]
async fn a_generation_that_begins_during_the_registration_is_moved_on_to() {
    let world = World::new();
    let old = world.pack(1).await;
    let pack = world.pack(2).await;
    world.when_created(Folder::Sessions, world.condemn(1, [ObjectName::Pack(old)]));
    let writer = world.register().await;
    assert_eq!(writer.generation(), 1);
    assert_eq!(world.heartbeats(writer.point()).await, [(0, 1)]);
    let known = writer.known(None).await.unwrap();
    assert_eq!(known.generation, 1);
    assert!(!known.chunks.index().contains(world.chunk(1)).unwrap());
    assert!(known.chunks.index().contains(world.chunk(2)).unwrap());
    assert_ne!(old, pack);
}

#[tokio::test]
async fn what_is_condemned_does_not_count_for_writers_and_does_for_readers() {
    let world = World::new();
    let cache = tempfile::tempdir().unwrap();
    let packs = [world.pack(1).await, world.pack(2).await, world.pack(3).await];
    let counted = async |condemned: usize| {
        let writer = world.register().await;
        let known = writer.known(Some(cache.path())).await.unwrap();
        for (at, number) in (1..=3).enumerate() {
            let index = known.chunks.index();
            assert_eq!(index.contains(world.chunk(number)).unwrap(), at >= condemned);
        }
    };
    counted(0).await;
    for (at, generation) in (1..=3).enumerate() {
        world.put(world.condemn(generation, [ObjectName::Pack(packs[at])])).await;
        counted(at + 1).await;
        // The table that the writer has kept says of all packs what they are.
        let chunks = Chunks::load(&world.reader, Some(cache.path())).await.unwrap();
        assert!((1..=3).all(|number| chunks.index().contains(world.chunk(number)).unwrap()));
    }
}

#[tokio::test]
async fn a_list_of_what_is_condemned_that_is_missing_is_an_error() {
    let world = World::new();
    let objects = world.condemn(1, []);
    world.put(objects.into_iter().filter(|(name, _)| *name == ObjectName::Generation(1))).await;
    let writer = world.register().await;
    let error = writer.known(None).await.unwrap_err();
    assert!(error.to_string().contains("cnd/1"), "{error}");
}
