//! What is lost in one repository and still in another one comes back from there.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tests::chance::Chance;
use tests::directory;
use tests::world::{Output, World};

const PAGE: usize = 4096;
const FROM_OTHER: [&str; 4] = ["--from-repository", "other", "--from-key-file", "other-key"];

#[test]
fn changed_pages_of_a_file_come_back_from_a_repository_with_other_keys() {
    let world = two_repositories();
    let file = write(&world, "data", 8 << 20);
    back_up(&world, "data", &[]);
    change_pages(&file);
    let point = back_up(&world, "data", &[]);
    back_up(&world, "data", &IN_OTHER);
    lose(&world, &point, |packs| packs[..1].to_vec());
    assert_eq!(lost(&world.stillpoint(["check", "--json"]).ended(20).json()["findings"]), ["file"]);

    // They are no run of the file, so cutting it does not make that chunk.
    let report = world.stillpoint(["repair", "--from", "data", "--json"]).ended(20).json();
    assert_eq!(report["healed"], 0);
    let report = repair(&world, &FROM_OTHER).succeeded().json();
    assert!(report["healed"].as_u64() > Some(0), "{report}");
    world.stillpoint(["check", "--read-data"]).succeeded();
    world.stillpoint(["verify", &point]).succeeded();
}

#[test]
fn a_file_comes_back_from_another_path_of_another_point() {
    let mut world = two_repositories();
    let file = write(&world, "data", 3 << 20);
    let point = back_up(&world, "data", &[]);
    fs::create_dir_all(world.path("elsewhere/below")).unwrap();
    fs::rename(&file, world.path("elsewhere/below/renamed")).unwrap();
    back_up(&world, "elsewhere", &IN_OTHER);
    lose(&world, &point, |packs| packs[..1].to_vec());
    world.stillpoint(["check"]).ended(20);

    // As people of restic spell it; the key is where the environment says.
    world.set("STILLPOINT_FROM_KEY_FILE", world.path("other-key"));
    let plan = repair(&world, &["--from-repo", "other", "--plan"]).ended(20).json();
    assert_eq!(lost(&plan["report"]["findings"]), ["file"]);
    world.stillpoint(["check"]).ended(20);
    let report = repair(&world, &["--from-repo", "other"]).succeeded().json();
    assert!(report["healed"].as_u64() > Some(0), "{report}");
    world.stillpoint(["check", "--read-data"]).succeeded();
    world.stillpoint(["verify", &point]).succeeded();
}

#[test]
fn a_copy_of_the_repository_gives_back_directories_too() {
    let world = two_repositories();
    write(&world, "data", 3 << 20);
    let point = back_up(&world, "data", &[]);
    directory::run(Command::new("cp").arg("-a").arg(world.repository()).arg(world.path("copy")));
    lose(&world, &point, <[PathBuf]>::to_vec);
    world.stillpoint(["check"]).ended(20);
    let report = repair(&world, &["--from-repository", "copy"]).succeeded().json();
    assert_eq!(report["left"]["findings"], Value::Array(Vec::new()));
    world.stillpoint(["check", "--read-data"]).succeeded();
    world.stillpoint(["verify", &point]).succeeded();
}

#[test]
fn what_the_other_repository_cannot_give_is_named() {
    let world = two_repositories();
    write(&world, "data", 3 << 20);
    let point = back_up(&world, "data", &[]);
    back_up(&world, "data", &IN_OTHER);
    world.stillpoint(["repair", "--from-repository", "other"]).failed(12, "other");
    world.stillpoint(["repair", "--from-repository", "nowhere"]).failed(10, "nowhere");
    // Directories name chunks, and the other one has other names for them.
    lose(&world, &point, |packs| packs[packs.len() - 1..].to_vec());
    let report = repair(&world, &FROM_OTHER).ended(20).json();
    assert_eq!(report["left"]["findings"][0]["kind"], "lost-file", "{report}");
    assert_eq!(report["healed"], 0);
    // In another one's files, too, only what was there is found.
    fs::remove_file(world.path("data/file")).unwrap();
    write(&world, "data", 2 << 20);
    let point = back_up(&world, "data", &[]);
    lose(&world, &point, |packs| packs[..1].to_vec());
    let report = repair(&world, &FROM_OTHER).ended(20).json();
    assert!(lost(&report["left"]["findings"]).contains(&"file".to_owned()), "{report}");
}

const IN_OTHER: [&str; 4] = ["--repo", "other", "--key-file", "other-key"];

fn two_repositories() -> World {
    let world = World::with_key_file();
    let init = ["init", "--repo", "other", "--new-key-file", "other-key", "--no-recovery-key"];
    world.stillpoint(init).succeeded();
    world
}

fn write(world: &World, directory: &str, length: usize) -> PathBuf {
    let file = world.path(directory).join("file");
    fs::create_dir_all(world.path(directory)).unwrap();
    fs::write(&file, Chance::new(length as u64).noise(length)).unwrap();
    file
}

fn change_pages(file: &Path) {
    let file = fs::File::options().write(true).open(file).unwrap();
    for (number, page) in Chance::new(7).noise(40 * PAGE).chunks(PAGE).enumerate() {
        file.write_all_at(page, (number * 50 * PAGE) as u64).unwrap();
    }
}

fn back_up(world: &World, directory: &str, more: &[&str]) -> String {
    let arguments = ["backup", "--name", "a", "--path", directory];
    let report = world.json(arguments.iter().chain(more));
    report["point"].as_str().unwrap().to_owned()
}

fn repair(world: &World, more: &[&str]) -> Output {
    world.stillpoint(["repair", "--json"].iter().chain(more))
}

// Removes the packs of a point that are chosen; the data comes before the tree, which is shorter.
fn lose(world: &World, point: &str, choose: impl Fn(&[PathBuf]) -> Vec<PathBuf>) {
    let folder = fs::read_dir(world.repository().join("pack").join(point)).unwrap();
    let mut packs: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    packs.sort_by_key(|pack| std::cmp::Reverse(fs::metadata(pack).unwrap().len()));
    assert!(packs.len() > 1, "{packs:?}");
    for pack in choose(&packs) {
        fs::remove_file(pack).unwrap();
    }
}

fn lost(findings: &Value) -> Vec<String> {
    let findings = findings.as_array().unwrap().iter();
    let lost = findings.filter(|finding| finding["kind"] == "lost-file");
    lost.map(|finding| finding["path"].as_str().unwrap().to_owned()).collect()
}
