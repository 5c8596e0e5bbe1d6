//! PostgreSQL and Redis, backed up together under load, start on every restored point and have
//! lost nothing.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use tests::containers::{Container, belongs_to, bind, unique};
use tests::directory::Directory;
use tests::lab;
use tests::world::World;

const POSTGRES: &str = "lab/postgres:15";
const REDIS: &str = "lab/redis:7";
const POINTS: usize = 5;
const BALANCES: &str = "select (select sum(abalance) from pgbench_accounts), \
    (select sum(bbalance) from pgbench_branches), (select sum(tbalance) from pgbench_tellers), \
    (select coalesce(sum(delta), 0) from pgbench_history)";

#[test]
fn databases_on_btrfs_recover_from_every_point() {
    recover_from_every_point(&lab::btrfs());
}

#[test]
fn databases_on_xfs_recover_from_every_point() {
    recover_from_every_point(&lab::xfs());
}

#[test]
fn databases_on_ext4_recover_from_every_point() {
    recover_from_every_point(&std::env::temp_dir());
}

/// A restore point and what Redis had counted before and after it was taken.
struct Point {
    id: String,
    counted: std::ops::RangeInclusive<u64>,
}

fn recover_from_every_point(parent: &Path) {
    let directory = Directory::inside(parent);
    let volumes = [directory.volume("postgres"), directory.volume("redis")];
    let world = World::new();
    let points = back_up_under_load(&world, &volumes);
    let mut transactions = 0;
    for Point { id, counted } in points {
        let target = directory.join(&id);
        let target_text = target.to_str().unwrap();
        let report = world.json(["restore", &id, "--to", target_text]);
        assert_eq!(report["report"]["lost"].as_array().map(Vec::len), Some(0), "{report}");
        let restored = |volume: &PathBuf| target.join(volume.strip_prefix("/").unwrap());
        let counter = redis_recovers(&restored(&volumes[1]));
        assert!(counted.contains(&counter), "{counter} is not in {counted:?}");
        let later = postgres_recovers(&restored(&volumes[0]));
        assert!(later > transactions, "{later} transactions after {transactions}");
        transactions = later;
    }
}

fn back_up_under_load(world: &World, volumes: &[PathBuf; 2]) -> Vec<Point> {
    let application = unique("databases");
    let label = belongs_to(&application);
    let mount = bind(&volumes[0], "/var/lib/postgresql/data");
    let postgres = Container::run(&unique("postgres"), [&label, &mount, POSTGRES]);
    let mount = bind(&volumes[1], "/data");
    let redis = Container::run(&unique("redis"), [&label, &mount, REDIS]);
    // The server that makes the cluster listens for a moment, too, but not as this one.
    postgres.wait_for("psql -U postgres -c 'select 1'");
    postgres.shell("pgbench -U postgres --initialize --scale=2 --quiet postgres");
    redis.wait_for("redis-cli ping | grep PONG");
    postgres.background("pgbench -U postgres --client=4 --time=600 postgres");
    redis.background("while :; do redis-cli incr counter; done");
    let counter = || redis.shell("redis-cli get counter").trim().parse().unwrap_or(0);
    let mut points = Vec::new();
    while points.len() < POINTS {
        sleep(Duration::from_millis(700));
        let before = counter();
        let report = world.json(["backup", &application]);
        assert_eq!(report["level"], "application", "{report}");
        let id = report["point"].as_str().unwrap().to_owned();
        points.push(Point { id, counted: before..=counter() });
    }
    points
}

/// How many transactions a server finds on a restored volume.
fn postgres_recovers(volume: &Path) -> u64 {
    let mount = bind(volume, "/var/lib/postgresql/data");
    let postgres = Container::run(&unique("recovered"), [mount.as_str(), POSTGRES]);
    postgres.wait_for("psql -U postgres -c 'select 1'");
    postgres.shell("pg_amcheck -U postgres --all --install-missing --heapallindexed");
    let ask = |question: &str| {
        postgres.shell(&format!("psql -U postgres -At -c '{question}'")).trim().to_owned()
    };
    let balances = ask(BALANCES);
    let sums: Vec<&str> = balances.split('|').collect();
    assert!(sums.len() == 4 && sums.iter().all(|sum| *sum == sums[0]), "{sums:?}");
    ask("select count(*) from pgbench_history").parse().unwrap()
}

/// What the counter of a server on a restored volume says.
fn redis_recovers(volume: &Path) -> u64 {
    let redis = Container::run(&unique("recovered"), [bind(volume, "/data").as_str(), REDIS]);
    redis.wait_for("redis-cli ping | grep PONG");
    redis.shell("redis-cli get counter").trim().parse().unwrap()
}
