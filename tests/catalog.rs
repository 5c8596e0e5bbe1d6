//! The catalog is a cache: it can be lost, and the repository gives it back.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

#[path = "catalog/besides.rs"]
mod besides;
#[path = "catalog/newer.rs"]
mod newer;
#[path = "catalog/rebuild.rs"]
mod rebuild;

use std::fs;

use tests::world::World;

#[test]
fn a_lost_catalog_is_rebuilt_from_the_repository() {
    let mut world = with_points();
    let before = world.json(["points"]);
    assert_eq!(before.as_array().map(Vec::len), Some(3));

    fs::remove_dir_all(world.state()).unwrap();
    assert_eq!(world.json(["points"]), before);

    // Another machine has a catalog of its own.
    world.set("STILLPOINT_STATE_DIR", world.path("elsewhere"));
    assert_eq!(world.json(["points"]), before);
}

#[test]
fn points_that_others_wrote_are_seen() {
    let mut world = with_points();
    let home = world.state();
    world.set("STILLPOINT_STATE_DIR", world.path("elsewhere"));
    backup(&world, "of another machine");
    let there = world.json(["points"]);
    assert_eq!(there.as_array().map(Vec::len), Some(4));
    world.set("STILLPOINT_STATE_DIR", home);
    assert_eq!(world.json(["points"]), there);
}

#[test]
fn a_catalog_that_is_no_database_is_reported_and_can_be_removed() {
    let world = with_points();
    let before = world.json(["points"]);
    for entry in fs::read_dir(world.state()).unwrap() {
        let path = entry.unwrap().path();
        // The cache is a directory.
        if path.is_file() {
            fs::write(path, "no database ".repeat(1000)).unwrap();
        }
    }
    world.stillpoint(["points"]).failed(1, "catalog");
    fs::remove_dir_all(world.state()).unwrap();
    assert_eq!(world.json(["points"]), before);
}

fn with_points() -> World {
    points_in(World::new())
}

fn points_in(world: World) -> World {
    fs::create_dir(world.path("data")).unwrap();
    for round in 0..3 {
        fs::write(world.path("data/file"), format!("round {round}")).unwrap();
        backup(&world, &format!("application {}", round % 2));
    }
    world
}

fn backup(world: &World, name: &str) {
    let data = world.path("data");
    world.stillpoint(["backup", "--name", name, "--path", data.to_str().unwrap()]).succeeded();
}
