//! The catalog is deleted, cut, overwritten, without space: a clear answer, and a rebuild that brings
//! back the points from the repository and the rest from its backup.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::chance::Chance;
use tests::directory::run;
use tests::many_points;
use tests::world::{Running, World};

use super::besides::{Besides, add_besides};
use super::{backup, points_in, with_points};

/// What happens to the file of a catalog.
#[derive(Clone, Copy, Debug)]
enum Harm {
    Deleted,
    Emptied,
    Cut,
    Overwritten,
    RowChanged,
    HalfReplaced,
}

fn harm(catalog: &Path, harm: Harm) {
    let open = || fs::OpenOptions::new().write(true).open(catalog).unwrap();
    let length = fs::metadata(catalog).unwrap().len();
    match harm {
        Harm::Deleted => fs::remove_file(catalog).unwrap(),
        Harm::Emptied => open().set_len(0).unwrap(),
        Harm::Cut => open().set_len(length / 2).unwrap(),
        Harm::Overwritten => open().write_all_at(&[0x5a; 4096], 4096).unwrap(),
        Harm::RowChanged => {
            // The time of a run, which is text in its row.
            let bytes = fs::read(catalog).unwrap();
            let is_digit = |byte: &u8| byte.is_ascii_digit();
            let is_time = |text: &[u8]| text[..4].iter().all(is_digit) && &text[10..11] == b"T";
            let time = bytes.windows(30).rposition(|text| is_time(text) && text[29] == b'Z');
            open().write_all_at(b"late", time.unwrap() as u64).unwrap();
        }
        // Whoever replaced it was killed before the new one had its name.
        Harm::HalfReplaced => {
            fs::hard_link(catalog, catalog.with_extension("sqlite-damaged-before")).unwrap();
        }
    }
}

fn catalog(world: &World) -> PathBuf {
    world.state().join("catalog.sqlite")
}

/// What the catalog knows of the repository, and what it knows besides.
fn knowledge(world: &World) -> (Value, Value) {
    (world.json(["points"]), world.json(["runs", "--limit", "1000"])["runs"].clone())
}

fn annotated() -> World {
    annotate(with_points())
}

fn annotate(world: World) -> World {
    world.stillpoint(["hold", "latest", "--app", "application 1", "--reason", "audit"]).succeeded();
    world.stillpoint(["tag", "latest", "--app", "application 0", "--add", "good"]).succeeded();
    world
}

#[test]
fn whatever_becomes_of_the_catalog_a_rebuild_brings_it_back() {
    let world = add_besides(annotated());
    world.stillpoint(["catalog", "backup"]).succeeded();
    let (before, besides) = (knowledge(&world), Besides::of(&world));
    assert_eq!(before.1.as_array().map(Vec::len), Some(3));
    assert_eq!((&before.0[0]["tags"], &before.0[1]["held"]), (&json!(["good"]), &json!("audit")));
    let all = [Harm::Deleted, Harm::Emptied, Harm::Cut, Harm::Overwritten, Harm::RowChanged];
    for what in all.into_iter().chain([Harm::HalfReplaced]) {
        harm(&catalog(&world), what);
        if !matches!(what, Harm::RowChanged | Harm::HalfReplaced) {
            world.stillpoint(["points"]).failed(1, "catalog rebuild");
        }
        let planned = world.json(["catalog", "rebuild", "--plan"]);
        let gone = matches!(what, Harm::Deleted);
        let absent = gone || matches!(what, Harm::Emptied);
        let condition = if absent { "absent" } else { "damaged" };
        assert_eq!(planned["condition"], condition, "{what:?}: {planned}");
        assert_eq!(catalog(&world).exists(), !gone, "a plan changes nothing");
        let rebuilt = world.json(["catalog", "rebuild"]);
        assert_eq!(rebuilt["repositories"][0]["points"], 3, "{what:?}: {rebuilt}");
        assert!(rebuilt["backup"]["made"].is_string(), "{what:?}: {rebuilt}");
        assert_eq!(rebuilt["set_aside"].is_string(), !gone, "{what:?}: {rebuilt}");
        assert_eq!(knowledge(&world), before, "{what:?}");
        let happened = world.json(["runs"])["events"][0]["kind"].clone();
        assert_eq!(happened, "catalog_replaced", "{what:?}");
        besides.assert_kept(&world);
    }
}

#[test]
fn a_bit_that_flips_where_a_page_begins_is_told_and_mended() {
    let world = add_besides(annotate(points_in(World::with_key_file())));
    let backup = world.json(["catalog", "backup"]);
    let (before, besides) = (knowledge(&world), Besides::of(&world));
    // Each catalog to come has these pages, for it is made from this.
    let pages = fs::metadata(backup["path"].as_str().unwrap()).unwrap().len() / PAGE_BYTES;
    assert!(pages > 10, "{pages} pages");
    for page in 0..pages {
        // The first page begins behind the head of the file.
        let place = if page == 0 { FILE_HEAD_BYTES } else { page * PAGE_BYTES };
        flip(&catalog(&world), place);
        let damaged = fs::read(catalog(&world)).unwrap();
        world.stillpoint(["points"]).failed(1, "is damaged").failed(1, "catalog rebuild");
        assert!(fs::read(catalog(&world)).unwrap() == damaged, "page {page} was written to");
        let rebuilt = world.json(["catalog", "rebuild"]);
        assert_eq!(rebuilt["condition"], "damaged", "page {page}: {rebuilt}");
        let aside = fs::read(rebuilt["set_aside"].as_str().unwrap()).unwrap();
        assert!(aside == damaged, "page {page} is not what was set aside");
        assert_eq!(world.json(["points"]), before.0, "page {page}");
    }
    assert_eq!(knowledge(&world), before);
    besides.assert_kept(&world);
}

/// Flips the lowest bit of the byte at a place.
fn flip(path: &Path, place: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).unwrap();
    file.write_all_at(&[byte[0] ^ 1], place).unwrap();
}

#[test]
fn a_sound_catalog_keeps_what_it_knows_and_reads_points_anew() {
    let world = annotated();
    let before = knowledge(&world);
    // No digest tells that a value is another one.
    let host = before.0[0]["host"].as_str().unwrap().as_bytes();
    let mut bytes = fs::read(catalog(&world)).unwrap();
    let places: Vec<_> =
        (0..bytes.len() - host.len()).filter(|at| bytes[*at..].starts_with(host)).collect();
    for at in places {
        bytes[at..at + host.len()].fill(b'x');
    }
    fs::write(catalog(&world), bytes).unwrap();
    assert_ne!(knowledge(&world).0, before.0);
    let rebuilt = world.json(["catalog", "rebuild"]);
    assert_eq!((&rebuilt["condition"], &rebuilt["backup"]), (&json!("sound"), &Value::Null));
    assert_eq!(knowledge(&world), before);
}

#[test]
fn the_newest_backup_that_is_sound_is_used() {
    let world = annotated();
    let first = fs::read_dir(world.state().join("catalog-backups")).unwrap().next().unwrap();
    let first = first.unwrap().path();
    sleep(Duration::from_secs(1));
    world.stillpoint(["catalog", "backup"]).succeeded();
    let second = world.json(["catalog", "rebuild", "--plan"]);
    assert_eq!(second["backups"], json!([]), "a sound one needs none: {second}");
    harm(&catalog(&world), Harm::Cut);
    let planned = world.json(["catalog", "rebuild", "--plan"]);
    harm(Path::new(planned["backups"][0]["path"].as_str().unwrap()), Harm::Overwritten);
    let rebuilt = world.json(["catalog", "rebuild"]);
    assert_eq!(rebuilt["backup"]["path"], first.to_str().unwrap(), "{rebuilt}");
    assert_eq!(world.json(["points"]).as_array().map(Vec::len), Some(3));
}

#[test]
fn a_repository_that_cannot_be_read_is_named_and_the_others_are_read() {
    let mut world = annotated();
    let config = "[repositories.gone]\nurl = \"/nowhere/at/all\"\npassphrase = { env = \"X\" }\n";
    fs::write(world.path("config.toml"), config).unwrap();
    world.set("STILLPOINT_CONFIG", world.path("config.toml"));
    world.set("X", "a passphrase");
    let rebuilt = world.stillpoint(["catalog", "rebuild", "--json"]);
    let rebuilt = rebuilt.ended(3).json();
    assert_eq!(rebuilt["repositories"][0]["points"], 3, "{rebuilt}");
    let error = rebuilt["repositories"][1]["error"].as_str().unwrap();
    assert!(error.contains("/nowhere/at/all"), "{error}");
}

#[test]
fn a_service_goes_on_with_the_backup_and_its_catalog_is_not_taken_away() {
    let mut world = add_besides(annotated());
    world.stillpoint(["catalog", "backup"]).succeeded();
    let (before, besides) = (knowledge(&world), Besides::of(&world));
    harm(&catalog(&world), Harm::Overwritten);
    world.set("DOCKER_HOST", format!("unix://{}", world.path("no-engine").display()));
    let service = world.start(["serve"]);
    let begun = Instant::now();
    while world.stillpoint(["runs"]).code != Some(0) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{:#?}", service.kill());
    }
    assert_eq!(knowledge(&world), before);
    besides.assert_kept(&world);
    harm(&catalog(&world), Harm::Overwritten);
    world.stillpoint(["catalog", "rebuild"]).failed(1, service.id().to_string());
    service.kill();
    world.stillpoint(["catalog", "rebuild"]).succeeded();
    assert_eq!(knowledge(&world), before);
    besides.assert_kept(&world);
}

#[test]
fn a_rebuild_that_is_killed_anywhere_goes_on() {
    let world = World::with_key_file();
    many_points::add(&world, 1000);
    fs::create_dir(world.path("data")).unwrap();
    backup(&world, "recorded");
    let before = knowledge(&world);
    let mut chance = Chance::new(11);
    for _ in 0..12 {
        harm(&catalog(&world), Harm::Cut);
        let running: Running = world.start(["catalog", "rebuild"]);
        sleep(Duration::from_millis(chance.below(500)));
        running.kill();
        world.stillpoint(["catalog", "rebuild"]).succeeded();
        assert_eq!(knowledge(&world), before);
    }
}

#[test]
fn a_full_disk_below_the_catalog_is_named_and_loses_nothing() {
    let mut world = World::new();
    fs::create_dir(world.path("small")).unwrap();
    let small = world.path("small");
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&small));
    world.set("STILLPOINT_STATE_DIR", small.join("state"));
    world.set("STILLPOINT_CACHE_DIR", world.path("cache"));
    fs::create_dir(world.path("data")).unwrap();
    backup(&world, "first");
    let before = knowledge(&world);
    let filler = small.join("filler");
    let fill = || drop(fs::write(&filler, vec![1; 2 << 20]));
    fill();
    let arguments = ["backup", "--path", "data"];
    world.stillpoint(arguments).failed(1, "no space left");
    world.stillpoint(["catalog", "rebuild"]).failed(1, "no space left");
    fs::remove_file(&filler).unwrap();
    assert_eq!(knowledge(&world).0, before.0);
    harm(&small.join("state/catalog.sqlite"), Harm::Overwritten);
    fill();
    world.stillpoint(["catalog", "rebuild"]).failed(1, "pace left");
    fs::remove_file(&filler).unwrap();
    world.stillpoint(["catalog", "rebuild"]).succeeded();
    assert_eq!(knowledge(&world), before);
    run(Command::new("umount").arg(OsStr::new("--lazy")).arg(&small));
}

/// `benches/rebuild.sh` runs it.
#[test]
#[ignore = "it takes a minute, and says how long"]
#[allow(clippy::print_stdout, reason = "somebody wants to see it")]
fn ten_thousand_points() {
    let mut world = World::empty_inside(Path::new("/dev/shm"));
    world.unset("STILLPOINT_PASSPHRASE");
    world.set("STILLPOINT_KEY_FILE", world.path("key"));
    world.stillpoint(["init", "--new-key-file", "key", "--no-recovery-key"]).succeeded();
    many_points::add(&world, 10_000);
    let begun = Instant::now();
    let rebuilt = world.json(["catalog", "rebuild"]);
    println!("10,000 points of 16 volumes were read in {:.1} s", begun.elapsed().as_secs_f64());
    assert_eq!(rebuilt["repositories"][0]["points"], 10_000);
    let begun = Instant::now();
    world.stillpoint(["points"]).succeeded();
    println!("they are listed in {:.1} s", begun.elapsed().as_secs_f64());
    let size = fs::metadata(catalog(&world)).unwrap().len();
    println!("the catalog has {} MiB", size >> 20);
}

/// What SQLite has by default.
const PAGE_BYTES: u64 = 4096;
const FILE_HEAD_BYTES: u64 = 100;
