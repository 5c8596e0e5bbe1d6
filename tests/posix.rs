//! Every kind of file, with everything it can have, comes back as it was.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::path::Path;
use std::thread;
use std::time::Duration;

use tests::compare::assert_same;
use tests::directory::Directory;
use tests::every_kind;
use tests::world::World;

#[test]
fn every_kind_of_file_comes_back() {
    round_trip(&std::env::temp_dir());
}

#[cfg(feature = "lab")]
#[test]
fn every_kind_of_file_comes_back_on_btrfs() {
    round_trip(&tests::lab::btrfs());
}

#[cfg(feature = "lab")]
#[test]
fn every_kind_of_file_comes_back_on_xfs() {
    round_trip(&tests::lab::xfs());
}

#[test]
fn a_single_file_comes_back() {
    let world = World::new();
    let source = world.path("single");
    std::fs::write(&source, every_kind::noise(5, 3_000_000)).unwrap();
    world.stillpoint(["backup".as_ref(), "--path".as_ref(), source.as_os_str()]).succeeded();
    let target = world.path("target");
    restore(&world, &target);
    assert_same(&source, &below(&target, &source));
}

#[test]
fn a_restore_in_place_mends_what_differs_and_says_so() {
    let world = World::new();
    let source = world.path("source");
    every_kind::make(&source);
    world.stillpoint(["backup".as_ref(), "--path".as_ref(), source.as_os_str()]).succeeded();
    let target = world.path("target");
    restore(&world, &target);
    let restored = below(&target, &source);
    std::fs::write(restored.join("not in the point"), "x").unwrap();
    world.stillpoint(["restore", "latest", "--to", "target"]).failed(1, "--in-place");

    let in_place = ["restore", "latest", "--to", "target", "--in-place"];
    let plan = world.json(in_place.iter().chain(&["--plan"]));
    assert_eq!(plan["in_place"]["extra"], 1, "{plan}");
    let files = plan["files"].as_u64().unwrap();
    let present = plan["in_place"]["present"].as_u64().unwrap();
    assert!(present > 0 && present < files, "{plan}");
    let report = world.json(in_place);
    assert_eq!(report["report"]["written"], 0, "{report}");
    assert_eq!(report["report"]["files"], files, "{report}");
    let report = world.json(in_place.iter().chain(&["--delete"]));
    assert_eq!(report["report"]["removed"], 1, "{report}");
    assert_same(&source, &restored);
}

fn round_trip(parent: &Path) {
    let directory = Directory::inside(parent);
    let source = directory.join("source");
    every_kind::make(&source);
    let world = World::empty_inside(parent).init();
    let backup = ["backup".as_ref(), "--path".as_ref(), source.as_os_str()];

    // A file that changed a moment ago would be read again.
    thread::sleep(Duration::from_secs(3));
    let first = world.json(backup);
    assert_eq!(first["omissions"].as_array().map(Vec::len), Some(0), "{first}");
    let second = world.json(backup);
    assert_eq!(second["statistics"]["read"], 0, "{second}");
    assert_eq!(second["statistics"]["stored"], 0, "{second}");
    assert_eq!(second["statistics"]["files"], first["statistics"]["files"]);

    let points = [&first, &second].map(|answer| answer["point"].as_str().unwrap().to_owned());
    for point in points {
        let target = directory.join(&point);
        let report =
            world.json(["restore".as_ref(), point.as_ref(), "--to".as_ref(), target.as_os_str()]);
        assert_eq!(report["report"]["lost"].as_array().map(Vec::len), Some(0), "{report}");
        assert_eq!(report["report"]["unset"].as_array().map(Vec::len), Some(0), "{report}");
        assert_same(&source, &below(&target, &source));
    }
    world.stillpoint(["check", "--read-data"]).succeeded();
}

fn restore(world: &World, target: &Path) {
    world
        .stillpoint(["restore".as_ref(), "latest".as_ref(), "--to".as_ref(), target.as_os_str()])
        .succeeded();
}

fn below(target: &Path, source: &Path) -> std::path::PathBuf {
    target.join(source.strip_prefix("/").unwrap())
}
