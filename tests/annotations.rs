//! What is said about points stays with them, and a point that is read stays although it is forgotten.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tests::compare::assert_same;
use tests::every_kind::noise;
use tests::world::{Running, World};

/// A world with one point of a file of this size.
fn one_point(bytes: usize) -> (World, String) {
    let world = World::with_key_file();
    fs::create_dir(world.path("source")).unwrap();
    fs::write(world.path("source/file"), noise(1, bytes)).unwrap();
    let report = world.json(["backup", "--path", "source", "--tag", "first", "--tag", "good"]);
    let point = report["point"].as_str().unwrap().to_owned();
    (world, point)
}

fn only_point(world: &World) -> Value {
    let rows = world.json(["points"]);
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    rows[0].clone()
}

/// The names of the pins, without files that are still being written.
fn pins(world: &World) -> Vec<String> {
    let entries = fs::read_dir(world.repository().join("pin")).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.starts_with('.')).collect()
}

/// A restore that has begun to write, so that its pin counts, and does nothing more.
fn stopped_restore(world: &World) -> Running {
    let running = world.start(["restore", "latest", "--to", "target"]);
    let begun = Instant::now();
    while !world.path("target").exists() {
        assert!(begun.elapsed() < Duration::from_mins(1), "the restore has not begun");
        sleep(Duration::from_micros(200));
    }
    signal(&running, Signal::STOP);
    assert_eq!(pins(world).len(), 1);
    running
}

fn signal(running: &Running, signal: Signal) {
    kill_process(Pid::from_raw(running.id().cast_signed()).unwrap(), signal).unwrap();
}

#[test]
fn what_is_said_is_shown_and_outlives_the_catalog() {
    let (world, point) = one_point(1000);
    world.stillpoint(["tag", &point, "--add", "keep", "--remove", "good"]).succeeded();
    world.stillpoint(["hold", "latest", "--reason", "the audit"]).succeeded();
    world.stillpoint(["verify", "latest"]).succeeded();
    let said = only_point(&world);
    assert_eq!(said["tags"], json!(["first", "keep"]), "{said}");
    assert_eq!(said["held"], "the audit");
    assert!(said["verified"].is_string(), "{said}");
    fs::remove_dir_all(world.state()).unwrap();
    assert_eq!(only_point(&world), said);
    assert_eq!(world.json(["points", "--tag", "keep"]).as_array().unwrap().len(), 1);
    assert_eq!(world.json(["points", "--tag", "good"]), json!([]));
    let shown = world.stillpoint(["points"]);
    assert!(shown.succeeded().stdout.contains("held: the audit, verified"), "{shown:?}");
    assert_eq!(world.stillpoint(["check", "--read-data"]).code, Some(0));
}

#[test]
fn what_is_held_is_not_forgotten() {
    let (world, point) = one_point(1000);
    world.stillpoint(["hold", &point, "--reason", "the audit"]).succeeded();
    world.stillpoint(["forget", &point]).failed(1, "the audit");
    world.stillpoint(["forget", &point, "--dry-run"]).failed(1, "the audit");
    world.stillpoint(["release", &point]).succeeded();
    assert_eq!(only_point(&world)["held"], Value::Null);
    world.stillpoint(["forget", &point, "--prune"]).succeeded();
    world.stillpoint(["hold", &point]).failed(1, &point);
    let said = world.repository().join("ann").join(&point);
    assert_eq!(fs::read_dir(said).map_or(0, Iterator::count), 0);
    world.stillpoint(["check"]).succeeded();
}

#[test]
fn a_point_that_is_read_stays_although_it_is_forgotten() {
    let (world, point) = one_point(96 << 20);
    let running = stopped_restore(&world);
    world.stillpoint(["forget", &point]).succeeded();
    let pruned = world.json(["prune"]);
    assert_eq!(pruned["plan"]["readings"][0]["points"], json!([point]), "{pruned}");
    assert_eq!(pruned["plan"]["delete"]["packs"], 0, "{pruned}");
    signal(&running, Signal::CONT);
    running.finish().succeeded();
    let source = world.path("source");
    assert_same(&source, &world.path("target").join(source.strip_prefix("/").unwrap()));
    assert_eq!(pins(&world).len(), 0);
    let pruned = world.json(["prune"]);
    assert_eq!(pruned["plan"]["stored"]["packs"], pruned["plan"]["delete"]["packs"], "{pruned}");
}

#[test]
fn the_pin_of_a_restore_that_was_cut_off_does_not_stay() {
    let (world, point) = one_point(96 << 20);
    stopped_restore(&world).kill();
    // This host knows whose pin it is.
    world.stillpoint(["restore", "latest", "--to", "target", "--in-place"]).succeeded();
    assert_eq!(pins(&world).len(), 0);
    fs::remove_dir_all(world.path("target")).unwrap();
    // Another one does not.
    stopped_restore(&world).kill();
    fs::remove_dir_all(world.state()).unwrap();
    world.stillpoint(["forget", &point]).succeeded();
    let planned = world.stillpoint(["prune", "--dry-run"]);
    let pin = pins(&world).remove(0);
    assert!(planned.succeeded().stdout.contains(&format!("--unpin {pin}")), "{planned:?}");
    let pruned = world.json(["prune", "--unpin", &pin]);
    assert_eq!(pruned["plan"]["readings"], json!([]), "{pruned}");
    assert_eq!((pins(&world).len(), pruned["report"]["left"]["packs"].as_u64()), (0, Some(0)));
}

#[test]
fn a_restore_without_a_pin_writes_nothing() {
    let (world, _) = one_point(1000);
    let names = || {
        let listed = std::process::Command::new("find").arg(world.repository()).output().unwrap();
        String::from_utf8(listed.stdout).unwrap()
    };
    let before = names();
    world.stillpoint(["restore", "latest", "--to", "target", "--no-pin"]).succeeded();
    assert_eq!(names(), before);
}
