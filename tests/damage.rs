//! What is damaged, how, and what is done next: as a table of what each command then answers.
//!
//! Whatever a row says, no restore ever gives a wrong byte, and none of the commands makes it worse.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use tests::chance::Chance;
use tests::directory;
use tests::world::World;

/// How an object is damaged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Flipped,
    Truncated,
    Emptied,
    Removed,
    /// It and another object of its kind have changed places.
    Swapped,
    /// It is the object of its kind in another repository.
    Foreign,
}
use Kind::{Emptied, Flipped, Foreign, Removed, Swapped, Truncated};

const ALTERED: [Kind; 5] = [Flipped, Truncated, Emptied, Swapped, Foreign];
const ALL: [Kind; 6] = [Flipped, Truncated, Emptied, Swapped, Foreign, Removed];
/// Where there is no other object of its kind.
const LONELY: [Kind; 4] = [Flipped, Truncated, Emptied, Foreign];

/// Where.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Descriptor,
    Slot,
    Registration,
    Outcome,
    Segment,
    DataHeader,
    DataFrame,
    DataFooter,
    Data,
    Tree,
    Generation,
    Condemned,
}

/// The exit codes of what is done next, each beginning with the damage.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Next {
    /// Restoring the first point, whose object is damaged.
    restore: i32,
    /// Restoring the second point.
    other: i32,
    check: i32,
    verify: i32,
    backup: i32,
    /// A check with all data after that backup.
    backup_check: i32,
    repair: i32,
    /// A check with all data after the repair.
    repair_check: i32,
    /// A check with all data after the repair and a backup of the first point's files.
    healed_check: i32,
}

/// Nothing was damaged.
const WHOLE: Next = Next {
    restore: 0,
    other: 0,
    check: 0,
    verify: 0,
    backup: 0,
    backup_check: 0,
    repair: 0,
    repair_check: 0,
    healed_check: 0,
};
/// The repository cannot be opened.
const SHUT: Next = Next {
    restore: 1,
    other: 1,
    check: 1,
    verify: 1,
    backup: 1,
    backup_check: 1,
    repair: 1,
    repair_check: 1,
    healed_check: 1,
};
/// There is none to open.
const GONE: Next = Next {
    restore: 10,
    other: 10,
    check: 10,
    verify: 10,
    backup: 10,
    backup_check: 10,
    repair: 10,
    repair_check: 10,
    healed_check: 10,
};
/// Somebody has been there, and it does not matter to what is stored.
const SEEN: Next =
    Next { check: 22, backup_check: 22, repair: 22, repair_check: 22, healed_check: 22, ..WHOLE };
/// A repair makes up for it.
const MENDED: Next = Next { check: 21, backup_check: 21, ..WHOLE };
/// Files are lost, until a backup stores them once more.
const LOST: Next = Next {
    restore: 3,
    other: 0,
    check: 20,
    verify: 20,
    backup: 0,
    backup_check: 20,
    repair: 20,
    repair_check: 20,
    healed_check: 0,
};

const TABLE: &[(Place, &[Kind], Next)] = &[
    (Place::Descriptor, &LONELY, SHUT),
    (Place::Descriptor, &[Removed], GONE),
    (Place::Slot, &LONELY, SEEN),
    // Whoever holds a key may remove another one.
    (Place::Slot, &[Removed], WHOLE),
    (Place::Registration, &ALTERED, SEEN),
    // A prune clears those of sessions that have ended.
    (Place::Registration, &[Removed], WHOLE),
    (
        Place::Outcome,
        &[Flipped, Truncated, Emptied, Foreign],
        Next { restore: 1, verify: 1, healed_check: 20, ..LOST },
    ),
    // The other point is the one that it was swapped with.
    (
        Place::Outcome,
        &[Swapped],
        Next { restore: 1, other: 1, verify: 1, healed_check: 20, ..LOST },
    ),
    // This machine remembers it.
    (Place::Outcome, &[Removed], Next { restore: 1, verify: 1, ..SEEN }),
    (Place::Segment, &ALTERED, MENDED),
    (Place::Segment, &[Removed], Next { check: 22, backup_check: 22, ..MENDED }),
    (Place::DataHeader, &[Flipped], MENDED),
    (Place::DataFrame, &[Flipped], LOST),
    (Place::DataFooter, &[Flipped], MENDED),
    // A pack of the wrong size does not count, so a backup stores again what is in it.
    (Place::Data, &[Truncated, Emptied, Foreign, Removed], Next { backup_check: 21, ..LOST }),
    (Place::Data, &[Swapped], Next { other: 3, healed_check: 20, ..LOST }),
    (Place::Tree, &[Flipped], LOST),
    (Place::Tree, &[Truncated, Emptied, Foreign, Removed], Next { backup_check: 21, ..LOST }),
    (Place::Tree, &[Swapped], Next { other: 3, healed_check: 20, ..LOST }),
    (Place::Generation, &LONELY, SEEN),
    (Place::Generation, &[Removed], SEEN),
    // Nobody knows what may be relied on.
    (
        Place::Condemned,
        &[Flipped, Truncated, Emptied, Foreign, Removed],
        Next { backup: 1, repair: 1, ..SEEN },
    ),
];

/// A repository with two points, and another one to take foreign objects from.
struct Base {
    world: World,
    first: Point,
    second: Point,
    foreign: PathBuf,
}

struct Point {
    id: String,
    source: PathBuf,
}

impl Base {
    fn new() -> Self {
        let mut world = World::empty();
        world.unset("STILLPOINT_PASSPHRASE");
        world.set("STILLPOINT_KEY_FILE", world.path("key"));
        // With a recovery key, so that there is a second slot to be damaged.
        world.stillpoint(["init", "--new-key-file", "key"]).succeeded();
        let names = ["first", "second", "spare", "other", "another"];
        for (seed, name) in (0..).zip(names) {
            write_files(&world.path(name), seed);
        }
        // What changed that short a time ago is recorded otherwise than later, and the trees of two
        // backups are to be equal.
        sleep(Duration::from_secs(3));
        // A repair condemns something, so that there is a generation.
        let spare = back_up(&world, "spare");
        let segment = object(&world.repository(), "idx", &spare.id, |_| true);
        flip(&segment, 1, 2);
        world.stillpoint(["repair"]).succeeded();
        let (first, second) = (back_up(&world, "first"), back_up(&world, "second"));
        world.stillpoint(["check", "--read-data"]).succeeded();
        let here = world.repository();
        world.set("STILLPOINT_REPO", world.path("foreign"));
        world.set("STILLPOINT_KEY_FILE", world.path("foreign-key"));
        world.stillpoint(["init", "--new-key-file", "foreign-key"]).succeeded();
        let other = back_up(&world, "other");
        flip(&object(&world.path("foreign"), "idx", &other.id, |_| true), 1, 2);
        world.stillpoint(["repair"]).succeeded();
        back_up(&world, "another");
        world.set("STILLPOINT_REPO", here);
        world.set("STILLPOINT_KEY_FILE", world.path("key"));
        let foreign = world.path("foreign");
        Self { world, first, second, foreign }
    }

    /// Copies of the repository and of what this machine knows of it, and that for all commands.
    fn copy(&mut self) -> PathBuf {
        let (copy, original) = (self.world.path("copy"), self.world.path("repository"));
        for (from, to) in [(original, copy.clone()), (self.world.state(), self.world.path("known"))]
        {
            if to.exists() {
                fs::remove_dir_all(&to).unwrap();
            }
            directory::run(std::process::Command::new("cp").arg("-a").arg(from).arg(to));
        }
        self.world.set("STILLPOINT_REPO", &copy);
        self.world.set("STILLPOINT_STATE_DIR", self.world.path("known"));
        copy
    }

    fn code(&self, arguments: &[&str]) -> i32 {
        let output = self.world.stillpoint(arguments);
        output.code.unwrap_or_else(|| panic!("{arguments:?}: {output:?}"))
    }

    // Restores a point; whatever comes back is as it was, and with exit code 0 it is everything.
    fn restore(&self, point: &Point) -> i32 {
        let target = self.world.path("target");
        let code = self.code(&["restore", &point.id, "--to", "target"]);
        let restored = target.join(point.source.strip_prefix("/").unwrap());
        let (found, wanted) = (contents(&restored), contents(&point.source));
        for (path, bytes) in &found {
            assert!(wanted.get(path) == Some(bytes), "{} has wrong bytes", path.display());
        }
        assert!(code != 0 || found == wanted, "not everything came back");
        if target.exists() {
            fs::remove_dir_all(target).unwrap();
        }
        code
    }

    fn back_up_again(&self) -> i32 {
        let source = self.first.source.to_str().unwrap();
        self.code(&["backup", "--name", "first", "--path", source])
    }

    fn answers(&mut self, place: Place, kind: Kind) -> Next {
        let fresh = |base: &mut Self| {
            let repository = base.copy();
            damage(base, &repository, place, kind);
        };
        fresh(self);
        let all = ["check", "--read-data"];
        let (restore, other) = (self.restore(&self.first), self.restore(&self.second));
        let (check, verify) = (self.code(&all), self.code(&["verify", &self.first.id]));
        let (backup, backup_check) = (self.back_up_again(), self.code(&all));
        fresh(self);
        let (repair, repair_check) = (self.code(&["repair"]), self.code(&all));
        // What could be restored before can be restored after.
        assert!(self.restore(&self.first) <= restore, "{place:?} {kind:?}: a repair lost files");
        assert!(self.restore(&self.second) <= other, "{place:?} {kind:?}: a repair lost files");
        self.back_up_again();
        let healed_check = self.code(&all);
        if healed_check == 0 {
            assert_eq!(self.restore(&self.first), 0, "{place:?} {kind:?}: it is healed");
        }
        Next {
            restore,
            other,
            check,
            verify,
            backup,
            backup_check,
            repair,
            repair_check,
            healed_check,
        }
    }
}

fn rows(places: &[Place]) {
    let mut base = Base::new();
    let rows = TABLE.iter().filter(|(place, ..)| places.contains(place));
    let mut wrong = Vec::new();
    for (place, kinds, wanted) in rows {
        for kind in *kinds {
            let found = base.answers(*place, *kind);
            if found != *wanted {
                wrong.push(format!("{place:?} {kind:?}\n  wanted {wanted:?}\n  found  {found:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_is_as_large_as_it_should_be() {
    let kinds = |place: Place| TABLE.iter().filter(move |row| row.0 == place).flat_map(|row| row.1);
    for place in [Place::Registration, Place::Outcome, Place::Segment] {
        assert_eq!(kinds(place).count(), ALL.len(), "{place:?}");
    }
    let cases: usize = TABLE.iter().map(|(_, kinds, _)| kinds.len()).sum();
    assert!(cases >= 50, "{cases}");
}

#[test]
fn the_door_is_damaged() {
    rows(&[Place::Descriptor, Place::Slot]);
}

#[test]
fn a_registration_is_damaged() {
    rows(&[Place::Registration]);
}

#[test]
fn an_outcome_is_damaged() {
    rows(&[Place::Outcome]);
}

#[test]
fn a_segment_is_damaged() {
    rows(&[Place::Segment]);
}

#[test]
fn part_of_a_pack_is_damaged() {
    rows(&[Place::DataHeader, Place::DataFrame, Place::DataFooter]);
}

#[test]
fn a_data_pack_is_damaged() {
    rows(&[Place::Data]);
}

#[test]
fn a_tree_pack_is_damaged() {
    rows(&[Place::Tree]);
}

#[test]
fn a_generation_is_damaged() {
    rows(&[Place::Generation, Place::Condemned]);
}

// All but the first have a file more, so that no two packs have the same size.
fn write_files(folder: &Path, seed: u64) {
    fs::create_dir_all(folder.join("inner")).unwrap();
    let mut chance = Chance::new(seed);
    let files = [("small", 300), ("inner/large", 200 << 10), ("inner/text", 5000)];
    let more = (1..=seed).map(|number| (format!("more-{number}"), 100));
    let files = files.map(|(path, length)| (path.to_owned(), length)).into_iter().chain(more);
    for (path, length) in files {
        fs::write(folder.join(path), chance.noise(length)).unwrap();
    }
}

fn back_up(world: &World, name: &str) -> Point {
    let source = world.path(name);
    let report = world.json(["backup", "--name", name, "--path", source.to_str().unwrap()]);
    Point { id: report["point"].as_str().unwrap().to_owned(), source }
}

fn damage(base: &Base, repository: &Path, place: Place, kind: Kind) {
    let find = |root: &Path, point: Option<&Point>| locate(root, place, point);
    let object = find(repository, Some(&base.first));
    match kind {
        Flipped => match place {
            Place::DataHeader => flip_at(&object, 20),
            Place::DataFrame => flip_at(&object, 200),
            Place::Tree => flip_at(&object, 100),
            Place::DataFooter => flip_at(&object, length(&object) - 40),
            _ => flip(&object, 1, 2),
        },
        Truncated => {
            let bytes = fs::read(&object).unwrap();
            replace(&object, &bytes[..bytes.len() / 2]);
        }
        Emptied => replace(&object, b""),
        Removed => fs::remove_file(object).unwrap(),
        Swapped => {
            let other = find(repository, Some(&base.second));
            let (one, two) = (fs::read(&object).unwrap(), fs::read(&other).unwrap());
            replace(&object, &two);
            replace(&other, &one);
        }
        Foreign => replace(&object, &fs::read(find(&base.foreign, None)).unwrap()),
    }
}

// The object that is meant: of this point, or of any.
fn locate(root: &Path, place: Place, point: Option<&Point>) -> PathBuf {
    let id = point.map_or("", |point| &point.id);
    let has = |path: &Path| path.to_string_lossy().contains(id);
    let longest = |paths: Vec<PathBuf>, least: bool| {
        let by_length = |path: &PathBuf| length(path);
        let chosen = if least {
            paths.into_iter().min_by_key(by_length)
        } else {
            paths.into_iter().max_by_key(by_length)
        };
        chosen.expect("a pack")
    };
    let below = |folder: &str| -> Vec<PathBuf> {
        files(&root.join(folder)).into_iter().filter(|path| has(path)).collect()
    };
    match place {
        Place::Descriptor => root.join("config"),
        // The recovery key's.
        Place::Slot => {
            let is_recovery =
                |path: &PathBuf| fs::read_to_string(path).unwrap().contains("recovery");
            files(&root.join("key")).into_iter().find(is_recovery).unwrap()
        }
        Place::Registration => below("ses").remove(0),
        Place::Outcome => below("out").remove(0),
        Place::Segment => below("idx").remove(0),
        // The files are longer than what is said about them.
        Place::Data | Place::DataHeader | Place::DataFrame | Place::DataFooter => {
            longest(below("pack"), false)
        }
        Place::Tree => longest(below("pack"), true),
        Place::Generation => root.join("gen/1"),
        Place::Condemned => root.join("cnd/1"),
    }
}

fn object(root: &Path, folder: &str, id: &str, which: impl Fn(&Path) -> bool) -> PathBuf {
    let mut found = files(&root.join(folder));
    found.retain(|path| path.to_string_lossy().contains(id) && which(path));
    found.remove(0)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let relative = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap();
        (path.strip_prefix(folder).unwrap().to_owned(), bytes)
    };
    files(folder).into_iter().map(relative).collect()
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

// Flips a bit at this share of the length.
fn flip(path: &Path, part: u64, of: u64) {
    flip_at(path, length(path) * part / of);
}

fn flip_at(path: &Path, at: u64) {
    let mut bytes = fs::read(path).unwrap();
    bytes[usize::try_from(at).unwrap()] ^= 1;
    replace(path, &bytes);
}

// Objects are read-only files.
fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}
