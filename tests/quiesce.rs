//! A freeze on trial: what it tells, and that it leaves nothing behind.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::ffi::OsString;
use std::fs;

use serde_json::{Value, json};
use tests::containers::{BUSYBOX, Container, belongs_to, bind, unique};
use tests::directory::Directory;
use tests::lab;
use tests::world::World;

fn idle(name: &str, application: &str, options: &[&str]) -> Container {
    let label = belongs_to(application);
    let arguments = [&[label.as_str()], options, &[BUSYBOX, "sleep", "600"]].concat();
    Container::run(name, arguments)
}

// What lies where snapshots would.
fn homes() -> Vec<OsString> {
    let home = fs::read_dir(lab::btrfs().join(".stillpoint"));
    home.into_iter().flatten().map(|entry| entry.unwrap().file_name()).collect()
}

fn trial(world: &World, application: &str) -> Value {
    world.json(["quiesce", application, "--test"])
}

#[test]
fn a_trial_tells_how_long_everything_stood_still_and_makes_no_snapshot() {
    let (fast, slow) = (Directory::inside(&lab::btrfs()), Directory::inside(&std::env::temp_dir()));
    let (data, files) = (fast.volume("data"), slow.volume("files"));
    fs::write(files.join("file"), [7; 3000]).unwrap();
    let name = unique("trial");
    let containers = ["db", "web"].map(|member| {
        let copied = "--label=stillpoint.driver=/files=copy";
        let volumes = [bind(&data, "/data"), bind(&files, "/files"), copied.to_owned()];
        idle(&format!("{name}-{member}"), &name, &volumes.each_ref().map(String::as_str))
    });
    let before = homes();
    // No repository is needed.
    let world = World::empty();
    let report = trial(&world, &name);
    assert!(report["window_micros"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(report["budget"]["limit_micros"], 10_000_000);
    let drivers = json!([
        { "name": data.to_str().unwrap(), "driver": "btrfs" },
        { "name": files.to_str().unwrap(), "driver": "copy" },
    ]);
    let mut volumes = report["volumes"].as_array().unwrap().clone();
    volumes.sort_by_key(|volume| volume["driver"].to_string());
    assert_eq!(Value::from(volumes), drivers);
    let told = report["slow"].to_string();
    assert!(told.contains(files.to_str().unwrap()) && told.contains("3000 bytes"), "{told}");
    assert_eq!((&report["refused"], &report["remarks"]), (&json!([]), &json!([])));
    for member in report["members"].as_array().unwrap() {
        assert_eq!(member["continuous"], true, "{member}");
        assert!(member["thawed_micros"].as_u64() > member["frozen_micros"].as_u64(), "{member}");
        assert!(lab::only_method().is_none_or(|method| member["method"] == method), "{member}");
    }
    for container in &containers {
        assert!(!container.freezer().is_frozen());
        assert_eq!(container.shell("ls -A /data /files"), "/data:\n\n/files:\nfile\n");
    }
    assert!(!world.repository().exists());
    // What a backup that died had left may be gone.
    let left: Vec<_> = homes().into_iter().filter(|home| !before.contains(home)).collect();
    assert!(left.is_empty(), "{left:?}");
    let told = world.stillpoint(["quiesce", &name, "--test"]).succeeded().clone();
    assert!(told.stdout.contains("stood still for"), "{told:?}");
}

#[test]
fn health_checks_and_leases_limit_the_freeze() {
    let directory = Directory::inside(&lab::btrfs());
    let volume = bind(&directory.volume("data"), "/data");
    let world = World::new();
    let of = |options: &[&str]| {
        let name = unique("watched");
        (idle(&name, &name, &[&[volume.as_str()], options].concat()), name)
    };

    // Three checks that fail, two seconds apart.
    let check = ["--health-cmd=true", "--health-interval=2s", "--health-retries=3"];
    let (_container, name) = of(&check);
    let report = trial(&world, &name);
    assert_eq!(report["budget"]["limit_micros"], 2_000_000, "{report}");
    assert!(report["budget"]["because"].as_str().unwrap().contains(&name), "{report}");
    let backup = world.json(["backup", &name]);
    let point = world.json(["show", backup["point"].as_str().unwrap()]);
    assert_eq!(point["evidence"]["deadline_micros"], 2_000_000, "{point}");

    let (_container, name) = of(&["--label=stillpoint.lease=1500ms"]);
    world.stillpoint(["backup", &name]).failed(1, "--over-budget");
    let refused = world.stillpoint(["quiesce", &name, "--test", "--json"]).ended(1).clone();
    let report: Value = serde_json::from_str(&refused.stdout).unwrap();
    assert!(report["refused"][0].as_str().unwrap().contains("half of the lease"), "{report}");
    assert_eq!(report["window_micros"], Value::Null);
    world.stillpoint(["quiesce", &name, "--test", "--over-budget"]).succeeded();
    world.stillpoint(["backup", &name, "--over-budget", "--deadline", "3"]).succeeded();

    let (_container, name) = of(&["--label=stillpoint.lease=soon"]);
    world.stillpoint(["backup", &name]).failed(1, "stillpoint.lease");
    world.stillpoint(["backup", &name, "--no-freeze"]).succeeded();
}

#[test]
fn what_a_backup_would_refuse_is_told_and_an_unknown_application_is_an_error() {
    let world = World::empty();
    let name = unique("bare");
    let _container = idle(&name, &name, &[]);
    let refused = world.stillpoint(["quiesce", &name, "--test"]).ended(1).clone();
    assert!(refused.stdout.contains("refused: it has no volumes"), "{refused:?}");
    world.stillpoint(["quiesce", &unique("nobody"), "--test"]).failed(1, "stillpoint apps");
    world.stillpoint(["quiesce", &name]).ended(2);
}
