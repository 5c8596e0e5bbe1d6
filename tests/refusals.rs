//! What cannot be done is refused: with an exit code, in words that say what, why and what to do,
//! and without harm to what is there.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use tests::world::{Output, PASSPHRASE, World};

const NOBODY: u32 = 65_534;

#[test]
fn a_wrong_passphrase_is_refused() {
    let mut world = World::new();
    world.set("STILLPOINT_PASSPHRASE", "another one");
    for arguments in [&["points"][..], &["check"], &["backup", "--path", "home"]] {
        let output = world.stillpoint(arguments);
        output.failed(12, world.repository().to_string_lossy());
        assert!(!output.stderr.contains("another one"));
    }
    let output = world.stillpoint(["points", "--json"]).ended(12).clone();
    let last: Value = serde_json::from_str(output.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(last["message_type"], "exit_error");
    assert_eq!(last["code"], 12);
}

#[test]
fn an_empty_or_missing_passphrase_is_refused() {
    let mut world = World::empty();
    world.set("STILLPOINT_PASSPHRASE", "");
    world.stillpoint(["init"]).failed(1, "passphrase");
    assert!(!world.repository().exists());
    world.set("STILLPOINT_PASSPHRASE", "x");
    world.stillpoint(["init"]).succeeded();
}

#[test]
fn where_no_repository_is_nothing_is_done() {
    let world = World::empty();
    for arguments in [&["points"][..], &["check"], &["backup", "--path", "home"]] {
        world.stillpoint(arguments).failed(10, world.repository().to_string_lossy());
    }
    assert!(!world.repository().exists());
}

#[test]
fn a_repository_is_made_once() {
    let world = World::new();
    world.stillpoint(["init"]).failed(1, world.repository().to_string_lossy());
    world.stillpoint(["check"]).succeeded();
}

#[test]
fn wrong_usage_is_told_from_failure() {
    let world = World::empty();
    for arguments in [
        &["explode"][..],
        &[],
        &["backup"],
        &["restore", "latest"],
        &["backup", "a", "--path", "b"],
    ] {
        world.stillpoint(arguments).ended(2);
    }
}

#[test]
fn an_engine_that_is_not_there_is_named() {
    let mut world = World::new();
    world.set("DOCKER_HOST", "unix:///nowhere/engine.sock");
    for arguments in [&["apps"][..], &["backup", "shop"]] {
        world.stillpoint(arguments).failed(1, "/nowhere/engine.sock");
    }
    assert_eq!(world.json(["points"]), Value::Array(Vec::new()));
}

#[cfg(feature = "lab")]
#[test]
fn an_application_that_does_not_exist_is_named() {
    let world = World::new();
    world.stillpoint(["backup", "no-such-shop"]).failed(1, "no-such-shop");
    assert_eq!(world.json(["points"]), Value::Array(Vec::new()));
}

#[test]
fn an_application_without_containers_proves_nothing() {
    let world = World::new();
    let data = world.path("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("file"), "content").unwrap();
    let config = world.path("config.toml");
    let text = format!("[applications.shop]\nplatform = \"host\"\ndirectories = [{data:?}]\n");
    fs::write(&config, text).unwrap();
    let report = world.json(["backup", "shop", "--config", config.to_str().unwrap()]);
    assert_eq!(report["level"], "fuzzy", "{report}");
    assert!(!report["remarks"].as_array().unwrap().is_empty(), "{report}");
    world.stillpoint(["restore", "latest", "--to", "target"]).succeeded();
    let restored = world.path("target").join(data.strip_prefix("/").unwrap());
    tests::compare::assert_same(&data, &restored);
}

#[test]
fn a_path_that_does_not_exist_is_named() {
    let world = World::new();
    world.stillpoint(["backup", "--path", "home", "no-such-path"]).failed(1, "no-such-path");
    assert_eq!(world.json(["points"]), Value::Array(Vec::new()));
}

#[test]
fn a_target_with_files_in_it_is_left_alone() {
    let world = with_point();
    fs::create_dir(world.path("target")).unwrap();
    fs::write(world.path("target/mine"), "mine").unwrap();
    world.stillpoint(["restore", "latest", "--to", "target"]).failed(1, "target");
    world.stillpoint(["restore", "latest", "--to", "target/mine"]).failed(1, "target/mine");
    let left: Vec<_> = fs::read_dir(world.path("target")).unwrap().collect();
    assert_eq!(left.len(), 1);
    assert_eq!(fs::read(world.path("target/mine")).unwrap(), b"mine");
}

#[test]
fn a_point_that_does_not_exist_is_named() {
    let world = with_point();
    for name in ["abcdef", "no-such-point", "../../etc", ""] {
        for arguments in [&["show", name][..], &["restore", name, "--to", "target"]] {
            world.stillpoint(arguments).failed(1, format!("`{name}`"));
        }
    }
    assert!(!world.path("target").exists());
}

#[test]
fn the_start_of_several_ids_is_ambiguous() {
    let world = with_point();
    let mut ids: Vec<String> = Vec::new();
    // Among 17 points two begin with the same digit, at the latest.
    let digit = loop {
        let report = world.json(["backup", "--path", "data"]);
        let id = report["point"].as_str().unwrap().to_owned();
        let digit = id[..1].to_owned();
        ids.push(id);
        if ids.iter().filter(|id| id.starts_with(&digit)).count() > 1 {
            break digit;
        }
    };
    world.stillpoint(["restore", &digit, "--to", "target"]).failed(1, format!("`{digit}`"));
    assert!(!world.path("target").exists());
    world.stillpoint(["restore", &ids[0], "--to", "target"]).succeeded();
}

#[test]
fn what_cannot_be_read_is_listed_and_the_rest_is_saved() {
    let mut world = World::empty();
    world.become_user(NOBODY);
    let world = world.init();
    let data = world.path("data");
    fs::create_dir_all(data.join("closed")).unwrap();
    fs::write(data.join("open"), "open").unwrap();
    fs::write(data.join("closed/inside"), "inside").unwrap();
    fs::write(data.join("secret"), "secret").unwrap();
    for closed in ["closed", "secret"] {
        fs::set_permissions(data.join(closed), Permissions::from_mode(0o000)).unwrap();
    }
    let report = world.stillpoint(["backup", "--path", "data", "--json"]).ended(3).json();
    let omissions = report["omissions"].as_array().unwrap();
    let paths: Vec<&str> = omissions.iter().map(|o| o["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["closed", "secret"], "{report}");

    // Who restores is told again that the point is not whole.
    world.stillpoint(["restore", "latest", "--to", "target"]).ended(3);
    let restored = world.path("target").join(data.strip_prefix("/").unwrap());
    assert_eq!(fs::read(restored.join("open")).unwrap(), b"open");
    assert!(!restored.join("secret").exists());
}

#[test]
fn files_that_vanish_meanwhile_harm_nothing() {
    let world = World::new();
    let data = world.path("data");
    for folder in 0..40 {
        fs::create_dir_all(data.join(folder.to_string())).unwrap();
    }
    let churn = |round: u32| {
        for number in 0..4_000 {
            let path = data.join(format!("{}/{number}", number % 40));
            let _ = if (number + round).is_multiple_of(2) {
                fs::write(path, format!("{round} {number}"))
            } else {
                fs::remove_file(path)
            };
        }
    };
    churn(0);
    fs::write(data.join("stays"), "stays").unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // It ends by itself when the test fails.
        scope.spawn(|| (1..500).take_while(|_| !done.load(Ordering::Relaxed)).for_each(churn));
        for _ in 0..3 {
            let output = backup(&world, "data");
            assert!(matches!(output.code, Some(0 | 3)), "{output:#?}");
        }
        done.store(true, Ordering::Relaxed);
    });
    world.stillpoint(["check", "--read-data"]).succeeded();
    let output = world.stillpoint(["restore", "latest", "--to", "target"]);
    assert!(matches!(output.code, Some(0 | 3)), "{output:#?}");
    let restored = world.path("target").join(data.strip_prefix("/").unwrap());
    assert_eq!(fs::read(restored.join("stays")).unwrap(), b"stays");
}

#[test]
fn the_passphrase_is_written_down_nowhere() {
    // Every command of every test looks at what it prints.
    let world = with_point();
    world.stillpoint(["restore", "latest", "--to", "target", "-v", "-v"]).succeeded();
    world.stillpoint(["show", "latest", "--json"]).succeeded();
    let mut files = 0;
    for folder in [world.state(), world.repository()] {
        assert_absent(&folder, PASSPHRASE.as_bytes(), &mut files);
    }
    assert!(files > 5, "only {files} files were looked at");
}

#[cfg(feature = "lab")]
#[test]
fn a_full_disk_below_the_repository_harms_no_point() {
    use tests::directory::Directory;

    let small = Directory::inside(&tests::lab::small());
    let mut world = World::empty();
    world.set("STILLPOINT_REPO", small.join("repository"));
    let world = world.init();
    fs::create_dir(world.path("data")).unwrap();
    fs::write(world.path("data/first"), tests::every_kind::noise(1, 1 << 20)).unwrap();
    backup(&world, "data").succeeded();
    let points = world.json(["points"]);

    fs::write(world.path("data/second"), tests::every_kind::noise(2, 100 << 20)).unwrap();
    backup(&world, "data").failed(1, "No space left");
    assert_eq!(world.json(["points"]), points);
    world.stillpoint(["check", "--read-data"]).succeeded();
    world.stillpoint(["restore", "latest", "--to", "target"]).succeeded();
}

#[cfg(feature = "lab")]
#[test]
fn a_target_that_is_too_small_is_refused_before_anything_is_written() {
    use tests::directory::Directory;

    let world = World::new();
    fs::create_dir(world.path("data")).unwrap();
    fs::write(world.path("data/file"), tests::every_kind::noise(3, 100 << 20)).unwrap();
    backup(&world, "data").succeeded();
    let small = Directory::inside(&tests::lab::small());
    let target = small.join("target");
    let arguments = ["restore", "latest", "--to", target.to_str().unwrap()];
    world.stillpoint(arguments).failed(1, "free space");
    assert!(!target.exists());
}

fn with_point() -> World {
    let world = World::new();
    fs::create_dir(world.path("data")).unwrap();
    fs::write(world.path("data/file"), "content").unwrap();
    backup(&world, "data").succeeded();
    world
}

fn backup(world: &World, path: &str) -> Output {
    world.stillpoint(["backup".as_ref(), "--path".as_ref(), OsStr::new(path)])
}

fn assert_absent(path: &Path, canary: &[u8], files: &mut u32) {
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        entries.for_each(|entry| assert_absent(&entry, canary, files));
        return;
    }
    *files += 1;
    let bytes = fs::read(path).unwrap();
    let found = bytes.windows(canary.len()).any(|window| window == canary);
    assert!(!found, "{}", path.display());
}
