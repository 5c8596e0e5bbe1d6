//! Uploads that are cut off, and go on from the same snapshot.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use service::clock::Clock as _;
use service::config::Config;
use service::{Happening, RunOutcome};
use tests::chance::Chance;
use tests::directory::{Directory, run};
use tests::http::Request;
use tests::lab;

use super::Application;
use super::steps::{self, Subject};
use super::time::{Served, at};

const RESUMED: &str = "its upload was cut off, and finished later from the same snapshot";
/// Nothing else is due for a long time.
const DAILY: &str = "[policies.often]\nschedules = ['daily \"00:01\"']\n";

/// The snapshots that wait.
fn pending(state: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(state.join("pending")) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "purpose") {
            let name = path.file_stem().unwrap();
            found.push(lab::btrfs().join(".stillpoint").join(name));
        }
    }
    found
}

/// A directory that nobody can write.
struct Closed(PathBuf);

impl Closed {
    fn new(directory: PathBuf) -> Self {
        fs::create_dir_all(&directory).unwrap();
        run(Command::new("mount").arg("--bind").args([&directory, &directory]));
        let closed = Self(directory);
        run(Command::new("mount").args(["-o", "remount,bind,ro"]).arg(&closed.0));
        closed
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        run(Command::new("umount").arg(&self.0));
    }
}

/// A service whose repository takes no points, when it has found that out; with what waits.
async fn put_off() -> (Served, Closed, PathBuf) {
    let mut served = Served::new(DAILY, 20).await;
    let closed = Closed::new(served.directory.join("repository/out"));
    served.start();
    let is_put_off = |event: &service::Event| matches!(event.happening, Happening::PutOff { .. });
    while !served.history().await.events.iter().any(is_put_off) {
        assert!(served.clock.now() < at("2026-03-01T00:20Z"), "it was not put off");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let waiting = pending(&served.setup.machine.state_dir);
    let [snapshot] = &waiting[..] else { panic!("one snapshot waits: {waiting:?}") };
    assert!(snapshot.join("0").exists(), "{}", snapshot.display());
    let snapshot = snapshot.clone();
    (served, closed, snapshot)
}

/// Lets the repository take points again, and waits until the run has ended.
async fn end(served: &mut Served, closed: Closed) {
    drop(closed);
    while served.history().await.runs[0].row.end.is_none() {
        assert!(served.clock.now() < at("2026-03-01T01:30Z"), "the run does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    served.stop().await;
}

#[test]
fn a_service_that_dies_goes_on_with_what_it_had_snapshotted() {
    const TRIES_MAX: usize = 20;
    let subject = Subject::start(vec![Directory::inside(&lab::btrfs())]);
    let (served, mut chance) = (steps::Served::new(), Chance::new(12));
    let wanted = Request::new("POST", "/api/v1/runs")
        .json(&json!({ "task": "backup", "application": subject.name }));
    let point = (0..TRIES_MAX).find_map(|attempt| {
        subject.change(&mut chance, 64 << 20);
        let service = served.start();
        let (_, run) = served.ask(&wanted).unwrap();
        let is_met = served.meets(&run["id"], "uploading");
        service.kill();
        let waiting = pending(&served.world.state());
        let late = format!("late-{attempt}");
        fs::write(subject.volumes[0].join(&late), "not of that moment").unwrap();
        let service = served.start();
        assert!(served.meets(&run["id"], "ended"));
        let run = served.run(&run["id"]);
        service.kill();
        assert_eq!(run["outcome"], "succeeded", "{run}");
        // It is told that it has ended before what it left is gone.
        let is_resumed = is_met && !waiting.is_empty();
        is_resumed.then(|| (run["point"].as_str().unwrap().to_owned(), late, waiting))
    });
    let (point, late, waiting) = point.expect("one is cut off while it uploads");
    let shown = served.world.json(["show", &point]);
    assert!(shown["remarks"].as_array().unwrap().contains(&RESUMED.into()), "{shown}");
    assert_eq!(shown["level"], "crash", "{shown}");
    let out = served.world.path("out").display().to_string();
    served.world.stillpoint(["restore", &point, "--to", &out]).succeeded();
    let find = |name: &str| {
        let found = run(Command::new("find").args([&out, "-name", name]));
        !found.is_empty()
    };
    assert!(find("noise") && !find(&late), "the files are those of the moment when it was frozen");
    assert!(pending(&served.world.state()).is_empty());
    assert!(!waiting[0].exists(), "nothing of the snapshot is left");
    assert!(!subject.container.freezer().is_frozen());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_off_goes_on_from_the_same_snapshot_and_leaves_none() {
    let _application = Application::start("often");
    let (mut served, closed, snapshot) = put_off().await;
    let before = served.clock.now();
    end(&mut served, closed).await;
    let (history, points) = (served.history().await, served.points().await);
    let run = &history.runs[0].row;
    assert_eq!(run.end.as_ref().unwrap().outcome, RunOutcome::Succeeded, "{history:?}");
    assert!(run.attempts > 1, "{run:?}");
    assert_eq!(points.len(), 1);
    assert!(points[0].taken < before && run.start.unwrap().started >= before, "{points:?} {run:?}");
    assert_eq!(points[0].occasion, run.occasion);
    assert!(!snapshot.exists());
    assert!(pending(&served.setup.machine.state_dir).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_gone_is_taken_again() {
    let _application = Application::start("often");
    let (mut served, closed, snapshot) = put_off().await;
    let before = served.clock.now();
    fs::rename(snapshot.join("0"), snapshot.join("elsewhere")).unwrap();
    end(&mut served, closed).await;
    let points = served.points().await;
    assert_eq!(points.len(), 1);
    assert!(points[0].taken > before, "{points:?}");
    assert!(!snapshot.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_run_that_is_no_more_goes() {
    let _application = Application::start("often");
    let (mut served, closed, snapshot) = put_off().await;
    served.stop().await;
    drop(closed);
    assert!(snapshot.exists(), "it waits for the next service");
    // As a catalog would have it that was made anew.
    let name = snapshot.file_name().unwrap().to_str().unwrap();
    let purpose = served.setup.machine.state_dir.join(format!("pending/{name}.purpose"));
    let text = fs::read_to_string(&purpose).unwrap();
    fs::write(&purpose, text.replace("\"run\":1,", "\"run\":99,")).unwrap();
    served.start();
    let begun = std::time::Instant::now();
    while snapshot.exists() {
        assert!(begun.elapsed() < Duration::from_mins(1), "it is still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_keeps_here_is_what_its_points_were_made_of() {
    let _application = Application::start("often");
    let policy = "[policies.often]\nschedules = [\"every 1m\"]\nkeep_local = 1\n";
    let mut served = Served::new(policy, 20).await;
    assert_eq!(Config::read(&served.directory.join("config.toml")).unwrap().policies.len(), 1);
    served.start();
    served.wait_for(at("2026-03-01T00:03:30Z")).await;
    served.stop().await;
    let points = served.points().await;
    assert!(points.len() > 1, "{points:?}");
    let kept = served.setup.machine.local_snapshots(None).await.unwrap();
    let kept: Vec<_> = kept.iter().map(|row| (row.id, row.missing.len())).collect();
    assert_eq!(kept, [(points[0].point, 0)]);
    assert!(pending(&served.setup.machine.state_dir).is_empty());
    served.setup.machine.remove_local(vec![points[0].point]).await.unwrap();
}
