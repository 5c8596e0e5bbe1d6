//! What a database acknowledged before the freeze is in the restore point, where its own way of
//! storing things would lose it.
//!
//! A client writes rising numbers, and each that was acknowledged into a file on another volume of
//! the application, so that the restored file says what was acknowledged at that instant.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use tests::containers::{Container, belongs_to, bind, unique};
use tests::directory::Directory;
use tests::lab;
use tests::world::World;

const POINTS: usize = 3;

/// A database server, and what it is asked.
struct Database {
    /// The image, and what the server is started with.
    server: &'static [&'static str],
    /// Where its volumes are mounted; the last one is for what was acknowledged.
    mounts: &'static [&'static str],
    /// A shell command that succeeds when it can be used.
    ready: &'static str,
    /// What is done once, and then for each number `$i`.
    prepare: &'static str,
    write: &'static str,
    /// The largest number that it has in each of its tables, a line each.
    largest: &'static str,
}

const MARIADB: Database = Database {
    server: &["--env=MARIADB_ROOT_PASSWORD=lab", "lab/mariadb:10"],
    mounts: &["/var/lib/mysql", "/acknowledged"],
    ready: "MYSQL_PWD=lab mariadb -e 'select 1'",
    prepare: "MYSQL_PWD=lab mariadb -e 'create database t; use t; \
        create table a (n int, key (n)) engine=InnoDB; create table b (n int, key (n)) engine=MyISAM'",
    write: "MYSQL_PWD=lab mariadb t -e \"insert into a values ($i); insert into b values ($i)\"",
    // The second says so when the table was not closed properly.
    largest: "MYSQL_PWD=lab mariadb -N t -e 'select max(n) from a; select max(n) from b'; \
        MYSQL_PWD=lab mariadb -N t -e 'check table a, b extended' | grep -v 'status.OK'; true",
};

const POSTGRES: Database = Database {
    server: &["lab/postgres:15"],
    mounts: &["/var/lib/postgresql/data", "/tables", "/acknowledged"],
    ready: "psql -U postgres -c 'select 1'",
    prepare: "chown postgres /tables && psql -U postgres -c \"create tablespace far location '/tables'\" \
        && psql -U postgres -c 'create table a (n int primary key) tablespace far'",
    write: "psql -qU postgres -c \"insert into a values ($i)\"",
    largest: "psql -U postgres -Atc 'select max(n) from a' \
        && pg_amcheck -U postgres --all --install-missing --heapallindexed",
};

const REDIS: Database = Database {
    server: &["lab/redis:7", "redis-server", "--save", "", "--appendonly", "no"],
    mounts: &["/data", "/acknowledged"],
    ready: "redis-cli ping | grep PONG",
    prepare: "true",
    write: "test \"$(redis-cli set n $i)\" = OK",
    largest: "redis-cli get n",
};

#[test]
fn mariadb_loses_nothing_of_innodb_and_of_myisam() {
    MARIADB.loses_nothing();
}

#[test]
fn postgresql_loses_nothing_with_a_tablespace_on_another_volume() {
    POSTGRES.loses_nothing();
}

#[test]
fn redis_loses_nothing_though_it_saves_only_on_request() {
    REDIS.loses_nothing();
}

#[test]
fn without_hooks_redis_would_lose_what_it_did_not_save() {
    let (world, directory) = (World::new(), Directory::inside(&lab::btrfs()));
    REDIS.back_up_under_load(&world, &directory, &["--no-hooks"]);
    let (acknowledged, found) = REDIS.restored(&world, "latest", &directory);
    assert!(acknowledged > 0 && found == [0], "{acknowledged} were written, {found:?} found");
}

impl Database {
    fn loses_nothing(&self) {
        let (world, directory) = (World::new(), Directory::inside(&lab::btrfs()));
        let points = self.back_up_under_load(&world, &directory, &[]);
        let mut before = 0;
        for point in points {
            let (acknowledged, found) = self.restored(&world, &point, &directory);
            assert!(acknowledged > before, "nothing was written for {point}");
            // What was written and not acknowledged any more may be there.
            let fits = |number: &u64| (acknowledged..=acknowledged + 1).contains(number);
            assert!(found.iter().all(fits), "{acknowledged} in {point}, and {found:?} found");
            before = acknowledged;
        }
    }

    fn back_up_under_load(
        &self,
        world: &World,
        directory: &Directory,
        options: &[&str],
    ) -> Vec<String> {
        let name = unique("acknowledged");
        let volumes: Vec<PathBuf> =
            (0..self.mounts.len()).map(|n| directory.volume(&format!("volume-{n}"))).collect();
        let mut arguments = vec![belongs_to(&name)];
        arguments.extend(volumes.iter().zip(self.mounts).map(|(from, to)| bind(from, to)));
        arguments.extend(self.server.iter().map(|word| (*word).to_owned()));
        let server = Container::run(&name, arguments);
        server.wait_for(self.ready);
        server.shell(self.prepare);
        let write = self.write;
        server.background(&format!(
            "i=0; while :; do i=$((i+1)); {write} && echo $i >>/acknowledged/numbers; done"
        ));
        let mut points = Vec::new();
        for _ in 0..POINTS {
            sleep(Duration::from_secs(1));
            let report = world.json([&["backup", &name], options].concat());
            let level = if options.is_empty() { "application" } else { "crash" };
            assert_eq!(report["level"], level, "{report}");
            points.push(report["point"].as_str().unwrap().to_owned());
        }
        points
    }

    /// What was acknowledged at a point, and what a server finds that is started on its volumes.
    fn restored(&self, world: &World, point: &str, directory: &Directory) -> (u64, Vec<u64>) {
        let to = directory.join(&format!("restored-{point}"));
        world.stillpoint(["restore", point, "--to", to.to_str().unwrap()]).succeeded();
        let restored = |number: usize| {
            let volume = directory.join(&format!("volume-{number}"));
            to.join(volume.strip_prefix("/").unwrap())
        };
        let mounts = self.mounts.iter().enumerate();
        let mounts = mounts.map(|(number, target)| bind(&restored(number), target));
        let arguments = mounts.chain(self.server.iter().map(|word| (*word).to_owned()));
        let server = Container::run(&unique("recovered"), arguments.collect::<Vec<_>>());
        server.wait_for(self.ready);
        let found = server.shell(self.largest);
        let found = found.lines().map(|line| match line.trim() {
            "" => 0,
            number => number.parse().unwrap_or_else(|_| panic!("{found}")),
        });
        (last_number(&restored(self.mounts.len() - 1)), found.collect())
    }
}

fn last_number(volume: &Path) -> u64 {
    let text = fs::read_to_string(volume.join("numbers")).unwrap();
    // The last line may be in the making.
    let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
    whole.lines().last().map_or(0, |line| line.parse().unwrap())
}
