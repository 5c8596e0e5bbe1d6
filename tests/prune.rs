//! Points are forgotten and pruned by hand: the others come back whole, and the space is given back.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tests::compare::assert_same;
use tests::directory::bytes_of;
use tests::every_kind::noise;
use tests::world::World;

const FILE_BYTES: usize = 3 << 20;

/// A world with three points, of which each has a file of its own and one that all share.
fn three_points() -> (World, Vec<String>, Vec<PathBuf>) {
    let world = World::with_key_file();
    let (mut points, mut copies) = (Vec::new(), Vec::new());
    for round in 0..3_u64 {
        let source = world.path("source");
        fs::create_dir_all(source.join("below")).unwrap();
        fs::write(source.join("shared"), noise(99, FILE_BYTES)).unwrap();
        fs::write(source.join("own"), noise(round, FILE_BYTES)).unwrap();
        fs::write(source.join(format!("below/{round}")), b"small").unwrap();
        let report = world.json(["backup", "--path", "source"]);
        points.push(report["point"].as_str().unwrap().to_owned());
        let copy = world.path(&format!("copy {round}"));
        let status = std::process::Command::new("cp").arg("-a").args([&source, &copy]).status();
        assert!(status.unwrap().success());
        copies.push(copy);
    }
    (world, points, copies)
}

/// How many packs there are that have been written whole.
fn packs_of(world: &World) -> usize {
    let below = |path: PathBuf| fs::read_dir(path).into_iter().flatten().map(Result::unwrap);
    let files = below(world.repository().join("pack")).flat_map(|session| below(session.path()));
    files.filter(|file| !file.file_name().to_string_lossy().starts_with('.')).count()
}

fn listed(world: &World) -> Vec<String> {
    let rows = world.json(["points"]);
    let ids = rows.as_array().unwrap().iter().map(|row| row["point"].as_str().unwrap().to_owned());
    ids.collect()
}

fn restores(world: &World, point: &str, copy: &Path) {
    world.stillpoint(["restore", point, "--to", "target"]).succeeded();
    let source = world.path("source");
    assert_same(copy, &world.path("target").join(source.strip_prefix("/").unwrap()));
    fs::remove_dir_all(world.path("target")).unwrap();
}

#[test]
fn a_forgotten_point_is_gone_at_once_and_its_space_with_the_prune() {
    let (world, points, copies) = three_points();
    let plan = world.json(["forget", &points[0][..10], "--dry-run"]);
    assert_eq!(plan["points"][0]["point"], points[0].as_str(), "{plan}");
    assert_eq!(plan["stay"], 2, "{plan}");
    assert_eq!(listed(&world).len(), 3);

    world.stillpoint(["forget", &points[0], &points[0][..9]]).succeeded();
    assert_eq!(listed(&world), [points[2].clone(), points[1].clone()]);
    for verb in [&["show", &points[0]][..], &["restore", &points[0], "--to", "target"]] {
        world.stillpoint(verb).failed(1, &points[0]);
    }
    world.stillpoint(["forget", &points[0]]).failed(1, "there is no restore point");
    // A catalog that was lost does not bring it back.
    fs::remove_dir_all(world.state()).unwrap();
    assert_eq!(listed(&world).len(), 2);

    let before = bytes_of(&world.repository());
    let plan = world.json(["prune", "--dry-run"]);
    assert_eq!(bytes_of(&world.repository()), before);
    assert_eq!((&plan["points"], &plan["forgotten"][0]), (&2.into(), &points[0].as_str().into()));
    let report = world.json(["prune", "--max-unused", "0"]);
    assert!(report["report"]["deleted"]["packs"].as_u64().unwrap() > 0, "{report}");
    let freed = before - bytes_of(&world.repository());
    // The file of its own; the shared one lay beside it, and was copied.
    assert!(freed > FILE_BYTES as u64 * 9 / 10, "{freed} bytes: {report}");
    for at in [1, 2] {
        restores(&world, &points[at], &copies[at]);
    }
    world.stillpoint(["check", "--read-data"]).succeeded();
    let again = world.json(["prune", "--max-unused", "0"]);
    assert_eq!(again["report"]["deleted"]["packs"], 0, "{again}");
}

#[test]
fn forget_and_prune_at_once_and_then_back_up_again() {
    let (world, points, copies) = three_points();
    let answer = world.json(["forget", "latest", &points[1], "--prune"]);
    assert_eq!(answer["plan"]["points"].as_array().unwrap().len(), 2, "{answer}");
    assert!(answer["pruned"]["report"]["deleted"]["packs"].as_u64().unwrap() > 0, "{answer}");
    restores(&world, &points[0], &copies[0]);
    let report = world.json(["backup", "--path", "source"]);
    let point = report["point"].as_str().unwrap();
    restores(&world, point, &world.path("source"));
    world.stillpoint(["check", "--read-data"]).succeeded();
}

#[test]
fn a_damaged_repository_is_not_pruned() {
    let (world, points, _) = three_points();
    world.stillpoint(["forget", &points[0]]).succeeded();
    let segments = world.repository().join("idx");
    let of_session = fs::read_dir(&segments).unwrap().next().unwrap().unwrap().path();
    let segment = fs::read_dir(of_session).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let before = bytes_of(&world.repository());
    world.stillpoint(["prune", "--no-cache"]).failed(1, "is damaged");
    assert_eq!(bytes_of(&world.repository()), before);
}

#[test]
fn a_backup_that_was_killed_is_said_and_cleared_away() {
    let (world, _, _) = three_points();
    let source = world.path("big");
    fs::write(&source, noise(5, 60 << 20)).unwrap();
    let before = bytes_of(&world.repository());
    let packs = packs_of(&world);
    let running = world.start(["backup", "--path", "big"]);
    // As soon as a pack of it is there; others are being written.
    while packs_of(&world) == packs {
        assert!(running.age().as_secs() < 60, "nothing was stored");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    running.kill();
    let plan = world.json(["prune", "--dry-run"]);
    let sessions: &Vec<Value> = plan["sessions"].as_array().unwrap();
    assert!(sessions.len() == 1 && sessions[0]["host"].is_string(), "{plan}");
    world.stillpoint(["prune", "--no-wait"]).succeeded();
    assert!(bytes_of(&world.repository()) > before + (15 << 20));
    let said = world.stillpoint(["prune", "--stalled-after", "2s"]);
    said.succeeded();
    let session = sessions[0]["session"].as_str().unwrap();
    assert!(said.stderr.contains(&format!("waiting for session {session} on ")), "{said:#?}");
    assert!(said.stdout.contains("ended session"), "{said:#?}");
    let after = bytes_of(&world.repository());
    assert!(after < before + (1 << 20), "{before} bytes before it, {after} after the prune");
}

#[test]
fn a_store_for_a_single_writer_is_not_pruned_beside_a_session() {
    let (world, points, copies) = three_points();
    world.stillpoint(["forget", &points[0]]).succeeded();
    // As the probe leaves it behind when a second create has succeeded.
    let stores = fs::read_dir(world.state().join("stores")).unwrap();
    let known = stores.map(|entry| entry.unwrap().path()).next().unwrap();
    let mut store: Value = serde_json::from_slice(&fs::read(&known).unwrap()).unwrap();
    store["shortcomings"] = serde_json::json!(["creates-twice"]);
    fs::write(&known, store.to_string()).unwrap();
    let single = "one program at a time";
    let tagged = world.stillpoint(["tag", &points[1], "--add", "kept"]).succeeded().clone();
    assert!(tagged.stderr.contains(single), "{tagged:?}");
    // A session without an end.
    let begun = world.repository().join("out").join(&points[2]);
    fs::remove_file(&begun).unwrap();
    let before = bytes_of(&world.repository());

    let plan = world.json(["prune", "--dry-run"]);
    assert_eq!(plan["refused"], true);
    assert!(plan["warnings"][0].as_str().unwrap().contains(single), "{plan}");
    let told = world.stillpoint(["prune", "--dry-run"]).succeeded().clone();
    assert!(told.stdout.contains("refused: ") && told.stdout.contains("warning: "), "{told:?}");
    world.stillpoint(["prune"]).failed(1, "--sole-writer");
    world.stillpoint(["prune", "--no-wait"]).failed(1, &points[2]);
    assert_eq!(bytes_of(&world.repository()), before);

    // Whoever knows that it was cut off says so, and it is ended.
    let report = world.json(["prune", "--sole-writer", "--stalled-after", "1s"]);
    assert_eq!(report["report"]["ended"], serde_json::json!([points[2]]), "{report}");
    assert!(report["warnings"][0].as_str().unwrap().contains(single), "{report}");
    assert!(bytes_of(&world.repository()) < before);
    restores(&world, &points[1], &copies[1]);
    // With nobody else at work it needs no word of anybody.
    let answer = world.json(["forget", &points[1], "--prune"]);
    assert!(answer["pruned"]["warnings"][0].as_str().unwrap().contains(single), "{answer}");
}

#[test]
fn rules_say_which_points_stay() {
    let world = World::with_key_file();
    let source = world.path("source");
    fs::create_dir_all(&source).unwrap();
    let back_up = |round: u64| {
        fs::write(source.join("own"), noise(round, FILE_BYTES)).unwrap();
        let report = world.json(["backup", "--path", "source", "--name", "site"]);
        report["point"].as_str().unwrap().to_owned()
    };
    let points: Vec<_> = (0..6).map(back_up).collect();
    world.stillpoint(["hold", &points[0], "--reason", "audit"]).succeeded();
    let dry = world.json(["forget", "--keep-last", "2", "--dry-run"]);
    let judged = dry["groups"][0]["points"].as_array().unwrap();
    let stays = |point: &Value| !point["reasons"].as_array().unwrap().is_empty();
    assert_eq!(
        judged.iter().map(stays).collect::<Vec<_>>(),
        [true, true, false, false, false, true]
    );
    assert_eq!(dry["points"].as_array().unwrap().len(), 3, "{dry}");
    let shown = world.stillpoint(["forget", "--keep-last", "2", "--dry-run"]);
    shown.succeeded();
    assert!(shown.stdout.contains("stays: held: audit"), "{}", shown.stdout);
    assert_eq!(listed(&world).len(), 6);
    // Whatever the rules say.
    for arguments in [["--keep-at-least", "1h"], ["--app", "another"]] {
        let none = world.json([&["forget", "--keep-last", "1"], &arguments[..]].concat());
        assert_eq!(none["plan"]["points"].as_array().unwrap().len(), 0, "{none}");
    }
    let report = world.json(["forget", "--keep-last", "2", "--zone", "Europe/Berlin", "--prune"]);
    assert!(
        report["pruned"]["plan"]["freed"].as_u64().unwrap() > 2 * FILE_BYTES as u64,
        "{report}"
    );
    assert_eq!(listed(&world), [&points[5], &points[4], &points[0]].map(Clone::clone));
    // Somebody lost most of it, or threw it away.
    back_up(6);
    fs::write(source.join("own"), "").unwrap();
    world.json(["backup", "--path", "source", "--name", "site"]);
    let alarmed = world.stillpoint(["forget", "--keep-last", "1"]);
    alarmed.succeeded();
    assert_eq!(listed(&world).len(), 5, "{}", alarmed.stdout);
    let dry = world.json(["forget", "--keep-last", "1", "--dry-run"]);
    assert!(dry["groups"][0]["alarm"]["shrank"]["now"].is_number(), "{dry}");
    // Later it looks usual, and is remembered until a person says that it is right.
    for _ in 0..5 {
        world.json(["backup", "--path", "source", "--name", "site"]);
        world.stillpoint(["forget", "--keep-last", "1"]).succeeded();
    }
    let dry = world.json(["forget", "--keep-last", "1", "--dry-run"]);
    assert!(dry["groups"][0]["alarm"]["suspicious"]["taken"].is_string(), "{dry}");
    assert_eq!(listed(&world).len(), 10);
    for refused in [
        &["backup", "--path", "source", "--tag", "accepted"][..],
        &["forget", "latest", "--tag", "x"],
    ] {
        assert_eq!(world.stillpoint(refused).code, Some(2), "{refused:?}");
    }
    world.stillpoint(["tag", "latest", "--add", "accepted"]).succeeded();
    world.stillpoint(["forget", "--keep-last", "1"]).succeeded();
    assert_eq!(listed(&world).len(), 2, "the newest, and the one that is held");
    for nonsense in [
        "forget",
        "forget latest --keep-last 1",
        "forget --zone UTC",
        "forget --keep-last 0",
        "forget --keep-within 1w",
    ] {
        let refused = world.stillpoint(nonsense.split(' '));
        assert_eq!(refused.code, Some(2), "{nonsense}: {refused:?}");
    }
    assert_eq!(listed(&world).len(), 2);
}
