mod still;
mod world;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

use format::descriptor::Descriptor;
use format::names::{Folder, ObjectName};
use repository::check::check;

use self::world::{Scripted, World, commit, manifest, noise, refusal};
use super::*;

fn files() -> Vec<(&'static str, Vec<u8>)> {
    let page = |byte: u8| vec![byte; 5000];
    vec![("a", page(1)), ("b", page(2)), ("empty", Vec::new()), ("large", noise(7, 3 << 20))]
}

fn wanted(files: &[(&str, Vec<u8>)]) -> BTreeMap<String, Vec<u8>> {
    files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect()
}

fn sessions(names: impl IntoIterator<Item = ObjectName>) -> Vec<PointId> {
    let session = |name| match name {
        ObjectName::Pack(pack) => Some(pack.session),
        _ => None,
    };
    names.into_iter().filter_map(session).collect()
}

#[tokio::test]
async fn without_a_prune_everything_is_looked_at_once() {
    let world = World::new();
    let root = world.directory("data", &files());
    let first = world.save(root.clone()).await;
    let progress = Arc::new(Progress::default());
    let upload = world.begin(&progress).await;
    upload.writer.beat().await.unwrap();
    let volume = World::volume(root, Some(&first));
    let second = commit(upload.volume(volume).await.unwrap()).await.unwrap();
    assert_eq!(progress.files(), 5);
    assert_eq!(second.statistics.stored, 0);
    assert_eq!(second.remarks, ["0"]);
    assert_eq!(world.files(&second).await, wanted(&files()));
}

#[tokio::test]
async fn what_is_condemned_during_an_upload_is_stored_again() {
    let world = World::new();
    let root = world.directory("data", &files());
    let first = world.save(root.clone()).await;
    let progress = Arc::new(Progress::default());
    let upload = world.begin(&progress).await;
    let upload = upload.volume(World::volume(root, Some(&first))).await.unwrap();
    let condemned = world.store.condemn(1, &[first.point]).await;
    assert!(!condemned.is_empty());
    upload.writer.beat().await.unwrap();
    let second = commit(upload).await.unwrap();
    assert_eq!(progress.files(), 10);
    assert_eq!(second.statistics.files, 5);
    assert!(second.statistics.stored > 3 << 20);
    world.store.delete(&condemned).await;
    assert_eq!(world.files(&second).await, wanted(&files()));
}

#[tokio::test]
async fn a_move_without_a_loss_reads_no_file_again() {
    let world = World::new();
    let root = world.directory("data", &files());
    let progress = Arc::new(Progress::default());
    let upload = world.begin(&progress).await;
    let upload = upload.volume(World::volume(root, None)).await.unwrap();
    let read = progress.read();
    world.store.condemn(1, &[]).await;
    upload.writer.beat().await.unwrap();
    let point = commit(upload).await.unwrap();
    assert_eq!((progress.files(), progress.read()), (10, read));
    assert_eq!(point.statistics.read, read);
    assert_eq!(world.files(&point).await, wanted(&files()));
}

#[tokio::test]
async fn however_many_prunes_begin_everything_is_looked_at_twice_at_most() {
    let world = World::new();
    let root = world.directory("data", &files());
    let mut points = Vec::new();
    let files_with_data = files().into_iter().filter(|(_, bytes)| !bytes.is_empty());
    for (name, (file, bytes)) in ["x", "y", "z"].iter().zip(files_with_data) {
        points.push(world.save(world.directory(name, &[(file, bytes)])).await.point);
    }
    let progress = Arc::new(Progress::default());
    let upload = world.begin(&progress).await;
    let writer = upload.writer.clone();
    // Whenever segments are being stored, as at the end of each pass that stored anything, a prune
    // condemns the packs of one more point.
    let (strikes, left) = (Arc::new(AtomicU64::new(0)), points.clone());
    let struck = Arc::clone(&strikes);
    world.script(move |store: Scripted, name| {
        let (writer, strikes, left) = (writer.clone(), Arc::clone(&strikes), left.clone());
        async move {
            let strike = strikes.load(SeqCst);
            let target = left.get(usize::try_from(strike).unwrap()).copied();
            if let (ObjectName::Index(..), Some(target)) = (name, target) {
                strikes.store(strike + 1, SeqCst);
                store.condemn(strike + 1, &[target]).await;
                writer.beat().await.unwrap();
            }
            Ok(())
        }
    });
    let upload = upload.volume(World::volume(root, None)).await.unwrap();
    let point = commit(upload).await.unwrap();
    assert!(struck.load(SeqCst) > 1);
    // The first pass, and one after the first strike; during that one nothing newer was promised,
    // and whoever strikes then has to wait.
    assert_eq!(progress.files(), 2 * 5);
    let packs = world.list(Folder::Packs).await.into_iter().map(|listed| listed.name);
    let condemned: Vec<_> = packs.filter(|name| sessions([*name]) == [points[0]]).collect();
    assert!(!condemned.is_empty());
    world.store.delete(&condemned).await;
    assert_eq!(world.files(&point).await, wanted(&files()));
}

#[tokio::test]
async fn a_fenced_upload_begins_again_from_the_same_files() {
    for condemn in [false, true] {
        let world = World::new();
        let root = world.directory("data", &files());
        let progress = Arc::new(Progress::default());
        let upload = world.begin(&progress).await;
        let fenced = upload.session();
        let upload = upload.volume(World::volume(root, None)).await.unwrap();
        let read = progress.read();
        // When all packs are stored, a prune ends the session, and may condemn what it has stored.
        world.script(move |store: Scripted, name| async move {
            if let ObjectName::Index(session, _) = name
                && session == fenced
            {
                store.fence(session).await;
                if condemn {
                    store.condemn(1, &[session]).await;
                }
            }
            Ok(())
        });
        let point = commit(upload).await.unwrap();
        assert_ne!(point.point, fenced);
        assert_eq!(point.remarks, ["1"]);
        assert_eq!(world.reader.point(fenced).await.unwrap(), None);
        assert_eq!(world.reader.point(point.point).await.unwrap().as_ref(), Some(&point));
        // What the fenced session has stored is as good as any, while it is not condemned.
        assert_eq!(progress.read() > read, condemn);
        if condemn {
            let packs = world.list(Folder::Packs).await.into_iter().map(|listed| listed.name);
            let old: Vec<_> = packs.filter(|name| sessions([*name]) == [fenced]).collect();
            world.store.delete(&old).await;
        }
        assert_eq!(world.files(&point).await, wanted(&files()));
    }
}

#[tokio::test]
async fn an_upload_that_is_fenced_again_and_again_gives_up() {
    let world = World::new();
    let root = world.directory("data", &files());
    let begun = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&begun);
    world.script(move |store: Scripted, name| {
        let count = Arc::clone(&count);
        async move {
            if let ObjectName::Session(_, session) = name {
                count.fetch_add(1, SeqCst);
                store.fence(session).await;
            }
            Ok(())
        }
    });
    let upload = world.begin(&Arc::default()).await;
    let upload = upload.volume(World::volume(root, None)).await.unwrap();
    let error = commit(upload).await.unwrap_err();
    let fenced = matches!(error, UploadError::Repository(RepositoryError::Fenced(_)));
    assert!(fenced, "{error}");
    assert_eq!(begun.load(SeqCst), 1 + RESTARTS_MAX);
}

#[tokio::test]
async fn what_an_upload_has_stored_before_it_was_cut_off_is_not_stored_again() {
    const PACKS: u64 = 12;
    let world = World::new();
    let files: Vec<_> = (0..PACKS).map(|n| (n.to_string(), noise(n + 1, 16 << 20))).collect();
    let files: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let root = world.directory("data", &files);
    let packs = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&packs);
    world.script(move |_, name| {
        let is_last =
            matches!(name, ObjectName::Pack(_)) && count.fetch_add(1, SeqCst) >= PACKS - 2;
        async move { if is_last { Err(refusal()) } else { Ok(()) } }
    });
    let upload = world.begin(&Arc::default()).await;
    let cut = match upload.volume(World::volume(root.clone(), None)).await {
        Ok(upload) => commit(upload).await.map(|_| ()),
        Err(error) => Err(error),
    };
    cut.unwrap_err();
    for session in world.reader.sessions().await.unwrap() {
        assert_eq!(world.reader.point(session).await.unwrap(), None);
    }
    world.script(|_, _| async { Ok(()) });
    let point = world.save(root).await;
    // The first segment names eight packs.
    let rest = (PACKS - 8 + 1) * (16 << 20);
    assert!(point.statistics.stored < rest, "{} of {rest}", point.statistics.stored);
    assert_eq!(world.files(&point).await, wanted(&files));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hosts_that_do_not_know_of_each_other_may_write_at_once() {
    const HOSTS: u64 = 5;
    let world = World::new();
    let common = [("one", noise(1, 9 << 20)), ("two", noise(2, 2 << 20)), ("three", vec![3; 700])];
    let mut roots = Vec::new();
    for host in 0..HOSTS {
        let mut files = common.to_vec();
        files.push(("own", noise(100 + host, 3 << 20)));
        roots.push((world.directory(&host.to_string(), &files), files));
    }
    // Two points of each, the second one changed.
    for round in 0..2 {
        let mut running = tokio::task::JoinSet::new();
        for (host, (root, files)) in roots.iter_mut().enumerate() {
            files[2].1 = vec![round; 900];
            std::fs::write(root.join("three"), &files[2].1).unwrap();
            let upload = world.begin(&Arc::default()).await;
            let volume = World::volume(root.clone(), None);
            running.spawn(async move {
                let upload = upload.volume(volume).await.unwrap();
                (host, upload.commit(|uploaded| manifest(&uploaded)).await.unwrap())
            });
        }
        while let Some(ended) = running.join_next().await {
            let (host, point) = ended.unwrap();
            assert_eq!(world.files(&point).await, wanted(&roots[host].1));
        }
    }
    let descriptor = Descriptor::new(world.reader.id()).to_bytes();
    world.store.create(ObjectName::Descriptor, descriptor.into()).await.unwrap();
    let report = check(&world.reader, true).await.unwrap();
    assert_eq!((report.points, report.findings), (2 * HOSTS, Vec::new()));
}
