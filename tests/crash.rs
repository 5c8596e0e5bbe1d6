//! Whenever a backup dies, the application runs on and no point is harmed.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tests::containers::Container;
use tests::directory::{Directory, Filesystem};
use tests::lab;
use tests::sequence::{self, Sequence};
use tests::world::{Running, World};

/// Kills spread over the time that a whole backup takes.
const MOMENTS: u32 = 9;
/// Kills while the containers stand still.
const WHILE_FROZEN: u32 = 4;
/// The freeze lasts a few milliseconds, so the kill may come too late.
const TRIES: u32 = 40;
/// How soon the application goes on.
const PATIENCE: Duration = Duration::from_secs(2);

#[test]
fn a_killed_backup_harms_neither_application_nor_points() {
    let filesystem = Filesystem::btrfs(1024);
    let application = Sequence::start(3, filesystem.path());
    let world = World::new();
    let begin = Instant::now();
    let mut points = vec![back_up(&world, &application)];
    let whole = begin.elapsed();

    for moment in 1..=MOMENTS {
        let running = world.start(["backup", application.name()]);
        sleep((whole * moment / MOMENTS).saturating_sub(running.age()));
        running.kill();
        runs_on(&application);
        if moment.is_multiple_of(3) {
            points.push(back_up(&world, &application));
        }
    }
    for _ in 0..WHILE_FROZEN {
        let running = frozen_backup(&world, &application);
        running.kill();
        runs_on(&application);
    }
    points.push(back_up(&world, &application));

    let report = world.json(["check", "--read-data"]);
    assert_eq!(report["findings"].as_array().map(Vec::len), Some(0), "{report}");
    let listed = world.json(["points"]);
    let listed: Vec<&str> =
        listed.as_array().unwrap().iter().map(|p| p["point"].as_str().unwrap()).collect();
    for (number, point) in points.iter().enumerate() {
        assert!(listed.contains(&point.as_str()), "{point} is gone");
        let target = world.path(&format!("target-{number}"));
        world.stillpoint(["restore", point, "--to", target.to_str().unwrap()]).succeeded();
        sequence::check(&application.restored(&target)).unwrap();
    }
    // A point that was committed before its writer died is a point like any other.
    assert!(listed.len() >= points.len());
    assert_eq!(leftovers(filesystem.path()), [""; 0], "snapshots of dead backups");
}

#[test]
fn a_killed_backup_leaves_nothing_paused_that_the_engine_was_asked_to_pause() {
    let application = Sequence::with(3, &lab::btrfs(), &["--label=stillpoint.freezer=engine"]);
    let world = World::new();
    for moment in 0..MOMENTS {
        let running = frozen_backup(&world, &application);
        // Around the answer of the engine.
        sleep(Duration::from_millis(u64::from(moment) * 2));
        running.kill();
        // The engine says so a moment later than it does so.
        let begin = Instant::now();
        while application.members().iter().any(Container::is_paused) {
            assert!(begin.elapsed() < PATIENCE, "{} stays paused", application.name());
        }
        application.goes_on(PATIENCE);
    }
    let point = back_up(&world, &application);
    let shown = world.json(["show", &point]);
    let members = shown["evidence"]["members"].as_array().unwrap();
    assert!(members.iter().all(|member| member["method"] == "engine"), "{shown}");
}

#[test]
fn a_backup_that_is_interrupted_thaws_and_says_so() {
    let application = Sequence::start(2, &lab::btrfs());
    let world = World::new();
    let running = frozen_backup(&world, &application);
    let process = Pid::from_raw(running.id().try_into().unwrap()).unwrap();
    kill_process(process, Signal::INT).unwrap();
    let output = running.finish();
    assert!(matches!(output.code, Some(0 | 130)), "{output:#?}");
    runs_on(&application);
    // Ctrl-C may come just after the commit; what is said is what is there, or less.
    let points = world.json(["points"]).as_array().map_or(0, Vec::len);
    assert!(points == 1 || output.code == Some(130), "{output:#?}");
}

#[test]
fn a_freeze_that_takes_too_long_is_given_up() {
    // A copy of this much takes longer than the deadline on any machine that runs tests.
    let directory = Directory::new();
    let volume = directory.volume("large");
    let noise = tests::every_kind::noise(9, 32 << 20);
    for number in 0..100 {
        fs::write(volume.join(number.to_string()), &noise).unwrap();
    }
    let name = tests::containers::unique("large");
    let container = Container::run(
        &name,
        [
            tests::containers::belongs_to(&name),
            "--label=stillpoint.driver=copy".into(),
            tests::containers::bind(&volume, "/volume"),
            tests::containers::BUSYBOX.into(),
            "sh".into(),
            "-c".into(),
            "while :; do date >/volume/now; sleep 0.01; done".into(),
        ],
    );
    let world = World::new();
    let output = world.stillpoint(["backup", &name, "--deadline", "1"]);
    output.failed(1, "1000 ms");
    assert!(!container.freezer().is_frozen());
    let first = fs::metadata(volume.join("now")).unwrap().modified().unwrap();
    container.wait_for("true");
    sleep(Duration::from_millis(200));
    assert!(fs::metadata(volume.join("now")).unwrap().modified().unwrap() > first);
    assert_eq!(world.json(["points"]).as_array().map(Vec::len), Some(0));
    // Where that is wanted there is a lesser point, which says why.
    let point = world.json(["backup", &name, "--deadline", "1", "--degrade"]);
    assert_eq!(point["level"], "fuzzy", "{point}");
    assert!(point["remarks"].to_string().contains("not frozen: the snapshots"), "{point}");
    assert!(!container.freezer().is_frozen());
}

fn back_up(world: &World, application: &Sequence) -> String {
    let report = world.json(["backup", application.name()]);
    assert_eq!(report["level"], "crash", "{report}");
    report["point"].as_str().unwrap().to_owned()
}

/// A backup whose application was seen to stand still a moment ago.
fn frozen_backup(world: &World, application: &Sequence) -> Running {
    for _ in 0..TRIES {
        let mut running = world.start(["backup", application.name()]);
        while !running.has_ended() {
            if application.is_frozen() {
                return running;
            }
        }
    }
    panic!("{} was never seen frozen", application.name());
}

#[track_caller]
fn runs_on(application: &Sequence) {
    application.goes_on(PATIENCE);
    assert!(!application.is_frozen(), "{} is frozen", application.name());
}

fn leftovers(mount: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(mount.join(".stillpoint")) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}
