//! Every kind of key unlocks a repository; keys are added, rotated and removed, and never the last.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use tests::world::{PASSPHRASE, World};

const PASSPHRASE_VARIABLE: &str = "STILLPOINT_PASSPHRASE";
const RECOVERY_VARIABLE: &str = "STILLPOINT_RECOVERY_KEY";

#[test]
fn each_key_alone_restores_on_another_machine() {
    let (mut world, recovery) = with_recovery();
    add_key_file(&world, "key");
    back_up(&world);
    world.unset(PASSPHRASE_VARIABLE);
    world.stillpoint(["points"]).failed(1, "passphrase");

    let restore = |world: &World, more: &[&str], target: &str| {
        let arguments =
            ["restore", "latest", "--to", target].into_iter().chain(more.iter().copied());
        world.stillpoint(arguments).succeeded();
        let data = world.path("data");
        let restored = world.path(target).join(data.strip_prefix("/").unwrap());
        tests::compare::assert_same(&data, &restored);
    };
    world.set("STILLPOINT_STATE_DIR", world.path("another"));
    restore(&world, &["--key-file", "key"], "by-key-file");
    world.set("STILLPOINT_STATE_DIR", world.path("a-third"));
    // As somebody types it who has it on paper.
    world.set(RECOVERY_VARIABLE, recovery.to_lowercase().replace('-', " "));
    restore(&world, &[], "by-recovery-key");
}

#[test]
fn a_key_comes_from_the_flag_then_the_environment_then_the_file() {
    let mut world = World::empty();
    world.unset(PASSPHRASE_VARIABLE);
    world.stillpoint(["init", "--new-key-file", "key", "--no-recovery-key"]).succeeded();
    let config = world.path("config.toml");
    let key = world.path("key");
    let [url, file] = [&world.repository(), &key].map(|path| Value::from(path.to_str()));
    fs::write(&config, format!("[repositories.a]\nurl = {url}\nkey_file = {file}\n")).unwrap();
    world.stillpoint(["points"]).failed(1, "no passphrase");
    world.set("STILLPOINT_CONFIG", &config);
    world.stillpoint(["points"]).succeeded();
    world.set(PASSPHRASE_VARIABLE, PASSPHRASE);
    world.stillpoint(["points"]).failed(12, "passphrase");
    world.set("STILLPOINT_KEY_FILE", &key);
    world.stillpoint(["points"]).succeeded();
    world.set("STILLPOINT_RECOVERY_KEY_COMMAND", "echo 0");
    world.stillpoint(["points"]).failed(1, "1 characters instead of 40");
    world.stillpoint(["points", "--key-file", "key"]).succeeded();
    world.stillpoint(["points", "--key-file", "no-such-key"]).failed(1, "no-such-key");
}

#[test]
fn a_repository_is_made_with_a_key_file_that_exists_and_without_a_recovery_key() {
    let mut world = World::empty();
    world.stillpoint(["init", "--new-key-file", "key"]).succeeded();
    world.set("STILLPOINT_REPO", world.path("second"));
    let made = world.json(["init", "--key-file", "key", "--no-recovery-key"]);
    assert_eq!(made["recovery_key"], Value::Null, "{made}");
    assert_eq!(kinds(&world.json(["key", "list", "--key-file", "key"])), ["key-file"]);
    // The passphrase in the environment was not needed, and opens nothing.
    world.stillpoint(["points"]).failed(12, "opens with a passphrase");
    world.stillpoint(["init", "--new-key-file", "another"]).failed(1, "second");
    assert!(!world.path("another").exists());
}

#[test]
fn a_rotated_key_opens_no_more_and_nothing_is_stored_again() {
    let (mut world, old) = with_recovery();
    back_up(&world);
    let slot = slot_of(&world, "recovery");
    let added = world.json(["key", "rotate", &slot[..6], "--recovery", "--label", "in the safe"]);
    assert_eq!(added["replaces"], slot.as_str(), "{added}");
    let rows = world.json(["key", "list"]);
    assert_eq!(kinds(&rows), ["passphrase", "recovery"]);
    assert!(rows.as_array().unwrap().iter().any(|row| row["label"] == "in the safe"), "{rows}");

    world.set(RECOVERY_VARIABLE, &old);
    world.stillpoint(["points"]).failed(12, "recovery key");
    world.set(RECOVERY_VARIABLE, added["recovery_key"].as_str().unwrap());
    world.stillpoint(["points"]).succeeded();
    // The one that unlocks, by itself; the label stays.
    let again = world.json(["key", "rotate", &slot_of(&world, "recovery"), "--recovery"]);
    assert_eq!(again["label"], "in the safe", "{again}");
    world.set(RECOVERY_VARIABLE, again["recovery_key"].as_str().unwrap());
    let report = world.json(["backup", "--path", "data"]);
    assert_eq!(report["statistics"]["changed"], 0, "{report}");
}

#[test]
fn passphrases_are_added_from_a_file_and_from_the_environment() {
    let mut world = World::new();
    fs::write(world.path("new"), "from a file\n").unwrap();
    world.set("OTHER", "from the environment");
    world.stillpoint(["key", "add", "--passphrase-file", "new"]).succeeded();
    world.stillpoint(["key", "add", "--passphrase-env", "OTHER"]).succeeded();
    world.stillpoint(["key", "add", "--passphrase-env", "NOT_SET"]).failed(1, "NOT_SET");
    for passphrase in ["from a file", "from the environment", PASSPHRASE] {
        world.set(PASSPHRASE_VARIABLE, passphrase);
        world.stillpoint(["points"]).succeeded();
    }
}

#[test]
fn the_last_key_stays_and_the_one_in_use_is_removed_only_by_force() {
    let world = World::empty();
    world.stillpoint(["init", "--no-recovery-key"]).succeeded();
    let own = slot_of(&world, "passphrase");
    for arguments in [&["key", "remove", &own][..], &["key", "remove", &own, "--force"]] {
        world.stillpoint(arguments).failed(1, "the last one");
    }
    add_key_file(&world, "key");
    world.stillpoint(["key", "remove", &own]).failed(1, "unlocked with");
    world.stillpoint(["key", "remove", "0123456789abcdef"]).failed(1, "0123456789abcdef");
    world.stillpoint(["key", "remove", ""]).failed(1, "no key slot");
    assert_eq!(kinds(&world.json(["key", "list"])).len(), 2);

    let removed = world.json(["key", "remove", &own, "--force"]);
    assert_eq!(removed["removed"], own.as_str(), "{removed}");
    world.stillpoint(["points"]).failed(12, "opens with a passphrase");
    world.stillpoint(["points", "--key-file", "key"]).succeeded();
}

#[test]
fn a_slot_that_was_damaged_is_shown_and_harms_nobody() {
    let (world, _) = with_recovery();
    let slot = slot_of(&world, "recovery");
    let path = world.repository().join("key").join(&slot);
    let text = fs::read_to_string(&path).unwrap().replace("\"label\": \"\"", "\"label\": \"x\"");
    fs::remove_file(&path).unwrap();
    fs::write(&path, text).unwrap();
    let rows = world.json(["key", "list"]);
    let row = rows.as_array().unwrap().iter().find(|row| row["slot"] == slot.as_str()).unwrap();
    assert_eq!(row["state"], "damaged", "{rows}");
    world
        .stillpoint(["key", "remove", &slot_of(&world, "passphrase"), "--force"])
        .failed(1, "last");
    world.stillpoint(["key", "remove", &slot]).succeeded();
}

#[test]
fn a_key_file_is_refused_when_others_can_read_it_or_it_is_none() {
    let world = World::new();
    add_key_file(&world, "key");
    let mode = fs::metadata(world.path("key")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    world.stillpoint(["key", "add", "--new-key-file", "key"]).failed(1, "`key` already");
    fs::set_permissions(world.path("key"), Permissions::from_mode(0o640)).unwrap();
    world.stillpoint(["points", "--key-file", "key"]).failed(1, "0640");
    fs::set_permissions(world.path("key"), Permissions::from_mode(0o400)).unwrap();
    world.stillpoint(["points", "--key-file", "key"]).succeeded();

    let text = fs::read_to_string(world.path("key")).unwrap();
    for (content, what) in [(&text[..40], "damaged"), ("a passphrase\n", "no key file")] {
        let path = world.path("other");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        world.stillpoint(["points", "--key-file", "other"]).failed(1, what);
    }
}

#[test]
fn a_mistyped_recovery_key_is_told_from_a_wrong_one() {
    let (mut world, recovery) = with_recovery();
    let mut mistyped = recovery.clone();
    let other = if &recovery[13..14] == "Z" { "Y" } else { "Z" };
    mistyped.replace_range(13..14, other);
    world.set(RECOVERY_VARIABLE, mistyped);
    world.stillpoint(["points"]).failed(1, "a mistake in group 3");
    world.set(RECOVERY_VARIABLE, &recovery[1..]);
    world.stillpoint(["points"]).failed(1, "39 characters");
    let (_elsewhere, foreign) = with_recovery();
    world.set(RECOVERY_VARIABLE, foreign);
    world.stillpoint(["points"]).failed(12, world.repository().to_string_lossy());
}

fn with_recovery() -> (World, String) {
    let world = World::empty();
    let made = world.json(["init"]);
    let recovery = made["recovery_key"].as_str().unwrap().to_owned();
    (world, recovery)
}

fn add_key_file(world: &World, name: &str) {
    world.stillpoint(["key", "add", "--new-key-file", name]).succeeded();
}

fn back_up(world: &World) {
    fs::create_dir(world.path("data")).unwrap();
    fs::write(world.path("data/file"), tests::every_kind::noise(4, 100_000)).unwrap();
    world.stillpoint(["backup", "--path", "data"]).succeeded();
}

fn slot_of(world: &World, kind: &str) -> String {
    let rows = world.json(["key", "list"]);
    let row = rows.as_array().unwrap().iter().find(|row| row["kind"] == kind);
    row.unwrap_or_else(|| panic!("no {kind}: {rows}"))["slot"].as_str().unwrap().to_owned()
}

fn kinds(rows: &Value) -> Vec<&str> {
    let mut kinds: Vec<_> =
        rows.as_array().unwrap().iter().map(|row| row["kind"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    kinds
}
