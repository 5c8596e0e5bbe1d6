use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;

use super::*;
use crate::index::tests::world::{World, chunk_id, is_segment, plaintext, tables};

fn whole(number: u64) -> Slice {
    let length = u32::try_from(plaintext(number).len()).unwrap();
    Slice { chunk: chunk_id(number), offset: 0, length }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_frame_that_many_want_at_once_is_fetched_once() {
    let world = World::new();
    world.segment([world.pack(0..6)]);
    let chunks = Arc::new(Chunks::load(&world.reader(), None).await.unwrap());
    let mut reads = tokio::task::JoinSet::new();
    for number in (0..6).cycle().take(60) {
        let chunks = Arc::clone(&chunks);
        reads.spawn(async move {
            let wanted = plaintext(number);
            let length = u32::try_from(wanted.len()).unwrap();
            let slice = Slice { chunk: chunk_id(number), offset: 0, length };
            assert_eq!(chunks.read(slice).await.unwrap(), wanted);
        });
    }
    while let Some(read) = reads.join_next().await {
        read.unwrap();
    }
    assert_eq!(world.reads(|name| matches!(name, ObjectName::Pack(_))), 2);
}

#[tokio::test]
async fn what_could_not_be_fetched_is_tried_again() {
    let world = World::new();
    let pack = world.pack(0..3);
    world.segment([pack.clone()]);
    let chunks = Chunks::load(&world.reader(), None).await.unwrap();
    let slice = Slice { chunk: chunk_id(1), offset: 8, length: 8 };
    let good = world.remove(ObjectName::Pack(pack.name));
    assert!(matches!(chunks.read(slice).await, Err(RepositoryError::MissingChunk(_))));
    world.put(ObjectName::Pack(pack.name), good);
    assert_eq!(chunks.read(slice).await.unwrap(), plaintext(1)[8..]);
    let missing = chunks.read(Slice { chunk: chunk_id(7), ..slice }).await;
    assert!(matches!(missing, Err(RepositoryError::MissingChunk(_))));
}

#[tokio::test]
async fn a_chunk_that_was_moved_is_found_again() {
    let world = World::new();
    let old = world.pack(0..6);
    let segment = world.segment([old.clone()]);
    let chunks = Chunks::load(&world.reader(), None).await.unwrap();
    // As often as a prune likes.
    let (mut pack, mut named) = (old.name, segment);
    for _ in 0..10 {
        let new = world.pack(0..6);
        let next = world.segment([new.clone()]);
        world.remove(ObjectName::Pack(pack));
        world.remove(named);
        (pack, named) = (new.name, next);
        assert_eq!(chunks.read(whole(4)).await.unwrap(), plaintext(4));
    }
}

#[tokio::test]
async fn a_lost_chunk_does_not_load_the_index_for_ever() {
    let world = World::new();
    world.segment([world.pack(0..3)]);
    let chunks = Chunks::load(&world.reader(), None).await.unwrap();
    world.reads(is_segment);
    for _ in 0..20 {
        let missing = chunks.read(whole(7)).await.unwrap_err();
        assert!(matches!(missing, RepositoryError::MissingChunk(_)), "{missing}");
    }
    assert_eq!(world.reads(is_segment), 3);
}

#[tokio::test]
async fn a_damaged_copy_does_not_hide_a_good_one() {
    for bad in 0..3 {
        let world = World::new();
        let packs = [world.pack(0..3), world.pack(0..6), world.pack([0, 2, 1])];
        world.segment(packs.clone());
        let chunks = Chunks::load(&world.reader(), None).await.unwrap();
        for (at, pack) in packs.iter().enumerate().filter(|(at, _)| *at != bad) {
            let middle = usize::try_from(pack.frames[0].offset).unwrap() + 2 + at;
            world.change(ObjectName::Pack(pack.name), |bytes| bytes[middle] ^= 1);
        }
        assert_eq!(chunks.read(whole(1)).await.unwrap(), plaintext(1));
    }
}

#[tokio::test]
async fn another_place_of_a_chunk_is_none_that_was_tried() {
    let world = World::new();
    let packs = [world.pack(0..3), world.pack(0..3)];
    world.segment(packs.clone());
    let chunks = Chunks::load(&world.reader(), None).await.unwrap();
    let damage = RepositoryError::damaged(ObjectName::Pack(packs[0].name), "a test");
    let mut tried: Vec<PackName> = Vec::new();
    for _ in 0..2 {
        let not = |frame: &FrameAddress| tried.contains(&frame.pack);
        let place = chunks.elsewhere(chunk_id(1), not, &damage).await.unwrap().unwrap();
        tried.push(place.frame.pack);
    }
    let not = |frame: &FrameAddress| tried.contains(&frame.pack);
    assert_eq!(chunks.elsewhere(chunk_id(1), not, &damage).await.unwrap(), None);
    tried.sort_unstable();
    let mut both = packs.map(|pack| pack.name);
    both.sort_unstable();
    assert_eq!(tried, both);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_table_is_made_again_and_the_work_goes_on() {
    let cache = tempfile::tempdir().unwrap();
    let world = World::new();
    world.segment([world.pack(0..9), world.pack(9..14)]);
    let chunks = Arc::new(Chunks::load(&world.reader(), Some(cache.path())).await.unwrap());
    for _ in 0..2 {
        for path in tables(cache.path()) {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.write_all_at(&[0xee; 2000], 256).unwrap();
        }
        let (asked, runtime) = (Arc::clone(&chunks), Handle::current());
        let ask = blocking::run(move || {
            let all = (0..14).all(|number| {
                asked.ask_blocking(&runtime, |index| index.contains(chunk_id(number))).unwrap()
            });
            all && asked.find_blocking(chunk_id(3), &runtime).is_ok()
        });
        assert!(ask.await);
        assert_eq!(chunks.read(whole(12)).await.unwrap(), plaintext(12));
    }
}
