//! Opening: what counts, what is fetched, what is kept.

use format::names::ObjectName;

use super::world::{World, assert_finds, chunk_id, is_segment, tables};
use crate::error::RepositoryError;
use crate::store::StoreError;

#[tokio::test]
async fn an_empty_repository_has_nothing() {
    let cache = tempfile::tempdir().unwrap();
    for cache in [None, Some(cache.path())] {
        let index = World::new().open(cache).await;
        assert!(index.is_empty() && index.find(chunk_id(1)).unwrap().is_none());
    }
}

#[tokio::test]
async fn segments_are_read_once() {
    let (world, cache) = (World::new(), tempfile::tempdir().unwrap());
    world.segment([world.pack(0..10), world.pack(10..20)]);
    world.segment([world.pack(20..30)]);
    for wanted in [2, 0, 0] {
        let index = world.open(Some(cache.path())).await;
        assert_eq!(world.reads(is_segment), wanted);
        assert_eq!(index.len(), 30);
        assert_finds(&index, &world, |n| n < 30, 60);
    }
    world.segment([world.pack(30..35)]);
    let index = world.open(Some(cache.path())).await;
    assert_eq!(world.reads(is_segment), 1);
    assert_finds(&index, &world, |n| n < 35, 60);
    assert_eq!(tables(cache.path()).len(), 2);
}

#[tokio::test]
async fn without_a_cache_nothing_is_kept() {
    let world = World::new();
    world.segment([world.pack(0..10)]);
    for _ in 0..2 {
        assert_finds(&world.open(None).await, &world, |n| n < 10, 20);
        assert_eq!(world.reads(is_segment), 1);
    }
}

#[tokio::test]
async fn a_pack_that_is_gone_or_of_another_size_does_not_count() {
    let (world, cache) = (World::new(), tempfile::tempdir().unwrap());
    let [gone, cut, good] = [world.pack(0..5), world.pack(5..10), world.pack(10..15)];
    world.segment([gone.clone(), cut.clone(), good]);
    assert_eq!(world.open(Some(cache.path())).await.len(), 15);
    world.remove(ObjectName::Pack(gone.name));
    world.change(ObjectName::Pack(cut.name), |bytes| bytes.truncate(bytes.len() - 1));
    let index = world.open(Some(cache.path())).await;
    assert_eq!(index.len(), 5);
    assert_finds(&index, &world, |n| n >= 10, 15);
}

#[tokio::test]
async fn a_bad_place_does_not_hide_a_good_one() {
    let (world, cache) = (World::new(), tempfile::tempdir().unwrap());
    // Enough copies of one chunk to fill blocks of a table, and in several tables.
    for _ in 0..3 {
        let packs: Vec<_> = (0..9).map(|_| world.pack([1, 2, 3])).collect();
        world.segment(packs.clone());
        world.open(Some(cache.path())).await;
        for pack in &packs {
            world.remove(ObjectName::Pack(pack.name));
        }
    }
    let index = world.open(Some(cache.path())).await;
    assert!(index.is_empty());
    assert_finds(&index, &world, |_| false, 5);
    let packs: Vec<_> = (0..9).map(|_| world.pack([1, 2, 3])).collect();
    world.segment(packs.clone());
    for pack in &packs[1..] {
        world.remove(ObjectName::Pack(pack.name));
    }
    let index = world.open(Some(cache.path())).await;
    assert_finds(&index, &world, |n| (1..=3).contains(&n), 5);
}

#[tokio::test]
async fn a_pack_that_two_segments_name_counts_once() {
    let (world, cache) = (World::new(), tempfile::tempdir().unwrap());
    let pack = world.pack(0..10);
    let first = world.segment([pack.clone(), pack.clone()]);
    world.open(Some(cache.path())).await;
    world.segment([pack]);
    let index = world.open(Some(cache.path())).await;
    assert_eq!(index.len(), 10);
    world.remove(first);
    let index = world.open(Some(cache.path())).await;
    assert_finds(&index, &world, |n| n < 10, 12);
}

#[tokio::test]
async fn what_only_a_retired_segment_says_does_not_count() {
    let (world, cache) = (World::new(), tempfile::tempdir().unwrap());
    let [old, kept] = [world.pack(0..5), world.pack(5..10)];
    let (retired, _) = (world.segment([old]), world.segment([kept]));
    world.open(Some(cache.path())).await;
    world.remove(retired);
    world.reads(is_segment);
    for _ in 0..2 {
        let index = world.open(Some(cache.path())).await;
        assert_finds(&index, &world, |n| n >= 5, 10);
        assert_eq!(world.reads(is_segment), 0, "the rest of the table is still good");
    }
}

#[tokio::test]
async fn a_table_that_lost_most_of_its_segments_is_made_smaller() {
    let (world, cache) = (World::new(), tempfile::tempdir().unwrap());
    let segments: Vec<_> =
        (0..10).map(|n| world.segment([world.pack(n * 40..n * 40 + 40)])).collect();
    world.open(Some(cache.path())).await;
    let before = std::fs::metadata(&tables(cache.path())[0]).unwrap().len();
    for segment in &segments[..7] {
        world.remove(*segment);
    }
    world.reads(is_segment);
    for _ in 0..2 {
        let index = world.open(Some(cache.path())).await;
        assert_finds(&index, &world, |n| n >= 280, 400);
    }
    assert_eq!(world.reads(is_segment), 0);
    let after = tables(cache.path());
    assert_eq!(after.len(), 1);
    assert!(std::fs::metadata(&after[0]).unwrap().len() < before / 2);
}

#[tokio::test]
async fn tables_that_no_listed_segment_needs_are_removed() {
    let (world, cache) = (World::new(), tempfile::tempdir().unwrap());
    let segment = world.segment([world.pack(0..5)]);
    world.open(Some(cache.path())).await;
    assert_eq!(tables(cache.path()).len(), 1);
    world.remove(segment);
    assert!(world.open(Some(cache.path())).await.is_empty());
    assert_eq!(tables(cache.path()).len(), 0);
}

#[tokio::test]
async fn many_small_tables_become_few() {
    let (world, cache) = (World::new(), tempfile::tempdir().unwrap());
    world.segment([world.pack(1000..2000)]);
    for round in 0..40 {
        world.segment([world.pack(round * 10..round * 10 + 10)]);
        let index = world.open(Some(cache.path())).await;
        let wanted = |n| n < (round + 1) * 10 || (1000..2000).contains(&n);
        assert_finds(&index, &world, wanted, 1010);
        assert_eq!(index.len(), 1000 + (round + 1) * 10);
        assert!(tables(cache.path()).len() <= 8, "round {round}");
    }
    assert_eq!(world.reads(is_segment), 41);
}

#[tokio::test]
async fn when_a_segment_is_damaged_its_packs_are_asked_themselves() {
    let (world, cache) = (World::new(), tempfile::tempdir().unwrap());
    // One footer is longer than what is read of a pack's end at first.
    let [long, torn] = [world.pack(0..3000), world.pack(3000..3010)];
    let bad = world.segment([long, torn.clone()]);
    world.segment([world.pack(3010..3020)]);
    world.change(bad, |bytes| bytes[100] ^= 1);
    world.change(ObjectName::Pack(torn.name), |bytes| *bytes.last_mut().unwrap() ^= 1);
    for cache in [None, Some(cache.path()), Some(cache.path())] {
        let index = world.open(cache).await;
        assert_finds(&index, &world, |n| n < 3000 || (3010..3020).contains(&n), 3030);
    }
}

#[tokio::test]
async fn a_segment_that_cannot_be_true_is_a_damaged_one() {
    let world = World::new();
    let mut pack = world.pack(0..10);
    pack.frames[1].offset += 1;
    world.segment([pack]);
    // The pack's own footer says where its frames are.
    assert_finds(&world.open(None).await, &world, |n| n < 10, 12);
}

#[tokio::test]
async fn segments_that_are_replaced_while_they_are_read_are_listed_again() {
    let (world, cache) = (World::new(), tempfile::tempdir().unwrap());
    let pack = world.pack(0..10);
    let old = world.segment([pack.clone()]);
    world.segment([world.pack(10..20)]);
    world.replace_when_read(old, vec![pack]);
    for cache in [Some(cache.path()), None] {
        assert_finds(&world.open(cache).await, &world, |n| n < 20, 30);
    }
}

#[tokio::test]
async fn segments_that_vanish_again_and_again_are_an_error() {
    let world = World::new();
    let pack = world.pack(0..10);
    let segment = world.segment([pack.clone()]);
    world.replace_whenever_read(segment, &pack, 3);
    let opened = world.try_open(None).await;
    assert!(matches!(opened, Err(RepositoryError::Store(StoreError::Missing { .. }))));
    assert_finds(&world.open(None).await, &world, |n| n < 10, 12);
}
