//! Volumes as people have them: on every filesystem, with others inside them, shared, or broken.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use tests::compare::assert_same;
use tests::containers::{BUSYBOX, Container, belongs_to, bind, docker, unique};
use tests::directory::{Directory, Filesystem, run, subvolume};
use tests::sequence::{self, Sequence};
use tests::world::World;
use tests::{every_kind, lab};

#[test]
fn each_filesystem_has_its_driver_and_every_kind_of_file_survives_it() {
    for (parent, driver) in
        [(lab::btrfs(), "btrfs"), (lab::xfs(), "reflink"), (std::env::temp_dir(), "live")]
    {
        let directory = Directory::inside(&parent);
        let volume = directory.volume("volume");
        fs::create_dir(volume.join("below")).unwrap();
        every_kind::make(&volume.join("below/tree"));
        let application = idle(&volume);
        let world = World::new();
        let report = back_up(&world, application.name());
        assert_eq!(drivers(&report), [driver], "{report}");
        restores(&world, &volume, &directory.join("target"));
    }
}

#[test]
fn a_copy_is_of_one_instant_too() {
    let application = Sequence::with(2, &std::env::temp_dir(), &["--label=stillpoint.driver=copy"]);
    let world = World::new();
    for round in 0..3 {
        let report = back_up(&world, application.name());
        assert_eq!(drivers(&report), ["copy"; 3], "{report}");
        let target = world.path(&round.to_string());
        restore(&world, &target);
        sequence::check(&application.restored(&target)).unwrap();
    }
}

#[test]
fn a_driver_can_be_asked_for_where_it_works() {
    for (parent, possible) in [
        (lab::btrfs(), &["btrfs", "reflink", "live", "copy"][..]),
        (lab::xfs(), &["reflink", "live", "copy"]),
        (std::env::temp_dir(), &["live", "copy"]),
    ] {
        let directory = Directory::inside(&parent);
        let volume = directory.volume("volume");
        every_kind::make(&volume.join("tree"));
        for driver in ["btrfs", "reflink", "live", "copy", "zfs"] {
            let application =
                idle_with(&volume, &[&format!("--label=stillpoint.driver=/volume={driver}")]);
            let world = World::new();
            if possible.contains(&driver) {
                let seen = world.json(["apps"]);
                assert!(seen.to_string().contains(&format!("\"driver\":\"{driver}\"")), "{seen}");
                let report = back_up(&world, application.name());
                assert_eq!(drivers(&report), [driver], "{report}");
                restores(&world, &volume, &directory.join(driver));
            } else {
                let refused = world.stillpoint(["backup", application.name()]);
                refused.failed(1, format!("`{driver}`"));
                assert!(!application.freezer().is_frozen());
            }
        }
    }
}

#[test]
fn subvolumes_inside_a_volume_are_not_lost() {
    let directory = Directory::inside(&lab::btrfs());
    let volume = directory.volume("volume");
    fs::create_dir(volume.join("folder")).unwrap();
    for inner in ["inner", "folder/inner", "folder/inner/innermost"] {
        subvolume(&volume.join(inner));
        fs::write(volume.join(inner).join("file"), inner).unwrap();
    }
    let application = idle(&volume);
    let world = World::new();
    back_up(&world, application.name());
    restores(&world, &volume, &world.path("target"));
}

#[test]
fn filesystems_mounted_inside_a_volume_are_not_lost() {
    for parent in [lab::btrfs(), lab::xfs(), std::env::temp_dir()] {
        let directory = Directory::inside(&parent);
        let volume = directory.volume("volume");
        fs::write(volume.join("file"), "outside").unwrap();
        let inner = Filesystem::btrfs(128);
        for (name, arguments) in [
            ("tmpfs", vec!["-t".into(), "tmpfs".into(), "none".into()]),
            ("btrfs", vec!["--bind".into(), inner.path().as_os_str().to_owned()]),
        ] {
            let place = volume.join(name);
            fs::create_dir(&place).unwrap();
            run(Command::new("mount").args(arguments).arg(&place));
            fs::write(place.join("file"), name).unwrap();
            fs::create_dir(place.join("empty")).unwrap();
        }
        let application = idle(&volume);
        let world = World::new();
        back_up(&world, application.name());
        restores(&world, &volume, &world.path("target"));
    }
}

#[test]
fn a_volume_that_is_a_filesystem_of_its_own_comes_back() {
    let filesystem = Filesystem::btrfs(128);
    fs::write(filesystem.path().join("file"), "content").unwrap();
    let application = idle(filesystem.path());
    let world = World::new();
    back_up(&world, application.name());
    restores(&world, filesystem.path(), &world.path("target"));
}

#[test]
fn somebody_else_who_writes_a_volume_lowers_the_level_and_is_named() {
    let directory = Directory::inside(&lab::btrfs());
    let volume = directory.volume("volume");
    let application = idle(&volume);
    let other = unique("outsider");
    let _other =
        Container::run(&other, [bind(&volume, "/other").as_str(), BUSYBOX, "sleep", "600"]);
    let world = World::new();
    let report = world.json(["backup", application.name()]);
    assert_eq!(report["level"], "fuzzy", "{report}");
    let remarks = report["remarks"].to_string();
    assert!(remarks.contains(&other), "{remarks}");
    assert!(remarks.contains(volume.to_str().unwrap()), "{remarks}");
}

#[test]
fn somebody_else_who_only_reads_does_not_lower_the_level() {
    let directory = Directory::inside(&lab::btrfs());
    let volume = directory.volume("volume");
    let application = idle(&volume);
    let mount = format!("{}:ro", bind(&volume, "/other"));
    let _other = Container::run(&unique("reader"), [mount.as_str(), BUSYBOX, "sleep", "600"]);
    back_up(&World::new(), application.name());
}

#[test]
fn a_volume_that_cannot_be_snapshotted_is_read_in_the_freeze_unless_a_snapshot_was_asked_for() {
    let filesystem = Filesystem::btrfs(128);
    let volume = filesystem.path().join("volume");
    subvolume(&volume);
    fs::write(volume.join("file"), "content").unwrap();
    run(Command::new("mount").args(["-o", "remount,ro"]).arg(filesystem.path()));
    let world = World::new();
    let application = idle_with(&volume, &["--label=stillpoint.driver=btrfs"]);
    world.stillpoint(["backup", application.name()]).failed(1, volume.to_string_lossy());
    assert!(!application.freezer().is_frozen());
    assert_eq!(world.json(["points"]), Value::Array(Vec::new()));
    drop(application);
    let application = idle(&volume);
    let report = back_up(&world, application.name());
    assert_eq!(drivers(&report), ["live"], "{report}");
    restores(&world, &volume, &world.path("target"));
}

#[test]
fn a_volume_that_is_gone_is_named_and_the_others_are_saved() {
    let directory = Directory::inside(&lab::btrfs());
    let (counted, gone) = (directory.volume("counted"), directory.join("gone"));
    fs::create_dir(&gone).unwrap();
    let application = counting(&counted, &gone);
    fs::remove_dir(&gone).unwrap();
    let world = World::new();
    let report = world.stillpoint(["backup", application.name(), "--json"]).ended(3).json();
    assert_eq!(report["omissions"].as_array().map(Vec::len), Some(1), "{report}");
    assert_eq!(report["omissions"][0]["volume"], gone.to_str().unwrap(), "{report}");
    assert_eq!(drivers(&report), ["btrfs"], "{report}");
    counts_on(&application, &counted);
}

#[test]
fn a_paused_container_stays_paused_and_counts_as_frozen() {
    let directory = Directory::inside(&lab::btrfs());
    let application = idle(&directory.volume("volume"));
    docker(["pause", application.name()]);
    back_up(&World::new(), application.name());
    let state = docker(["inspect", "--format", "{{.State.Status}}", application.name()]);
    assert_eq!(state.trim(), "paused");
    assert!(application.freezer().is_frozen());
}

#[test]
fn the_volume_of_a_stopped_container_is_saved() {
    let directory = Directory::inside(&lab::btrfs());
    let volume = directory.volume("volume");
    fs::write(volume.join("file"), "content").unwrap();
    let application = idle(&volume);
    docker(["stop", "--time", "0", application.name()]);
    let world = World::new();
    back_up(&world, application.name());
    restores(&world, &volume, &world.path("target"));
}

/// An application of one container, of the same name, that does nothing.
fn idle(volume: &Path) -> Container {
    idle_with(volume, &[])
}

fn idle_with(volume: &Path, options: &[&str]) -> Container {
    let name = unique("idle");
    let (label, mount) = (belongs_to(&name), bind(volume, "/volume"));
    let arguments = [&[label.as_str(), &mount], options, &[BUSYBOX, "sleep", "600"]].concat();
    Container::run(&name, arguments)
}

/// An application of one container that counts in the first volume.
fn counting(volume: &Path, other: &Path) -> Container {
    let name = unique("counting");
    let script = "while :; do date +%s%N >>/volume/log; sleep 0.01; done";
    Container::run(
        &name,
        [
            belongs_to(&name).as_str(),
            &bind(volume, "/volume"),
            &bind(other, "/other"),
            BUSYBOX,
            "sh",
            "-c",
            script,
        ],
    )
}

#[track_caller]
fn counts_on(application: &Container, volume: &Path) {
    assert!(!application.freezer().is_frozen(), "{} is frozen", application.name());
    let size = || fs::metadata(volume.join("log")).unwrap().len();
    let before = size();
    sleep(Duration::from_millis(500));
    assert!(size() > before, "{} stands still", application.name());
}

#[track_caller]
fn back_up(world: &World, application: &str) -> Value {
    let report = world.json(["backup", application]);
    assert_eq!(report["level"], "crash", "{report}");
    assert_eq!(report["omissions"].as_array().map(Vec::len), Some(0), "{report}");
    report
}

fn restore(world: &World, target: &Path) {
    let report = world.json(["restore", "latest", "--to", target.to_str().unwrap()]);
    for nothing in ["lost", "unset"] {
        assert_eq!(report["report"][nothing].as_array().map(Vec::len), Some(0), "{report}");
    }
}

#[track_caller]
fn restores(world: &World, volume: &Path, target: &Path) {
    restore(world, target);
    assert_same(volume, &target.join(volume.strip_prefix("/").unwrap()));
}

fn drivers(report: &Value) -> Vec<&str> {
    let volumes = report["volumes"].as_array().unwrap();
    volumes.iter().map(|volume| volume["driver"].as_str().unwrap()).collect()
}
