//! Every restore point of an application shows all its volumes as of one instant, and the freeze
//! is the reason.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics, and what it measured is worth seeing"
)]

use std::fs;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use service::backup::{BackupProgress, BackupReport, BackupRequest, Subject};
use service::check::{CheckRequest, ReadData};
use service::clock::SystemClock;
use service::deadline::Deadline;
use service::engine::{Engine, FREEZE_DEADLINE, Settings};
use service::key::{KeySource, NewKey};
use service::keys;
use service::pins::Pinning;
use service::points::PointName;
use service::secret::SecretSource;
use service::{CheckProgress, RestoreProgress};
use tests::directory::Directory;
use tests::lab;
use tests::machine::machine;
use tests::sequence::{self, Sequence};
use tests::world::PASSPHRASE;

/// How many points are made of each application, unless `STILLPOINT_ROUNDS` says otherwise.
const ROUNDS: u32 = 10;
/// How soon it goes on.
const PATIENCE: Duration = Duration::from_mins(1);
/// Without a freeze, this many tries are enough to see it fail.
const UNFROZEN_ROUNDS: u32 = 20;

#[test]
fn two_containers_on_btrfs_agree_in_every_point() {
    always_agree(2, "btrfs", &lab::btrfs());
}

#[test]
fn ten_containers_on_btrfs_agree_in_every_point() {
    always_agree(10, "btrfs", &lab::btrfs());
}

#[test]
fn fifty_containers_on_btrfs_agree_in_every_point() {
    always_agree(50, "btrfs", &lab::btrfs());
}

#[test]
fn two_containers_on_xfs_agree_in_every_point() {
    always_agree(2, "reflink", &lab::xfs());
}

#[test]
fn ten_containers_on_xfs_agree_in_every_point() {
    always_agree(10, "reflink", &lab::xfs());
}

#[test]
fn fifty_containers_on_xfs_agree_in_every_point() {
    always_agree(50, "reflink", &lab::xfs());
}

#[test]
fn two_containers_on_ext4_agree_in_every_point() {
    always_agree(2, "live", &std::env::temp_dir());
}

#[test]
fn ten_containers_on_ext4_agree_in_every_point() {
    always_agree(10, "live", &std::env::temp_dir());
}

#[test]
fn fifty_containers_on_ext4_agree_in_every_point() {
    always_agree(50, "live", &std::env::temp_dir());
}

#[test]
fn three_containers_that_the_engine_pauses_agree_in_every_point() {
    let label = "--label=stillpoint.freezer=engine";
    stays_in_step(&Sequence::with(3, &lab::btrfs(), &[label]), "btrfs");
}

#[test]
fn two_containers_that_are_copied_agree_in_every_point() {
    copied(2);
}

#[test]
fn ten_containers_that_are_copied_agree_in_every_point() {
    copied(10);
}

#[test]
fn fifty_containers_that_are_copied_agree_in_every_point() {
    copied(50);
}

#[test]
fn without_the_freeze_volumes_disagree_and_the_level_says_so() {
    let application = Sequence::start(10, &lab::btrfs());
    within(async |engine, directory| {
        let mut disagreements = 0;
        for round in 0..UNFROZEN_ROUNDS {
            let report = back_up(&engine, &application, false).await;
            assert_eq!(report.level.to_string(), "fuzzy");
            assert!(!report.remarks.is_empty());
            let target = directory.join(&round.to_string());
            let found = restore_and_check(&engine, &application, &report, &target).await;
            disagreements += u32::from(found.is_err());
        }
        assert!(disagreements > 0, "the freeze would not be needed");
    });
}

fn always_agree(members: usize, driver: &str, parent: &Path) {
    stays_in_step(&Sequence::start(members, parent), driver);
}

fn copied(members: usize) {
    let label = "--label=stillpoint.driver=copy";
    stays_in_step(&Sequence::with(members, &std::env::temp_dir(), &[label]), "copy");
}

fn stays_in_step(application: &Sequence, driver: &str) {
    let (rounds, members) = (lab::rounds().unwrap_or(ROUNDS), application.members().len());
    within(async |engine, directory| {
        let mut windows = Vec::new();
        let mut last = 0;
        for round in 0..rounds {
            // On a busy disk it may be slower than a backup.
            application.goes_on(PATIENCE);
            let report = back_up(&engine, application, true).await;
            assert_eq!(report.level.to_string(), "crash", "round {round}: {report:?}");
            assert!(report.volumes.iter().all(|volume| volume.driver == driver), "{report:?}");
            let target = directory.join(&round.to_string());
            let found = restore_and_check(&engine, application, &report, &target).await;
            let numbers = found.unwrap_or_else(|why| panic!("round {round}: {why}"));
            assert!(numbers[0] > last, "round {round}: the application stands still at {last}");
            last = numbers[0];
            windows.push(report.window_micros.unwrap());
        }
        windows.sort_unstable();
        let at = |percent: usize| windows[(windows.len() - 1) * percent / 100];
        println!(
            "{members} containers, {driver}, {rounds} points: frozen for {} µs (median), {} µs (p99), {} µs (longest)",
            at(50),
            at(99),
            at(100)
        );
        let request = CheckRequest::of(ReadData::Nothing);
        let report = engine.check(request, &CheckProgress::default()).await.unwrap();
        assert!(report.findings.is_empty());
    });
}

/// Does something with a new repository, which is open all the time.
fn within<F: Future<Output = ()>>(act: impl FnOnce(Arc<Engine>, Arc<Directory>) -> F) {
    let directory = Arc::new(Directory::new());
    let secret = directory.join("secret");
    fs::write(&secret, PASSPHRASE).unwrap();
    let source = KeySource::Passphrase(SecretSource::File(secret));
    let settings = Settings {
        location: directory.join("repository").to_str().unwrap().parse().unwrap(),
        key: source.read().unwrap(),
        cache_dir: None,
        machine: machine(directory.path(), Arc::new(SystemClock)),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        keys::init(&settings.location, &NewKey::Existing(source), false).await.unwrap();
        let engine = Arc::new(Engine::open(settings).await.unwrap());
        act(engine, directory).await;
    });
}

async fn back_up(engine: &Engine, application: &Sequence, freeze: bool) -> BackupReport {
    let name = application.name().to_owned();
    let deadline = Deadline::at_most(FREEZE_DEADLINE);
    let subject = Subject::Application { name, freeze, hooks: true, deadline };
    engine.backup(BackupRequest::of(subject), &BackupProgress::default()).await.unwrap()
}

async fn restore_and_check(
    engine: &Engine,
    application: &Sequence,
    report: &BackupReport,
    target: &Path,
) -> Result<Vec<u64>, String> {
    let point = PointName::Prefix(report.point.to_string());
    let manifest = engine.manifest(&point, None).await.unwrap();
    if let Some(method) = lab::only_method() {
        let members = manifest.evidence.iter().flat_map(|evidence| &evidence.members);
        assert!(members.clone().all(|member| member.method == method), "{manifest:?}");
    }
    let plan = engine.plan_restore(&manifest, target).await.unwrap();
    let progress = Arc::new(RestoreProgress::default());
    let restored = engine.restore(manifest, plan, Pinning::Pin, progress).await.unwrap();
    assert!(restored.lost.is_empty() && restored.unset.is_empty(), "{restored:?}");
    let found = sequence::check(&application.restored(target));
    fs::remove_dir_all(target).unwrap();
    found
}
