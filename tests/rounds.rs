//! Point after point of trees and files that change: each comes back as it was, at a cost that
//! follows what has changed.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

#[path = "rounds/tree.rs"]
mod tree;

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tests::chance::Chance;
use tests::compare::{assert_same, compare};
use tests::cost::measured;
use tests::directory::run;
use tests::world::World;

use self::tree::Tree;

/// Older than this, a time of change is relied on.
const SETTLED: Duration = Duration::from_secs(3);
/// What a tree that changed its metadata alone may add.
const METADATA_MAX: u64 = 64 << 10;

#[test]
fn a_tree_that_changes_comes_back_at_every_point() {
    tree_that_changes(1);
}

#[test]
fn another_tree_that_changes_comes_back_at_every_point() {
    tree_that_changes(2);
}

#[test]
fn a_third_tree_that_changes_comes_back_at_every_point() {
    tree_that_changes(3);
}

fn tree_that_changes(seed: u64) {
    const POINTS: u32 = 10;
    let world = World::with_key_file();
    let source = world.path("source");
    let mut tree = Tree::make(&source, seed);
    let mut chance = Chance::new(!seed);
    let mut points = Vec::new();
    for round in 0..POINTS {
        if round > 0 {
            tree.change();
        }
        if round % 3 == 2 {
            // So that the next changes are looked for by times of change.
            sleep(SETTLED);
        }
        if seed % 2 == 1 && chance.once_in(4) {
            tree.log.push("the cache is lost".into());
            lose_cache(&world);
        }
        let more: &[&str] = match round {
            4 => &["--no-cache"],
            7 => &["--full"],
            _ => &[],
        };
        let report = backup(&world, &source, more);
        let copy = world.path(&format!("copy {round}"));
        // Otherwise zeros in a file with holes become holes in the copy. The last point is compared
        // with the source itself, holes included.
        run(Command::new("cp").args(["--archive", "--sparse=never"]).arg(&source).arg(&copy));
        points.push((point(&report), copy));
        tree.log.push(format!("point {round}"));
    }

    sleep(SETTLED);
    backup(&world, &source, &[]);
    let report = backup(&world, &source, &[]);
    assert_eq!(statistics(&report), [0, 0, 0], "seed {seed}: {report}");
    tree.rewrite_unnoticed();
    let report = backup(&world, &source, &[]);
    points.push((point(&report), source.clone()));
    world.stillpoint(["check", "--read-data"]).succeeded();
    for (round, (point, copy)) in points.iter().enumerate() {
        let restored = restore(&world, point, &source);
        let differences = compare(copy, &restored);
        assert!(
            differences.is_empty(),
            "seed {seed}, point {round}: {differences:#?}\n{}",
            tree.log.join("\n")
        );
        fs::remove_dir_all(world.path("target")).unwrap();
    }
}

#[test]
fn a_database_whose_pages_change_costs_what_has_changed() {
    const PAGE: usize = 8 << 10;
    const PAGES: usize = 12 << 10;
    const CHANGED: usize = PAGES / 100;
    const ROUNDS: usize = 30;
    let world = World::with_key_file();
    let source = world.path("database");
    let mut chance = Chance::new(5);
    fs::write(&source, chance.noise(PAGE * PAGES)).unwrap();
    let mut kept = vec![(point(&backup(&world, &source, &[])), hash(&source))];
    for round in 1..=ROUNDS {
        let file = OpenOptions::new().write(true).open(&source).unwrap();
        for _ in 0..CHANGED {
            let offset = chance.index(PAGES) * PAGE;
            file.write_all_at(&chance.noise(PAGE), offset as u64).unwrap();
        }
        let report = backup(&world, &source, &[]);
        let [_, changed, stored] = statistics(&report);
        // Noise does not compress.
        let most = (PAGE * CHANGED) as u64;
        assert!(changed <= most + most / 10, "round {round}: {report}");
        assert!(stored <= most + most * 3 / 10 + METADATA_MAX, "round {round}: {report}");
        if round % 5 == 0 {
            kept.push((point(&report), hash(&source)));
        }
    }
    for (point, hashed) in &kept {
        assert_eq!(hash(&restore(&world, point, &source)), *hashed, "{point}");
        fs::remove_dir_all(world.path("target")).unwrap();
    }

    let cpu = |point: &str| {
        let one = || {
            let (output, cost) = measured(world.start(["restore", point, "--to", "target"]));
            output.succeeded();
            fs::remove_dir_all(world.path("target")).unwrap();
            cost.cpu
        };
        let mut all = [one(), one(), one()];
        all.sort();
        all[1]
    };
    let (first, last) = (cpu(&kept[0].0), cpu(&kept[kept.len() - 1].0));
    println!("CPU of the restore of the first point {first:?}, of the last {last:?}");
    // 1.5 is what is wanted; other tests on the same cores make it look worse.
    assert!(last <= first * 3, "{last:?} after {first:?}");
}

#[test]
fn what_was_touched_after_the_cache_was_lost_is_not_stored_again() {
    let world = World::with_key_file();
    let source = world.path("source");
    let length = noise_tree(&source);
    backup(&world, &source, &[]);
    lose_cache(&world);
    run(Command::new("touch").arg(source.join("large")));
    let report = backup(&world, &source, &[]);
    let [read, changed, stored] = statistics(&report);
    assert_eq!((read, changed), (length, 0), "{report}");
    assert!(stored < METADATA_MAX, "{report}");
    assert_same(&source, &restore(&world, &point(&report), &source));
}

#[test]
fn a_full_backup_of_what_has_not_changed_reads_all_and_stores_nothing() {
    let world = World::with_key_file();
    let source = world.path("source");
    let length = noise_tree(&source);
    sleep(SETTLED);
    backup(&world, &source, &[]);
    assert_eq!(statistics(&backup(&world, &source, &[])), [0, 0, 0]);
    let report = backup(&world, &source, &["--full"]);
    assert_eq!(statistics(&report), [length, 0, 0], "{report}");
    assert_same(&source, &restore(&world, &point(&report), &source));
}

#[test]
fn a_damaged_cache_harms_no_point() {
    let world = World::with_key_file();
    let source = world.path("source");
    noise_tree(&source);
    let mut chance = Chance::new(11);
    backup(&world, &source, &[]);
    for round in 0..12 {
        // Of each kind alone, and of both.
        let kinds: &[&str] = [&["pages"][..], &["table"], &["pages", "table"]][round % 3];
        let mut damaged = 0;
        let cache = files_below(&world.state().join("cache"));
        for path in cache
            .iter()
            .filter(|path| kinds.iter().any(|kind| path.extension() == Some(OsStr::new(kind))))
        {
            let mut bytes = fs::read(path).unwrap();
            for _ in 0..=chance.below(5) {
                let index = chance.index(bytes.len());
                bytes[index] ^= 1 << chance.below(8);
            }
            fs::write(path, bytes).unwrap();
            damaged += 1;
        }
        assert!(damaged > 0, "no {kinds:?} in {cache:?}");
        let file = OpenOptions::new().write(true).open(source.join("large")).unwrap();
        file.write_all_at(&chance.noise(9_000), chance.below(9 << 20)).unwrap();
        let report = backup_again(&world, &source, damaged);
        assert_same(&source, &restore(&world, &point(&report), &source));
        fs::remove_dir_all(world.path("target")).unwrap();
    }
    world.stillpoint(["check", "--read-data"]).succeeded();
}

/// Backs up. A table that was found damaged too late ends the command, and is made again next time.
fn backup_again(world: &World, source: &Path, damaged: usize) -> Value {
    let arguments = ["backup".as_ref(), "--path".as_ref(), source.as_os_str(), "--json".as_ref()];
    for _ in 0..damaged {
        let output = world.stillpoint(arguments);
        if output.code == Some(0) {
            return output.json();
        }
        output.ended(1);
        assert!(output.stderr.contains("is made again next time"), "{output:#?}");
    }
    world.json(&arguments[..3])
}

/// Makes a tree of two files of noise, and returns how many bytes they have.
fn noise_tree(root: &Path) -> u64 {
    const LENGTHS: [usize; 2] = [10 << 20, 30_000];
    fs::create_dir(root).unwrap();
    for (name, length) in ["large", "small"].into_iter().zip(LENGTHS) {
        fs::write(root.join(name), tests::every_kind::noise(length as u64, length)).unwrap();
    }
    LENGTHS.iter().sum::<usize>() as u64
}

fn backup(world: &World, source: &Path, more: &[&str]) -> Value {
    let arguments = ["backup".as_ref(), "--path".as_ref(), source.as_os_str()];
    world.json(arguments.into_iter().chain(more.iter().map(OsStr::new)))
}

/// Restores a point to `target`, and returns where the source lies in it.
fn restore(world: &World, point: &str, source: &Path) -> PathBuf {
    world.stillpoint(["restore", point, "--to", "target"]).succeeded();
    world.path("target").join(source.strip_prefix("/").unwrap())
}

fn point(report: &Value) -> String {
    report["point"].as_str().unwrap().to_owned()
}

/// The bytes that were read, that had changed, and that were stored.
fn statistics(report: &Value) -> [u64; 3] {
    ["read", "changed", "stored"].map(|name| report["statistics"][name].as_u64().unwrap())
}

fn lose_cache(world: &World) {
    let cache = world.state().join("cache");
    if cache.exists() {
        fs::remove_dir_all(cache).unwrap();
    }
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn hash(path: &Path) -> Vec<u8> {
    Sha256::digest(fs::read(path).unwrap()).to_vec()
}
