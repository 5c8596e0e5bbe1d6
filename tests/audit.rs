//! Who had what done is written down, and why.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::world::World;

fn deeds(world: &World) -> Vec<Value> {
    world.json(["audit"]).as_array().unwrap().clone()
}

#[test]
fn what_changes_something_is_written_down_and_what_only_looks_is_not() {
    let world = World::with_key_file();
    fs::create_dir(world.path("data")).unwrap();
    let why = ["--reason", "before the upgrade"];
    world.stillpoint(["backup", "--path", "data"].iter().chain(&why)).succeeded();
    world.stillpoint(["hold", "latest", "--reason", "the audit"]).succeeded();
    for looks in [
        vec!["points"],
        vec!["check"],
        vec!["backup", "--path", "data", "--dry-run"],
        vec!["restore", "latest", "--to", "target", "--plan"],
        vec!["key", "list"],
        vec!["runs"],
    ] {
        world.stillpoint(looks).succeeded();
    }
    world.stillpoint(["forget", "latest"]).failed(1, "the audit");
    let deeds = deeds(&world);
    let column = |name: &str| deeds.iter().map(|deed| deed[name].clone()).collect::<Vec<_>>();
    let typed = |at: usize| {
        let command = deeds[at]["command"].as_str().unwrap();
        command.split_once("stillpoint ").unwrap().1.to_owned()
    };
    assert_eq!(typed(0), "forget latest");
    assert_eq!(typed(1), "hold latest --reason 'the audit'");
    assert_eq!(typed(2), "backup --path data --reason 'before the upgrade'");
    assert_eq!(typed(3), "init --new-key-file key --no-recovery-key");
    let whys = [Value::Null, "the audit".into(), "before the upgrade".into(), Value::Null];
    assert_eq!(column("reason"), whys, "and nothing else is there");
    let repository = world.repository();
    assert!(column("repository").iter().all(|it| it == repository.to_str().unwrap()), "{deeds:?}");
    assert!(deeds[0]["end"]["error"].as_str().unwrap().contains("the audit"), "{deeds:?}");
    assert_eq!((&deeds[0]["end"]["exit"], &deeds[1]["end"]["exit"]), (&1.into(), &0.into()));
    assert_eq!(deeds[1]["end"]["error"], Value::Null);
    assert!(deeds[1]["end"]["ended"].is_string(), "{deeds:?}");
    assert!(column("who").iter().all(|who| !who.as_str().unwrap().is_empty()), "{deeds:?}");
}

#[test]
fn what_was_cut_off_has_no_end() {
    let world = World::with_key_file();
    fs::create_dir(world.path("data")).unwrap();
    // It waits for whoever writes to this, and nobody does.
    tests::directory::run(Command::new("mkfifo").arg(world.path("exclude")));
    let running = world.start(["backup", "--path", "data", "--exclude-file", "exclude"]);
    let begun = Instant::now();
    while deeds(&world).len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", running.kill());
    }
    running.kill();
    let deeds = deeds(&world);
    assert_eq!(deeds[0]["end"], Value::Null, "{deeds:?}");
    let said = world.stillpoint(["audit"]);
    assert!(said.succeeded().stdout.contains("goes on, or was cut off"), "{said:?}");
}

#[test]
fn a_catalog_that_cannot_be_written_to_keeps_nobody_from_what_needs_none() {
    let world = World::with_key_file();
    fs::write(world.state().join("catalog.sqlite"), "no database".repeat(1000)).unwrap();
    let added = world.stillpoint(["key", "add", "--recovery"]);
    assert!(added.succeeded().stderr.contains("is not written down"), "{added:?}");
}
