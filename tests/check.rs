//! Checks: what they read, what they remember, and what they say when a repository went back.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tests::chance::Chance;
use tests::directory;
use tests::world::World;

#[test]
fn a_point_that_vanished_is_missed_by_every_command_until_that_is_accepted() {
    let world = World::with_key_file();
    let (first, second) = (back_up(&world, "first", 10), back_up(&world, "second", 10));
    world.stillpoint(["points"]).succeeded();
    fs::remove_file(world.repository().join("out").join(&first)).unwrap();

    for arguments in [&["points"][..], &["show", &second], &["points", "--json"]] {
        let output = world.stillpoint(arguments).succeeded().clone();
        assert!(
            output.stderr.contains("went back") && output.stderr.contains(&first),
            "{output:#?}"
        );
        assert!(!output.stdout.contains(&first), "{output:#?}");
    }
    let report = world.stillpoint(["check", "--json"]).ended(22).json();
    assert_eq!(report["findings"][0]["kind"], "rolled-back");
    assert_eq!(report["findings"][0]["object"], format!("out/{first}"));

    world.stillpoint(["check", "--accept"]).succeeded();
    let output = world.stillpoint(["points"]).succeeded().clone();
    assert!(!output.stderr.contains("went back"), "{output:#?}");
    world.stillpoint(["check"]).succeeded();
}

#[test]
fn a_repository_that_was_put_back_is_found_by_who_has_seen_it() {
    let mut world = World::with_key_file();
    back_up(&world, "first", 10);
    let old = world.path("old");
    copy(&world.repository(), &old);
    let newer = [back_up(&world, "second", 10), back_up(&world, "third", 10)];
    world.stillpoint(["check"]).succeeded();
    fs::remove_dir_all(world.repository()).unwrap();
    copy(&old, &world.repository());

    let report = world.stillpoint(["check", "--json"]).ended(22).json();
    let named: Vec<&str> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["object"].as_str().unwrap())
        .collect();
    let mut wanted = newer.map(|point| format!("out/{point}"));
    wanted.sort();
    assert_eq!(named, wanted);
    // Another machine cannot know.
    world.set("STILLPOINT_STATE_DIR", world.path("elsewhere"));
    world.stillpoint(["check"]).succeeded();
}

#[test]
fn t_parts_read_everything_once() {
    let world = with_packs();
    let packs = world.json(["check"])["packs"].as_u64().unwrap();
    assert!(packs >= 6, "{packs}");
    let read = |part: &str| {
        let report = world.json(["check", "--read-data-subset", part]);
        report["packs_read"].as_u64().unwrap()
    };
    assert_eq!((1..=3).map(|part| read(&format!("{part}/3"))).sum::<u64>(), packs);
    assert_eq!(read("100%"), packs);
    assert_eq!(read("1%"), 1);
    assert_eq!(read("1"), 1);
    assert_eq!(world.json(["check"])["packs_read"], 0);
}

#[test]
fn a_rolling_check_goes_on_where_the_last_one_stopped() {
    let world = with_packs();
    let packs = world.json(["check"])["packs"].as_u64().unwrap();
    let run = |more: &[&str]| {
        let arguments = ["check", "--read-data-within", "30d"].iter().chain(more).copied();
        world.json(arguments)["packs_read"].as_u64().unwrap()
    };
    let mut left = packs;
    while left > 0 {
        let read = run(&["--limit", "1"]);
        assert_eq!(read, 1);
        left -= read;
    }
    assert_eq!(run(&[]), 0);
    // What is new has not been read yet.
    back_up(&world, "new", 1000);
    assert_eq!(run(&[]), 2);
    assert_eq!(run(&["--limit-time", "0s"]), 0);
    let all = world.json(["check", "--read-data-within", "0s"])["packs_read"].as_u64().unwrap();
    assert_eq!(all, packs + 2);
}

#[test]
fn what_is_lost_is_healed_from_where_it_was() {
    let world = World::with_key_file();
    back_up(&world, "first", 3 << 20);
    let pack = largest(&world.repository().join("pack"));
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, bytes).unwrap();
    let named = |report: &Value| {
        report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .any(|finding| finding["kind"] == "lost-file" && finding["path"] == "file")
    };
    assert!(named(&world.stillpoint(["check", "--read-data", "--json"]).ended(20).json()));
    let condemned = || fs::read_dir(world.repository().join("cnd")).map_or(0, Iterator::count);
    assert!(named(&world.stillpoint(["repair", "--plan", "--json"]).ended(20).json()["report"]));
    assert_eq!(condemned(), 0, "a plan writes nothing");

    // Elsewhere, under another name.
    fs::create_dir(world.path("elsewhere")).unwrap();
    fs::copy(world.path("first/file"), world.path("elsewhere/renamed")).unwrap();
    let report = world.stillpoint(["repair", "--from", "elsewhere", "--json"]).succeeded().json();
    assert_eq!(report["healed"], 1);
    world.stillpoint(["check", "--read-data"]).succeeded();
    world.stillpoint(["verify", "latest"]).succeeded();
    world.stillpoint(["repair"]).succeeded();
}

fn with_packs() -> World {
    let world = World::with_key_file();
    for name in ["a", "b", "c"] {
        back_up(&world, name, 2000);
    }
    world
}

fn back_up(world: &World, name: &str, length: usize) -> String {
    let source = world.path(name);
    fs::create_dir_all(&source).unwrap();
    let seed = name.bytes().map(u64::from).sum();
    fs::write(source.join("file"), Chance::new(seed).noise(length)).unwrap();
    let report = world.json(["backup", "--name", name, "--path", source.to_str().unwrap()]);
    report["point"].as_str().unwrap().to_owned()
}

fn copy(from: &Path, to: &Path) {
    directory::run(Command::new("cp").arg("-a").arg(from).arg(to));
}

fn largest(folder: &Path) -> std::path::PathBuf {
    let sessions = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let packs = sessions.flat_map(|session| fs::read_dir(session).unwrap());
    packs
        .map(|entry| entry.unwrap().path())
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap()
}
