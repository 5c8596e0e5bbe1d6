//! A cache that lies is found out.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use super::world::{World, assert_finds, chunk_id, is_segment, keys, tables};
use crate::error::RepositoryError;
use crate::index::table::Cover;

const CHUNKS: u64 = 14;

async fn small(cache: &Path) -> Arc<World> {
    let world = World::new();
    world.segment([world.pack(0..9), world.pack(9..CHUNKS)]);
    world.open(Some(cache)).await;
    world
}

#[tokio::test]
async fn every_flipped_byte_is_found_before_it_leads_to_a_wrong_place() {
    let cache = tempfile::tempdir().unwrap();
    let world = small(cache.path()).await;
    let good = world.open(Some(cache.path())).await;
    let path = tables(cache.path()).remove(0);
    let bytes = fs::read(&path).unwrap();
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&path, &bad).unwrap();
        let mut failed = 0;
        let index = world.open(Some(cache.path())).await;
        for number in 0..2 * CHUNKS {
            match index.find(chunk_id(number)) {
                Ok(place) => assert_eq!(place, good.find(chunk_id(number)).unwrap(), "byte {at}"),
                Err(RepositoryError::Cache { .. }) => failed += 1,
                Err(error) => panic!("byte {at}: {error}"),
            }
        }
        let read_again = world.reads(is_segment) > 0;
        // Whoever meets a damaged block removes the table.
        assert!(read_again || (failed > 0 && !path.exists()), "byte {at} was harmless");
        drop(index);
        let index = world.open(Some(cache.path())).await;
        assert_finds(&index, &world, |n| n < CHUNKS, 2 * CHUNKS);
        world.reads(is_segment);
    }
}

#[tokio::test]
async fn every_truncation_and_every_growth_is_found() {
    let cache = tempfile::tempdir().unwrap();
    let _world = small(cache.path()).await;
    let path = tables(cache.path()).remove(0);
    let bytes = fs::read(&path).unwrap();
    let keys = Arc::new(keys());
    assert!(Cover::open(File::open(&path).unwrap(), None, &keys).is_ok());
    let longer = [bytes.as_slice(), &[0]].concat();
    for wrong in (0..bytes.len()).map(|length| &bytes[..length]).chain([longer.as_slice()]) {
        fs::write(&path, wrong).unwrap();
        assert!(Cover::open(File::open(&path).unwrap(), None, &keys).is_err(), "{}", wrong.len());
    }
}

#[tokio::test]
async fn parts_of_one_table_do_not_pass_in_another_place() {
    let cache = tempfile::tempdir().unwrap();
    let world = small(cache.path()).await;
    let path = tables(cache.path()).remove(0);
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    world.open(Some(cache.path())).await;
    let twin = fs::read(&path).unwrap();
    assert_eq!(twin.len(), bytes.len());
    let block = |bytes: &[u8], number: usize| bytes[256 * (number + 1)..][..256].to_vec();
    for (part, to) in [(block(&bytes, 0), 1), (block(&bytes, 1), 0), (block(&twin, 0), 0)] {
        let mut bad = bytes.clone();
        bad[256 * (to + 1)..][..256].copy_from_slice(&part);
        fs::write(&path, &bad).unwrap();
        let index = world.open(Some(cache.path())).await;
        let failed = (0..CHUNKS).filter(|n| index.find(chunk_id(*n)).is_err()).count();
        assert!(failed > 0);
    }
}

#[tokio::test]
async fn a_table_that_is_damaged_while_it_is_open_is_found_and_made_again() {
    let cache = tempfile::tempdir().unwrap();
    let world = small(cache.path()).await;
    let index = world.open(Some(cache.path())).await;
    let path = tables(cache.path()).remove(0);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0xee; 2000], 256).unwrap();
    for number in 0..CHUNKS {
        let error = index.find(chunk_id(number)).unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    let index = world.open(Some(cache.path())).await;
    assert_finds(&index, &world, |n| n < CHUNKS, 2 * CHUNKS);
}

#[tokio::test]
async fn a_table_of_another_repository_is_useless() {
    let cache = tempfile::tempdir().unwrap();
    let _world = small(cache.path()).await;
    let path = tables(cache.path()).remove(0);
    let other = format::keys::Keys::derive(
        &format::keys::RootKey::new([1; 32]),
        format::ids::RepositoryId::new([3; 16]),
    );
    assert!(Cover::open(File::open(&path).unwrap(), None, &Arc::new(other)).is_err());
}

#[tokio::test]
async fn a_small_table_that_is_asked_often_gives_the_same_answers_from_memory() {
    let cache = tempfile::tempdir().unwrap();
    let world = small(cache.path()).await;
    let index = world.open(Some(cache.path())).await;
    for _ in 0..1000 {
        assert_finds(&index, &world, |n| n < CHUNKS, CHUNKS);
    }
    // What is kept was checked, so damage that comes later does no harm.
    let path = tables(cache.path()).remove(0);
    let blocks = OpenOptions::new().write(true).open(&path).unwrap();
    blocks.write_all_at(&[0; 1024], 256).unwrap();
    assert_finds(&index, &world, |n| n < CHUNKS, 2 * CHUNKS);
}
