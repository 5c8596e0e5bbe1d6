//! Several processes, one cache; and caches that cannot be used.

use std::fs::{self, File};
use std::sync::Arc;

use super::world::{World, assert_finds, is_segment, keys, tables};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn openings_at_once_do_not_disturb_each_other() {
    let (world, cache) = (World::new(), tempfile::tempdir().unwrap());
    let path = Arc::new(cache.path().to_owned());
    for round in 0..15 {
        world.segment([world.pack(round * 10..round * 10 + 10)]);
        let mut openings = tokio::task::JoinSet::new();
        for opening in 0..6 {
            let (world, path) = (Arc::clone(&world), Arc::clone(&path));
            openings.spawn(async move {
                if opening == 0 {
                    // Somebody empties the cache at the worst of times.
                    for table in tables(&path) {
                        drop(fs::remove_file(table));
                    }
                }
                let index = world.open(Some(&path)).await;
                assert_finds(&index, &world, |n| n < (round + 1) * 10, 170);
                assert_eq!(index.len(), (round + 1) * 10);
            });
        }
        while let Some(opened) = openings.join_next().await {
            opened.unwrap();
        }
    }
    world.open(Some(&path)).await;
    world.reads(is_segment);
    world.open(Some(&path)).await;
    assert_eq!(world.reads(is_segment), 0);
    let folder = path.join(keys().repository().to_string()).join("index");
    let left = fs::read_dir(folder).unwrap().count();
    assert_eq!(left, tables(&path).len(), "nothing unfinished is left");
}

#[tokio::test]
async fn a_table_that_is_removed_stays_readable_for_whoever_has_it_open() {
    let (world, cache) = (World::new(), tempfile::tempdir().unwrap());
    world.segment([world.pack(0..10)]);
    let index = world.open(Some(cache.path())).await;
    fs::remove_dir_all(cache.path()).unwrap();
    assert_finds(&index, &world, |n| n < 10, 20);
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_only_costs_time() {
    let (world, folder) = (World::new(), tempfile::tempdir().unwrap());
    let file = folder.path().join("file");
    fs::write(&file, "no directory").unwrap();
    world.segment([world.pack(0..10)]);
    for cache in [file.join("cache"), "/proc/nowhere".into(), "/dev/full".into()] {
        for _ in 0..2 {
            assert_finds(&world.open(Some(&cache)).await, &world, |n| n < 10, 20);
            assert_eq!(world.reads(is_segment), 1);
        }
    }
}

#[tokio::test]
async fn a_table_that_cannot_be_kept_is_made_for_this_time_only() {
    let (world, cache) = (World::new(), tempfile::tempdir().unwrap());
    world.segment([world.pack(0..10)]);
    world.open(Some(cache.path())).await;
    // Something is in the way of the table when it is finished, like a disk that is full.
    let path = tables(cache.path()).remove(0);
    fs::remove_file(&path).unwrap();
    fs::create_dir_all(path.join("in the way")).unwrap();
    world.reads(is_segment);
    assert_finds(&world.open(Some(cache.path())).await, &world, |n| n < 10, 20);
    assert_eq!(world.reads(is_segment), 2, "fetched, and fetched again for a file without a name");
    let left = fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(left, 1, "nothing unfinished is left");
}

#[tokio::test]
async fn what_others_write_is_left_alone_and_what_they_abandoned_is_removed() {
    let (world, cache) = (World::new(), tempfile::tempdir().unwrap());
    world.segment([world.pack(0..10)]);
    world.open(Some(cache.path())).await;
    let folder = cache.path().join(keys().repository().to_string()).join("index");
    let [busy, abandoned] = ["a.unfinished", "b.unfinished"].map(|name| folder.join(name));
    let writing = File::create(&busy).unwrap();
    writing.lock().unwrap();
    fs::write(&abandoned, "torn").unwrap();
    fs::write(folder.join("c.table"), "torn").unwrap();
    fs::write(folder.join("d.text"), "foreign").unwrap();
    world.open(Some(cache.path())).await;
    assert!(busy.exists() && !abandoned.exists() && folder.join("d.text").exists());
    assert_eq!(tables(cache.path()).len(), 1);
}
