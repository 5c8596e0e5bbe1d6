//! Volumes that are read while they are used, and then once more while they stand still.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use format::tree::FileTime;
use repository::store::Listed;

use super::*;

/// As if all files had been as they are for long, so that they need not be read twice.
fn at(root: &Path, parent: Option<&Manifest>, stillness: fn(FileTime) -> Stillness) -> Volume {
    let stillness = stillness(FileTime { seconds: i64::MAX, nanoseconds: 0 });
    Volume { stillness, ..World::volume(root.to_owned(), parent) }
}

async fn read_ahead(world: &World, root: &Path, progress: &Arc<Progress>) -> Upload {
    let upload = world.begin_with_spool(progress).await;
    let volumes = || vec![at(root, None, Stillness::Live)];
    let (upload, _) = upload.ahead(volumes()).await.unwrap();
    let (upload, _) = upload.on_trial(volumes(), Duration::from_mins(1)).await.unwrap();
    upload
}

#[tokio::test]
async fn what_changed_is_read_in_the_freeze_and_waits_there_until_it_is_over() {
    let world = World::new();
    let root = world.directory("data", &files());
    let progress = Arc::new(Progress::default());
    let upload = read_ahead(&world, &root, &progress).await;
    fs::write(root.join("a"), "another").unwrap();
    fs::remove_file(root.join("b")).unwrap();
    // More packs than are in memory at any time.
    let noise = noise(8, 100 << 20);
    fs::write(root.join("new"), &noise).unwrap();
    let large = fs::OpenOptions::new().write(true).open(root.join("large")).unwrap();
    large.write_all_at(&[9; 100], 1 << 20).unwrap();
    let expected: BTreeMap<_, _> = fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();

    let (read, sent) = (progress.read(), progress.sent());
    let created = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&created);
    world.script(move |_, _| {
        counter.fetch_add(1, SeqCst);
        async { Ok(()) }
    });
    let fetched = world.store.fetched.load(SeqCst);
    let volumes = vec![at(&root, None, Stillness::Still)];
    let upload = upload.still(volumes, Arc::default()).await.unwrap();
    assert_eq!((created.load(SeqCst), progress.sent()), (0, sent), "something was sent");
    assert_eq!(world.store.fetched.load(SeqCst), fetched, "something was fetched");
    assert_eq!(progress.read() - read, (100 << 20) + (3 << 20) + 7);
    // They are not looked at again.
    fs::remove_dir_all(&root).unwrap();
    upload.resume();
    let point = commit(upload).await.unwrap();
    assert_eq!(world.files(&point).await, expected);
    assert!(point.statistics.stored < (105 << 20), "what did not change is stored once");
}

#[tokio::test]
async fn a_file_of_many_pieces_that_did_not_change_is_known_without_the_store() {
    let world = World::new();
    let root = world.directory("data", &files());
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    for piece in 0..200_u64 {
        sparse.write_all_at(&noise(piece, 4096), piece << 17).unwrap();
    }
    let first = world.save(root.clone()).await;
    let upload = world.begin_with_spool(&Arc::default()).await;
    let volumes = vec![at(&root, Some(&first), Stillness::Live)];
    let (upload, _) = upload.ahead(volumes).await.unwrap();
    let fetched = world.store.fetched.load(SeqCst);
    let volumes = vec![at(&root, Some(&first), Stillness::Still)];
    upload.still(volumes, Arc::default()).await.unwrap();
    assert_eq!(world.store.fetched.load(SeqCst), fetched, "something was fetched");
}

#[tokio::test]
async fn a_trial_sends_when_it_is_over_and_takes_no_longer_than_it_may() {
    let world = World::new();
    let root = world.directory("data", &files());
    let progress = Arc::default();
    let upload = read_ahead(&world, &root, &progress).await;
    fs::write(root.join("new"), noise(8, 40 << 20)).unwrap();
    let volumes = || vec![at(&root, None, Stillness::Live)];
    let sent = progress.sent();
    let (upload, took) = upload.on_trial(volumes(), Duration::from_mins(1)).await.unwrap();
    assert!(progress.sent() >= sent + (40 << 20) && took < Duration::from_mins(1));
    fs::write(root.join("newer"), noise(9, 100 << 20)).unwrap();
    let result = upload.on_trial(volumes(), Duration::from_millis(1)).await;
    assert!(matches!(result.err(), Some(UploadError::Abandoned)));
}

#[tokio::test]
async fn page_maps_of_an_upload_without_a_point_go_with_it() {
    let world = World::new();
    let root = world.directory("data", &files());
    let maps = world.directory("maps", &[]);
    let volumes =
        |stillness| vec![Volume { page_maps: Some(maps.clone()), ..at(&root, None, stillness) }];
    let kept = || {
        let names = fs::read_dir(&maps).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".pages")).collect::<Vec<_>>()
    };
    let upload = world.begin_with_spool(&Arc::default()).await;
    let (upload, _) = upload.ahead(volumes(Stillness::Live)).await.unwrap();
    let first = kept();
    assert_eq!(first.len(), 1);
    let large = fs::OpenOptions::new().write(true).open(root.join("large")).unwrap();
    large.write_all_at(&[9; 100], 1 << 20).unwrap();
    let (upload, _) = upload.ahead(volumes(Stillness::Live)).await.unwrap();
    let second = kept();
    assert!(second.len() == 1 && second != first, "the map of what the file held before stays");
    drop(upload);
    assert_eq!(kept().len(), 0);

    let upload = world.begin_with_spool(&Arc::default()).await;
    let (upload, _) = upload.ahead(volumes(Stillness::Live)).await.unwrap();
    let upload = upload.still(volumes(Stillness::Still), Arc::default()).await.unwrap();
    upload.resume();
    commit(upload).await.unwrap();
    assert_eq!(kept(), second);
}

#[tokio::test]
async fn nothing_is_read_any_more_when_the_freeze_is_over() {
    let world = World::new();
    let root = world.directory("data", &files());
    let upload = read_ahead(&world, &root, &Arc::default()).await;
    let exit = upload.exit();
    let over = Arc::new(AtomicBool::new(true));
    let result = upload.still(vec![at(&root, None, Stillness::Still)], over).await;
    assert!(matches!(result.err(), Some(UploadError::Abandoned)));
    exit.leave().await;
    let outcomes = world.list(Folder::Outcomes).await;
    let [Listed { name: ObjectName::Outcome(session), .. }] = outcomes[..] else {
        panic!("the session is open: {outcomes:?}");
    };
    assert_eq!(world.reader.point(session).await.unwrap(), None);
}

#[tokio::test]
async fn what_was_read_in_a_freeze_outlives_a_prune_that_leaves_it_alone() {
    let world = World::new();
    let root = world.directory("data", &files());
    let upload = read_ahead(&world, &root, &Arc::default()).await;
    let volumes = vec![at(&root, None, Stillness::Still)];
    let upload = upload.still(volumes, Arc::default()).await.unwrap();
    upload.resume();
    fs::remove_dir_all(&root).unwrap();
    world.store.condemn(1, &[]).await;
    upload.writer.beat().await.unwrap();
    let point = commit(upload).await.unwrap();
    assert_eq!(point.statistics.files, 5);
    assert_eq!(world.files(&point).await, wanted(&files()));
}

#[tokio::test]
async fn what_a_prune_took_from_it_spoils_the_point() {
    let world = World::new();
    let root = world.directory("data", &files());
    let first = world.save(root.clone()).await;
    let upload = world.begin_with_spool(&Arc::default()).await;
    let volumes = vec![at(&root, Some(&first), Stillness::Live)];
    let (upload, _) = upload.ahead(volumes).await.unwrap();
    let volumes = vec![at(&root, Some(&first), Stillness::Still)];
    let upload = upload.still(volumes, Arc::default()).await.unwrap();
    upload.resume();
    world.store.condemn(1, &[first.point]).await;
    upload.writer.beat().await.unwrap();
    let error = commit(upload).await.unwrap_err();
    assert!(matches!(error, UploadError::Condemned { .. }), "{error:?}");
}
