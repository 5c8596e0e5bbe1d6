//! A repair loses nothing, wherever it stops, and what it says is what a check finds.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use async_trait::async_trait;
use bytes::Bytes;
use format::ids::PointId;
use format::names::{Folder, ObjectName, PackName};
use format::prune::Condemned;

use super::{Healing, Plan, Repaired, execute, plan};
use crate::check::tests::whole::{FILES, empty, listed, point, put, register, unreadable};
use crate::check::{Check, CheckReport, Finding, Progress, check};
use crate::error::RepositoryError;
use crate::index::tests::world::{World, keys};
use crate::reader::Reader;
use crate::store::{Listed, ReadStore, Store, StoreError};

/// A store that dies after so many objects.
#[derive(Debug)]
struct Mortal {
    world: Arc<World>,
    left: AtomicUsize,
}

impl Mortal {
    fn new(world: &Arc<World>, left: usize) -> Arc<Self> {
        Arc::new(Self { world: Arc::clone(world), left: AtomicUsize::new(left) })
    }
}

#[async_trait]
impl ReadStore for Mortal {
    fn location(&self) -> String {
        self.world.location()
    }

    async fn get(&self, name: ObjectName) -> Result<Bytes, StoreError> {
        self.world.get(name).await
    }

    async fn get_range(&self, name: ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.world.get_range(name, range).await
    }

    async fn list(&self, folder: Folder) -> Result<Vec<Listed>, StoreError> {
        self.world.list(folder).await
    }
}

#[async_trait]
impl Store for Mortal {
    async fn create(&self, name: ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        if self.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_err() {
            let (action, location) = (format!("create `{name}`"), self.location());
            let source = "the store is dead".into();
            return Err(StoreError::Failed { action, location, passing: false, source });
        }
        self.world.create(name, bytes).await
    }
}

/// A store whose lists show no index segment.
#[derive(Debug)]
struct Blind(Arc<World>);

#[async_trait]
impl ReadStore for Blind {
    fn location(&self) -> String {
        self.0.location()
    }

    async fn get(&self, name: ObjectName) -> Result<Bytes, StoreError> {
        self.0.get(name).await
    }

    async fn get_range(&self, name: ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.0.get_range(name, range).await
    }

    async fn list(&self, folder: Folder) -> Result<Vec<Listed>, StoreError> {
        let listed = self.0.list(folder).await?;
        Ok(if folder == Folder::Indexes { Vec::new() } else { listed })
    }
}

#[async_trait]
impl Store for Blind {
    async fn create(&self, name: ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        self.0.create(name, bytes).await
    }
}

async fn planned(reader: &Reader) -> Plan {
    let mut check = Check::begin(reader).await.unwrap();
    check.read(check.packs().to_vec(), &Progress::default()).await.unwrap();
    plan(reader, check).await.unwrap()
}

async fn repaired(world: &Arc<World>) -> Repaired {
    let plan = planned(&world.reader()).await;
    execute(Arc::clone(world) as Arc<dyn Store>, &world.reader(), plan, "here").await.unwrap()
}

async fn checked(world: &Arc<World>) -> CheckReport {
    check(&world.reader(), true).await.unwrap()
}

/// The files that a report names.
fn lost(report: &CheckReport) -> Vec<String> {
    let path = |finding: &Finding| match finding {
        Finding::LostFile { path, .. } => Some(path.to_string()),
        _ => None,
    };
    report.findings.iter().filter_map(path).collect()
}

/// What somebody did to the repository of one point.
type Damage = fn(&World, &Packs);

/// The packs of a point, and the segments that name them.
struct Packs {
    data: PackName,
    tree: PackName,
    segments: Vec<ObjectName>,
}

async fn packs(world: &Arc<World>) -> Packs {
    let objects = world.objects();
    let size = |name: &ObjectName| objects[name].len();
    let mut packs = listed(world, Folder::Packs).await;
    // The tree is longer than the little that is in the files.
    packs.sort_by_key(size);
    let pack = |name: &ObjectName| match name {
        ObjectName::Pack(pack) => *pack,
        other => panic!("{other}"),
    };
    Packs {
        data: pack(&packs[0]),
        tree: pack(&packs[1]),
        segments: listed(world, Folder::Indexes).await,
    }
}

/// Where the first frame begins, in which the first file lies.
const FRAMES: usize = 72;

fn damages() -> Vec<(&'static str, Damage, &'static [&'static str])> {
    vec![
        ("header of the data", |w, p| w.change(ObjectName::Pack(p.data), |b| b[20] ^= 1), &[]),
        ("a frame", |w, p| w.change(ObjectName::Pack(p.data), |b| b[FRAMES + 3] ^= 1), &["a"]),
        (
            "footer of the data",
            |w, p| {
                w.change(ObjectName::Pack(p.data), |b| {
                    let end = b.len();
                    b[end - 30] ^= 1;
                });
            },
            &[],
        ),
        (
            "footer of the tree",
            |w, p| {
                w.change(ObjectName::Pack(p.tree), |b| {
                    let end = b.len();
                    b[end - 30] ^= 1;
                });
            },
            &[],
        ),
        (
            "torn data",
            |w, p| w.change(ObjectName::Pack(p.data), |b| b.truncate(FRAMES + 40)),
            &["b", "c"],
        ),
        ("empty data", |w, p| w.change(ObjectName::Pack(p.data), Vec::clear), &["a", "b", "c"]),
        ("no data", |w, p| drop(w.remove(ObjectName::Pack(p.data))), &["a", "b", "c"]),
        ("a segment", |w, p| w.change(p.segments[0], |b| b[100] ^= 1), &[]),
        ("a torn segment", |w, p| w.change(p.segments[1], |b| b.truncate(50)), &[]),
        ("no segment", |w, p| drop(w.remove(p.segments[0])), &[]),
        ("no segments", |w, p| p.segments.iter().for_each(|name| drop(w.remove(*name))), &[]),
    ]
}

async fn damaged(damage: Damage) -> (Arc<World>, PointId) {
    let world = empty();
    let point = point(&world, 0).await;
    damage(&world, &packs(&world).await);
    (world, point)
}

#[tokio::test]
async fn what_is_left_after_a_repair_is_what_a_check_finds_and_what_cannot_be_read() {
    for (what, damage, wanted) in damages() {
        let (world, point) = damaged(damage).await;
        assert!(!checked(&world).await.findings.is_empty(), "{what}");
        repaired(&world).await;
        let report = checked(&world).await;
        assert_eq!(lost(&report), wanted, "{what}");
        assert_eq!(report.findings.len(), wanted.len(), "{what}: {:?}", report.findings);
        assert_eq!(unreadable(&world, point).await, wanted, "{what}");
        // Without reading packs it is known, too.
        assert_eq!(
            check(&world.reader(), false).await.unwrap().findings,
            report.findings,
            "{what}"
        );
        assert!(planned(&world.reader()).await.is_empty(), "{what}: once is enough");
    }
}

#[tokio::test]
async fn a_repair_that_is_interrupted_anywhere_loses_nothing() {
    for (what, damage, wanted) in damages() {
        for creates in 0.. {
            let (world, point) = damaged(damage).await;
            let before = unreadable(&world, point).await;
            let plan = planned(&world.reader()).await;
            let result = execute(Mortal::new(&world, creates), &world.reader(), plan, "here").await;
            let after = unreadable(&world, point).await;
            assert!(after.iter().all(|file| before.contains(file)), "{what}, {creates}: {after:?}");
            repaired(&world).await;
            assert_eq!(lost(&checked(&world).await), wanted, "{what}, {creates}");
            if result.is_ok() {
                assert!(creates > 2, "{what}: it stores something");
                break;
            }
        }
    }
}

#[tokio::test]
async fn what_lies_in_another_pack_too_needs_no_second_copy() {
    let world = empty();
    let first = point(&world, 0).await;
    let pack = packs(&world).await.data;
    let second = point(&world, 1).await;
    world.change(ObjectName::Pack(pack), |bytes| bytes[FRAMES..].fill(9));
    let report = checked(&world).await;
    assert!(matches!(report.findings.as_slice(), [Finding::DamagedPack { .. }]), "{report:?}");
    assert_eq!(repaired(&world).await.salvaged, 0);
    assert_eq!(checked(&world).await.findings, []);
    for point in [first, second] {
        assert_eq!(unreadable(&world, point).await, [""; 0]);
    }
}

#[tokio::test]
async fn a_lost_chunk_that_is_offered_is_stored_again() {
    let (world, point) = damaged(|w, p| drop(w.remove(ObjectName::Pack(p.data)))).await;
    let wanted = planned(&world.reader()).await.wanted;
    repaired(&world).await;
    assert_eq!(wanted.len(), FILES.len());
    let store = Arc::clone(&world) as Arc<dyn Store>;
    let mut healing = Healing::begin(store, &world.reader(), wanted, "here").await.unwrap();
    for bytes in [&b"something else"[..], FILES[0].1, FILES[1].1, FILES[1].1] {
        healing.offer(bytes).await.unwrap();
    }
    assert!(!healing.is_done());
    assert_eq!(healing.finish().await.unwrap(), 2);
    assert_eq!(lost(&checked(&world).await), ["c"]);
    assert_eq!(unreadable(&world, point).await, ["c"]);
}

#[tokio::test]
async fn who_was_overtaken_by_a_prune_plans_anew() {
    let (world, point) =
        damaged(|w, p| w.change(ObjectName::Pack(p.data), |b| b[FRAMES] ^= 1)).await;
    let plan = planned(&world.reader()).await;
    let nonce = format::ids::ObjectId::new([1; 16]);
    put(
        &world,
        ObjectName::Condemned(1),
        &Condemned { nonce, objects: Vec::new(), previous: None },
    );
    let store = Arc::clone(&world) as Arc<dyn Store>;
    let result = execute(store, &world.reader(), plan, "here").await;
    assert!(matches!(result, Err(RepositoryError::Overtaken)), "{result:?}");
    assert_eq!(unreadable(&world, point).await, ["a"]);
    repaired(&world).await;
    assert_eq!(lost(&checked(&world).await), ["a"]);
}

#[tokio::test]
async fn a_whole_repository_and_a_writer_at_work_are_left_alone() {
    let world = empty();
    point(&world, 0).await;
    let writer = register(&world).await;
    let pack = writer.store_pack(writer.seal(Vec::new()).unwrap()).await.unwrap();
    world.change(ObjectName::Pack(pack.name), |bytes| bytes[80] ^= 1);
    let before = world.objects();
    let plan = planned(&world.reader()).await;
    assert!(plan.is_empty(), "{plan:?}");
    let store = Arc::clone(&world) as Arc<dyn Store>;
    execute(store, &world.reader(), plan, "here").await.unwrap();
    assert_eq!(world.objects(), before);
}

#[tokio::test]
async fn what_a_segment_describes_is_saved_though_no_list_shows_the_segment() {
    let (world, point) = damaged(|w, p| {
        w.change(ObjectName::Pack(p.data), |bytes| {
            let end = bytes.len();
            bytes[end - 30] ^= 1;
        });
    })
    .await;
    let mut check = Check::begin(&world.reader()).await.unwrap();
    check.read(check.packs().to_vec(), &Progress::default()).await.unwrap();
    let store = Arc::new(Blind(Arc::clone(&world)));
    let reader = Reader::with_keys(Arc::clone(&store) as Arc<dyn ReadStore>, keys());
    let plan = plan(&reader, check).await.unwrap();
    let repaired = execute(store, &reader, plan, "here").await.unwrap();
    assert_eq!(repaired.salvaged, FILES.len() as u64);
    assert_eq!(checked(&world).await.findings, []);
    assert_eq!(unreadable(&world, point).await, [""; 0]);
}
