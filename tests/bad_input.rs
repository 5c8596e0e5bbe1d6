//! Keys that do not fit, repositories that are none, sources that are huge or never stand still,
//! targets that are full: each ends within bounds, and in words or with all that could be saved.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use tests::chance::Chance;
use tests::compare::assert_same;
use tests::cost::measured;
use tests::directory::run;
use tests::every_kind::noise;
use tests::world::World;

/// What a backup may take, whatever it reads.
const MEMORY_MAX: u64 = 256 << 20;

#[test]
fn a_key_file_of_another_repository_is_refused() {
    let (mut world, other) = (with_point(), World::with_key_file());
    world.set("STILLPOINT_KEY_FILE", other.path("key"));
    for arguments in [&["points"][..], &["check"], &["backup", "--path", "data"]] {
        world.stillpoint(arguments).failed(12, "key file");
    }
    world.set("STILLPOINT_KEY_FILE", world.path("key"));
    assert_eq!(world.json(["points"]).as_array().map(Vec::len), Some(1));
}

#[test]
fn what_is_no_key_file_is_named() {
    let mut world = with_point();
    let key = fs::read_to_string(world.path("key")).unwrap();
    let broken = world.path("broken");
    world.set("STILLPOINT_KEY_FILE", &broken);
    let mut flipped = key.clone().into_bytes();
    flipped[20] ^= 1;
    let empty = Vec::new();
    let long = vec![b'x'; 64 << 20];
    for text in [empty, key.as_bytes()[..40].to_vec(), flipped, noise(1, 100), long] {
        fs::write(&broken, text).unwrap();
        let (output, cost) = measured(world.start(["points"]));
        assert!(matches!(output.code, Some(1 | 12)), "{output:#?}");
        output.failed(output.code.unwrap(), "broken");
        assert!(cost.memory < MEMORY_MAX, "{cost:?}");
        assert!(!output.stderr.contains(&key[20..40]), "{output:#?}");
    }
    fs::remove_file(&broken).unwrap();
    world.stillpoint(["points"]).failed(1, "broken");
}

#[test]
fn what_is_no_repository_is_left_alone() {
    let mut world = World::with_key_file();
    let foreign = world.path("foreign");
    world.set("STILLPOINT_REPO", &foreign);
    fs::create_dir(&foreign).unwrap();
    for config in [None, Some(""), Some("[core]\n"), Some(r#"{"version": 2, "id": "1"}"#)] {
        fs::write(foreign.join("mine"), "mine").unwrap();
        if let Some(config) = config {
            fs::write(foreign.join("config"), config).unwrap();
        }
        let code = if config.is_some() { 1 } else { 10 };
        for arguments in [&["points"][..], &["check"], &["backup", "--path", "home"]] {
            world.stillpoint(arguments).failed(code, "foreign");
        }
        let names = 1 + usize::from(config.is_some());
        assert_eq!(fs::read_dir(&foreign).unwrap().count(), names);
        assert_eq!(fs::read(foreign.join("mine")).unwrap(), b"mine");
    }
}

#[test]
fn a_repository_of_a_newer_program_is_refused() {
    let world = with_point();
    let config = world.repository().join("config");
    let text = fs::read(&config).unwrap();
    let change = |name: &str, value: Value| {
        let mut parsed: Value = serde_json::from_slice(&text).unwrap();
        parsed[name] = value;
        fs::write(&config, parsed.to_string()).unwrap();
    };
    let refused = |what: &str| {
        for arguments in [&["points"][..], &["check"], &["backup", "--path", "data"]] {
            world.stillpoint(arguments).failed(1, what);
        }
    };
    change("version", json!(77));
    refused("77");
    change("features", json!(["hovering"]));
    refused("hovering");
    fs::write(&config, &text).unwrap();
    world.stillpoint(["check"]).succeeded();
}

#[test]
fn a_directory_with_very_many_names_needs_little_memory() {
    const NAMES: u32 = 200_000;
    let world = World::with_key_file();
    let data = world.path("data");
    fs::create_dir(&data).unwrap();
    for name in 0..NAMES {
        File::create(data.join(format!("a file with a name of usual length {name}"))).unwrap();
    }
    let (output, cost) = measured(world.start(["backup", "--path", "data", "--json"]));
    assert_eq!(output.succeeded().json()["statistics"]["files"], NAMES + 1);
    assert!(cost.memory < MEMORY_MAX, "{cost:?}");
    println!("backup of {NAMES} names: {cost:?}");
    let (output, cost) = measured(world.start(["restore", "latest", "--to", "target"]));
    output.succeeded();
    println!("restore of {NAMES} names: {cost:?}");
    // A comparison of everything would sync every file.
    let names = |directory: &Path| {
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
        entries.collect::<BTreeSet<_>>()
    };
    assert!(names(&data) == names(&below(&world.path("target"), &data)));
}

#[test]
fn a_huge_hole_costs_nothing() {
    let world = World::with_key_file();
    let data = world.path("data");
    fs::create_dir(&data).unwrap();
    let hole = File::create(data.join("hole")).unwrap();
    hole.set_len(10 << 30).unwrap();
    hole.write_all_at(b"middle", 5 << 30).unwrap();
    let (output, cost) = measured(world.start(["backup", "--path", "data", "--json"]));
    println!("backup of a hole: {cost:?}");
    little_is_stored(&output.succeeded().json());
    assert!(cost.memory < MEMORY_MAX && cost.time < Duration::from_secs(10), "{cost:?}");
    let (output, cost) = measured(world.start(["restore", "latest", "--to", "target"]));
    println!("restore of a hole: {cost:?}");
    output.succeeded();
    assert!(cost.time < Duration::from_secs(10), "{cost:?}");
    // Nobody has the time to compare all the zeros.
    let restored = File::open(below(&world.path("target"), &data).join("hole")).unwrap();
    assert_eq!(restored.metadata().unwrap().len(), 10 << 30);
    let offset = rustix::fs::seek(&restored, rustix::fs::SeekFrom::Data(0)).unwrap();
    assert!(((5 << 30) - (1 << 20)..=5 << 30).contains(&offset), "{offset}");
    let mut middle = [0; 6];
    restored.read_exact_at(&mut middle, 5 << 30).unwrap();
    assert_eq!(&middle, b"middle");
    let end = rustix::fs::seek(&restored, rustix::fs::SeekFrom::Hole(offset)).unwrap();
    assert!(end <= (5 << 30) + (1 << 20), "{end}");
    let after = rustix::fs::seek(&restored, rustix::fs::SeekFrom::Data(end));
    assert_eq!(after, Err(rustix::io::Errno::NXIO));
}

#[test]
fn a_gibibyte_of_written_zeros_is_stored_as_next_to_nothing() {
    let world = World::with_key_file();
    let data = world.path("data");
    fs::create_dir(&data).unwrap();
    let mut file = File::create(data.join("zeros")).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..1024 {
        file.write_all(&zeros).unwrap();
    }
    let (output, cost) = measured(world.start(["backup", "--path", "data", "--json"]));
    println!("backup of zeros: {cost:?}");
    little_is_stored(&output.succeeded().json());
    assert!(cost.memory < MEMORY_MAX && cost.time < Duration::from_mins(1), "{cost:?}");
    let (output, cost) = measured(world.start(["restore", "latest", "--to", "target"]));
    println!("restore of zeros: {cost:?}");
    output.succeeded();
    let mut restored = File::open(below(&world.path("target"), &data).join("zeros")).unwrap();
    let mut piece = vec![1; 1 << 20];
    for _ in 0..1024 {
        restored.read_exact(&mut piece).unwrap();
        assert!(piece == zeros);
    }
    assert_eq!(restored.read(&mut piece).unwrap(), 0);
}

#[test]
fn a_file_that_never_stands_still_harms_no_point() {
    const POINTS: usize = 12;
    let world = World::with_key_file();
    let data = world.path("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("stays"), noise(1, 3 << 20)).unwrap();
    let restless = ["a", "b", "c"].map(|name| data.join(name));
    let done = AtomicBool::new(false);
    let mut points = Vec::new();
    std::thread::scope(|scope| {
        for (seed, path) in restless.iter().enumerate() {
            let done = &done;
            scope.spawn(move || {
                let mut chance = Chance::new(seed as u64);
                // It ends by itself when the test fails.
                let rounds = (0..200_000).take_while(|_| !done.load(Ordering::Relaxed));
                rounds.for_each(|_| become_another(path, &mut chance));
            });
        }
        for _ in 0..POINTS {
            let output = world.stillpoint(["backup", "--path", "data", "--json"]);
            assert!(matches!(output.code, Some(0 | 3)), "{output:#?}");
            points.push((output.code.unwrap(), output.json()["point"].clone()));
        }
        done.store(true, Ordering::Relaxed);
    });
    world.stillpoint(["check", "--read-data"]).succeeded();
    for (code, point) in &points {
        let arguments = ["restore", point.as_str().unwrap(), "--to", "target", "--json"];
        // A point that is not whole says so again.
        let report = world.stillpoint(arguments).ended(*code).json();
        assert_eq!(report["report"]["lost"], json!([]), "{report}");
        let restored = below(&world.path("target"), &data);
        assert_same(&data.join("stays"), &restored.join("stays"));
        fs::remove_dir_all(world.path("target")).unwrap();
    }
    println!("exit codes {:?}", points.iter().map(|(code, _)| code).collect::<Vec<_>>());
}

/// Makes a file of `path`, changes it, or puts something else in its place. Losing a race against
/// nobody, it does not fail; what is no longer as it was is left for the next time.
fn become_another(path: &Path, chance: &mut Chance) {
    let remove = || if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
    let open = || OpenOptions::new().write(true).create(true).truncate(false).open(path);
    // To open a fifo would wait for a reader for ever.
    let is_file = fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
    match chance.below(40) {
        0 => drop(remove()),
        1 => drop(remove().and_then(|()| fs::create_dir(path))),
        2 => drop(remove().and_then(|()| symlink("stays", path))),
        3 => {
            let _ = remove();
            run(Command::new("mkfifo").arg(path));
        }
        _ if !is_file => {
            let _ = remove();
            let length = chance.index(8 << 20);
            fs::write(path, chance.noise(length)).unwrap();
        }
        4..10 => open().unwrap().set_len(chance.below(8 << 20)).unwrap(),
        10..14 => open().unwrap().set_len(0).unwrap(),
        14..20 => {
            let bytes = chance.noise(1 << 20);
            let file = open().unwrap();
            file.write_all_at(&bytes, file.metadata().unwrap().len().min(8 << 20)).unwrap();
        }
        _ => {
            let bytes = chance.noise(100_000);
            open().unwrap().write_all_at(&bytes, chance.below(4 << 20)).unwrap();
        }
    }
}

#[test]
fn a_repository_that_is_removed_meanwhile_is_gone() {
    let world = with_point();
    fs::write(world.path("data/large"), noise(2, 200 << 20)).unwrap();
    let sessions = || fs::read_dir(world.repository().join("ses/0")).unwrap().count();
    let before = sessions();
    let running = world.start(["backup", "--path", "data"]);
    while sessions() == before {
        sleep(Duration::from_millis(1));
    }
    // What is just being made may make the first attempt fail.
    while fs::remove_dir_all(world.repository()).is_err() {}
    let output = running.finish();
    assert_eq!(output.code, Some(1), "{output:#?}");
    assert!(output.stderr.contains(&*world.repository().to_string_lossy()), "{output:#?}");
    assert!(!world.repository().exists());
    world.stillpoint(["points"]).failed(10, world.repository().to_string_lossy());
}

#[test]
fn a_target_that_becomes_full_is_an_error() {
    let world = with_point();
    fs::write(world.path("data/large"), noise(3, 20 << 20)).unwrap();
    world.stillpoint(["backup", "--path", "data"]).succeeded();
    let small = world.path("small");
    fs::create_dir(&small).unwrap();
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(&small));
    let arguments = ["restore", "latest", "--to", "small/target"];
    world.stillpoint(arguments).failed(1, "small");
    assert!(!small.join("target").exists());
    let output = world.stillpoint(arguments.iter().chain(&["--no-space-check"]));
    assert!(matches!(output.code, Some(1 | 3)), "{output:#?}");
    assert!(output.stderr.contains("No space left"), "{output:#?}");
    // The repository is as it was.
    world.stillpoint(["check", "--read-data"]).succeeded();
    world.stillpoint(["restore", "latest", "--to", "target"]).succeeded();
    assert_same(&world.path("data"), &below(&world.path("target"), &world.path("data")));
}

#[test]
fn a_pattern_that_makes_no_sense_is_refused() {
    let world = with_point();
    let nested = "{".repeat(5_000);
    for pattern in ["[a", "{a", "a\\", "[z-a]", "", "/", &nested] {
        let arguments = ["backup", "--path", "data", "--exclude", pattern];
        world.stillpoint(arguments).failed(1, format!("`{pattern}` is no pattern"));
    }
    let patterns = world.path("patterns");
    fs::write(&patterns, "# a comment\n\n*.o\n[a\n").unwrap();
    let arguments = ["backup", "--path", "data", "--exclude-file", "patterns"];
    world.stillpoint(arguments).failed(1, "`[a` is no pattern");
    fs::write(&patterns, noise(4, 10_000)).unwrap();
    world.stillpoint(arguments).failed(1, "patterns");
    world.stillpoint(["backup", "--path", "data", "--exclude-file", "none"]).failed(1, "none");
    assert_eq!(world.json(["points"]).as_array().map(Vec::len), Some(1));
    // Blank lines are no patterns.
    fs::write(&patterns, "# a comment\n\n  \n*.o\n").unwrap();
    let report = world.json(arguments);
    assert_eq!(report["statistics"]["files"], 2, "{report}");
}

fn with_point() -> World {
    let world = World::with_key_file();
    fs::create_dir(world.path("data")).unwrap();
    fs::write(world.path("data/file"), "content").unwrap();
    world.stillpoint(["backup".as_ref(), "--path".as_ref(), OsStr::new("data")]).succeeded();
    world
}

fn little_is_stored(report: &Value) {
    let stored = report["statistics"]["stored"].as_u64().unwrap();
    assert!(stored < 1 << 20, "{report}");
}

fn below(target: &Path, source: &Path) -> PathBuf {
    target.join(source.strip_prefix("/").unwrap())
}
