mod asked;
mod at_once;
mod audit;
mod jobs;
mod notices;
mod opening;
mod page;
mod power;
mod rebuild;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use format::annotation::{Annotation, Note, Summary};
use format::ids::{Digest, ObjectId};
use format::manifest::{Level, Omission, Statistics, VolumeRecord};
use format::names::PackName;
use format::raw::RawPath;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use tempfile::TempDir;

use super::*;

const REPOSITORY: RepositoryId = RepositoryId::new([7; 16]);

struct World {
    directory: TempDir,
}

impl World {
    fn new() -> Self {
        Self { directory: TempDir::new().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("state/catalog.db")
    }

    async fn open(&self) -> Catalog {
        Catalog::open(&self.path()).await.unwrap()
    }

    /// A connection of some other program, which does not wait for locks.
    async fn raw(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.path());
        options.busy_timeout(Duration::ZERO).connect().await.unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path().parent().unwrap()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn point_id(number: u32) -> PointId {
    let mut bytes = [0; 16];
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    PointId::new(bytes)
}

fn at(second: u32) -> Timestamp {
    Timestamp::new(1_700_000_000 + i64::from(second), 123_456_789).unwrap()
}

fn volume(name: impl Into<Vec<u8>>) -> VolumeRecord {
    VolumeRecord {
        name: RawPath::new(name),
        source: RawPath::new("/var/lib/docker/volumes/secret-source"),
        driver: "btrfs".into(),
        mounts: Vec::new(),
        root: Vec::new(),
        files: 3,
        bytes: u64::MAX,
        data: 0,
    }
}

fn manifest(number: u32) -> Manifest {
    Manifest {
        point: point_id(number),
        application: "shop".into(),
        platform: "docker".into(),
        host: "sirius".into(),
        taken: at(number),
        level: Level::Crash,
        remarks: Vec::new(),
        volumes: vec![volume("data"), volume(b"caf\xe9\\\n".to_vec()), volume("")],
        definition: serde_json::json!({ "environment": ["PASSWORD=hunter2"] }),
        evidence: None,
        statistics: Statistics { files: 6, scanned: 5, read: 4, changed: 3, stored: 2, sent: 1 },
        omissions: vec![Omission {
            volume: RawPath::new("data"),
            path: RawPath::new("x"),
            reason: "permission denied".into(),
        }],
        occasion: None,
    }
}

fn new_run(second: u32) -> NewRun {
    NewRun {
        application: "shop".into(),
        repository: Some(REPOSITORY),
        start: RunStart { started: at(second), process: NOBODY },
    }
}

const NOBODY: Process = Process { pid: u32::MAX, start_ticks: u64::MAX };

async fn everything(catalog: &Catalog) -> Vec<PointRow> {
    catalog.points(&PointFilter::default()).await.unwrap()
}

#[tokio::test]
async fn a_point_comes_back_as_its_manifest_tells() {
    let world = World::new();
    let catalog = world.open().await;
    let mut other = manifest(2);
    other.application = "Büro \0 'x'".into();
    other.level = Level::Application;
    other.volumes.clear();
    other.taken = Timestamp::MAX;
    catalog.insert_point(REPOSITORY, &manifest(1)).await.unwrap();
    catalog.insert_point(REPOSITORY, &other).await.unwrap();

    let expected = [PointRow::of(REPOSITORY, &other), PointRow::of(REPOSITORY, &manifest(1))];
    assert_eq!(everything(&catalog).await, expected);
    assert_eq!(expected[1].volumes[1].name.as_bytes(), b"caf\xe9\\\n");
    assert_eq!(expected[1].volumes[0].bytes, u64::MAX);
    assert_eq!(expected[1].omissions, 1);
}

#[tokio::test]
async fn what_is_written_is_there_after_opening_again() {
    let world = World::new();
    let catalog = world.open().await;
    catalog.insert_point(REPOSITORY, &manifest(1)).await.unwrap();
    catalog.close().await;
    assert_eq!(world.names(), ["catalog.db"]);
    assert_eq!(everything(&world.open().await).await, [PointRow::of(REPOSITORY, &manifest(1))]);
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let (world, after) = (World::new(), World::new());
    let catalog = world.open().await;
    for number in 0..50 {
        catalog.insert_point(REPOSITORY, &manifest(number)).await.unwrap();
    }
    // The files as a killed process leaves them: the log is not yet in the database.
    fs::create_dir(after.path().parent().unwrap()).unwrap();
    for name in ["catalog.db", "catalog.db-wal"] {
        let beside = |world: &World| world.path().with_file_name(name);
        fs::copy(beside(&world), beside(&after)).unwrap();
    }
    assert_eq!(everything(&after.open().await).await, everything(&catalog).await);
}

#[tokio::test]
async fn a_known_point_stays_as_it_is() {
    let world = World::new();
    let catalog = world.open().await;
    let mut forged = manifest(1);
    forged.host = "elsewhere".into();
    forged.volumes.clear();
    for manifest in [&manifest(1), &manifest(1), &forged] {
        catalog.insert_point(REPOSITORY, manifest).await.unwrap();
    }
    assert_eq!(everything(&catalog).await, [PointRow::of(REPOSITORY, &manifest(1))]);
}

#[tokio::test]
async fn filters_choose_by_repository_and_application() {
    let world = World::new();
    let catalog = world.open().await;
    let elsewhere = RepositoryId::new([8; 16]);
    let mut wiki = manifest(3);
    wiki.application = "wiki".into();
    catalog.insert_point(REPOSITORY, &manifest(1)).await.unwrap();
    catalog.insert_point(elsewhere, &manifest(1)).await.unwrap();
    catalog.insert_point(elsewhere, &manifest(2)).await.unwrap();
    catalog.insert_point(elsewhere, &wiki).await.unwrap();

    let count = async |repository, application: Option<&str>| {
        let filter = PointFilter { repository, application: application.map(Into::into) };
        catalog.points(&filter).await.unwrap().len()
    };
    assert_eq!(count(None, None).await, 4);
    assert_eq!(count(Some(REPOSITORY), None).await, 1);
    assert_eq!(count(None, Some("shop")).await, 3);
    assert_eq!(count(Some(elsewhere), Some("shop")).await, 2);
    assert_eq!(count(Some(REPOSITORY), Some("wiki")).await, 0);
    assert_eq!(
        catalog.known_points(elsewhere).await.unwrap(),
        BTreeSet::from([1, 2, 3].map(point_id))
    );
}

#[tokio::test]
async fn a_forgotten_point_leaves_no_volume_behind() {
    let world = World::new();
    let catalog = world.open().await;
    let elsewhere = RepositoryId::new([8; 16]);
    for number in 0..3 {
        catalog.insert_point(REPOSITORY, &manifest(number)).await.unwrap();
    }
    catalog.insert_point(elsewhere, &manifest(0)).await.unwrap();
    let unknown = point_id(99);
    let points = [point_id(0), point_id(2), unknown];
    assert_eq!(catalog.forget_points(REPOSITORY, &points).await.unwrap(), 2);
    assert_eq!(catalog.forget_points(REPOSITORY, &points).await.unwrap(), 0);
    assert_eq!(catalog.forget_points(REPOSITORY, &[]).await.unwrap(), 0);

    assert_eq!(catalog.known_points(REPOSITORY).await.unwrap(), BTreeSet::from([point_id(1)]));
    assert_eq!(catalog.known_points(elsewhere).await.unwrap(), BTreeSet::from([point_id(0)]));
    let volumes: i64 = sqlx::query_scalar("SELECT count(*) FROM volumes")
        .fetch_one(&catalog.readers)
        .await
        .unwrap();
    assert_eq!(volumes, 6);
}

#[tokio::test]
async fn a_catalog_that_was_lost_is_rebuilt_equal() {
    let world = World::new();
    let catalog = world.open().await;
    for number in 0..20 {
        catalog.insert_point(REPOSITORY, &manifest(number)).await.unwrap();
    }
    let before = everything(&catalog).await;
    catalog.close().await;
    fs::remove_file(world.path()).unwrap();

    let catalog = world.open().await;
    for number in (0..20).rev() {
        catalog.insert_point(REPOSITORY, &manifest(number)).await.unwrap();
    }
    assert_eq!(everything(&catalog).await, before);
    assert_eq!(catalog.applications().await.unwrap()[0].newest, Some(at(19)));
}

#[tokio::test]
async fn nothing_of_the_definition_reaches_the_disk() {
    let world = World::new();
    let catalog = world.open().await;
    catalog.insert_point(REPOSITORY, &manifest(1)).await.unwrap();
    catalog.close().await;
    let bytes = fs::read(world.path()).unwrap();
    for secret in ["hunter2", "PASSWORD", "secret-source"] {
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret}");
    }
}

#[tokio::test]
async fn what_was_seen_stays_as_it_was_seen_first() {
    let world = World::new();
    let catalog = world.open().await;
    let name = |number: u32| ObjectName::Outcome(point_id(number));
    let seen =
        |size, digest: Option<u8>| Seen { size, digest: digest.map(|b| Digest::new([b; 16])) };
    let objects = vec![(name(1), seen(5, None)), (name(2), seen(6, Some(1)))];
    catalog.remember_seen(REPOSITORY, objects).await.unwrap();
    let later = vec![(name(1), seen(7, Some(2))), (name(2), seen(8, Some(3)))];
    catalog.remember_seen(REPOSITORY, later).await.unwrap();
    catalog
        .remember_seen(RepositoryId::new([8; 16]), vec![(name(3), seen(1, None))])
        .await
        .unwrap();
    let known = catalog.seen(REPOSITORY).await.unwrap();
    let wanted = BTreeMap::from([(name(1), seen(5, Some(2))), (name(2), seen(6, Some(1)))]);
    assert_eq!(known, wanted);
    catalog.forget_seen(REPOSITORY, vec![name(1), name(9)]).await.unwrap();
    assert_eq!(catalog.seen(REPOSITORY).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_last_reading_of_a_pack_counts() {
    let world = World::new();
    let catalog = world.open().await;
    let pack = |byte: u8| {
        ObjectName::Pack(PackName { session: point_id(1), id: ObjectId::new([byte; 16]) })
    };
    let read = async |packs: &[u8], second, gone: &[u8]| {
        let packs = (packs.iter().copied().map(pack).collect(), at(second));
        let gone = gone.iter().copied().map(pack).collect();
        catalog.record_readings(REPOSITORY, packs, gone).await.unwrap();
    };
    read(&[1, 2, 3], 5, &[]).await;
    read(&[2], 9, &[3]).await;
    read(&[1], 3, &[]).await;
    let wanted = BTreeMap::from([(pack(1), at(5)), (pack(2), at(9))]);
    assert_eq!(catalog.readings(REPOSITORY).await.unwrap(), wanted);
}

#[tokio::test]
async fn a_run_is_unfinished_until_its_end_is_told_once() {
    let world = World::new();
    let catalog = world.open().await;
    let outcomes = [
        RunOutcome::Succeeded,
        RunOutcome::Partial,
        RunOutcome::Failed { error: "the disk is full".into() },
        RunOutcome::Abandoned,
    ];
    for (second, outcome) in (0..).zip(outcomes) {
        let run = catalog.begin_run(new_run(second)).await.unwrap();
        let row = catalog.unfinished_runs().await.unwrap().remove(0);
        assert_eq!((row.id, row.start), (run, Some(new_run(second).start)));

        let point = (outcome == RunOutcome::Succeeded).then(|| point_id(1));
        let end = RunEnd { ended: at(second + 9), outcome, point };
        catalog.finish_run(run, end.clone()).await.unwrap();
        assert!(catalog.unfinished_runs().await.unwrap().is_empty());
        let row = catalog.runs(1).await.unwrap().remove(0);
        assert_eq!((row.id, row.queued, row.end.as_ref()), (run, at(second), Some(&end)));

        let again = catalog.finish_run(run, end).await;
        assert!(matches!(again, Err(CatalogError::NoUnfinishedRun { run: it }) if it == run));
    }
    let starts: Vec<_> = catalog.runs(3).await.unwrap().iter().map(|run| run.queued).collect();
    assert_eq!(starts, [at(3), at(2), at(1)]);
}

#[tokio::test]
async fn an_application_is_listed_when_it_was_seen_or_has_points() {
    let world = World::new();
    let catalog = world.open().await;
    for (name, platform, second) in
        [("wiki", "host", 1), ("shop", "docker", 5), ("shop", "docker", 2)]
    {
        catalog
            .record_applications(vec![(name.into(), platform.into())], at(second))
            .await
            .unwrap();
    }
    let mut blog = manifest(8);
    blog.application = "blog".into();
    for manifest in [manifest(3), manifest(4), blog] {
        catalog.insert_point(REPOSITORY, &manifest).await.unwrap();
    }
    let row = |name: &str, platform: &str, seen: Option<u32>, newest: Option<u32>| ApplicationRow {
        name: name.into(),
        platform: platform.into(),
        seen: seen.map(at),
        newest: newest.map(at),
    };
    assert_eq!(
        catalog.applications().await.unwrap(),
        [
            row("blog", "docker", None, Some(8)),
            row("shop", "docker", Some(5), Some(4)),
            row("wiki", "host", Some(1), None),
        ]
    );
}

#[tokio::test]
async fn a_closed_catalog_says_so() {
    let world = World::new();
    let catalog = world.open().await;
    catalog.close().await;
    catalog.close().await;
    let refused = catalog.insert_point(REPOSITORY, &manifest(1)).await;
    assert!(matches!(refused, Err(CatalogError::Closed { .. })));
    let refused = catalog.points(&PointFilter::default()).await;
    assert!(matches!(refused, Err(CatalogError::Closed { .. })));
}

fn said(number: u64, second: u32, note: Note) -> Numbered {
    let (who, when) = ("me".into(), at(second));
    ((point_id(1), number), Annotation { who, when, note, previous: None })
}

#[tokio::test]
async fn what_is_said_comes_back_with_its_point_and_goes_with_it() {
    let world = World::new();
    let catalog = world.open().await;
    catalog.insert_point(REPOSITORY, &manifest(1)).await.unwrap();
    catalog.insert_point(REPOSITORY, &manifest(2)).await.unwrap();
    let tag = |tag: &str| Note::Tag { tag: tag.into() };
    let mut unknown = said(0, 1, tag("nobody's"));
    unknown.0.0 = point_id(9);
    let hold = Note::Hold { reason: "'law'".into() };
    // By number, not by text or by the order of arrival.
    let annotations = vec![
        said(10, 4, Note::Untag { tag: "a".into() }),
        said(9, 3, tag("a")),
        said(0, 1, hold),
        said(1, 2, Note::Verified { bytes: 5 }),
        unknown,
    ];
    catalog.insert_annotations(REPOSITORY, annotations.clone()).await.unwrap();
    catalog.insert_annotations(REPOSITORY, annotations).await.unwrap();
    let known = catalog.known_annotations(REPOSITORY).await.unwrap();
    assert_eq!(known, [0, 1, 9, 10].map(|number| (point_id(1), number)).into());
    let points = everything(&catalog).await;
    assert_eq!(points[0].annotations, Summary::default());
    let summary =
        Summary { held: Some("'law'".into()), verified: Some(at(2)), ..Summary::default() };
    assert_eq!(points[1].annotations, summary);
    catalog.forget_points(REPOSITORY, &[point_id(1)]).await.unwrap();
    assert_eq!(catalog.known_annotations(REPOSITORY).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_pin_is_known_until_it_is_forgotten() {
    let world = World::new();
    let catalog = world.open().await;
    let [first, second] = [1, 2].map(|id| ObjectId::new([id; 16]));
    let process = Process { pid: u32::MAX, start_ticks: u64::MAX };
    catalog.record_pin(REPOSITORY, first, process).await.unwrap();
    catalog.record_pin(REPOSITORY, second, process).await.unwrap();
    catalog.forget_pin(REPOSITORY, first).await.unwrap();
    assert_eq!(catalog.pins(REPOSITORY).await.unwrap(), [(second, process)]);
    assert_eq!(catalog.pins(RepositoryId::new([1; 16])).await.unwrap(), []);
}
