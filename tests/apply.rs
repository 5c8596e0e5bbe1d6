//! Another configuration, put in the place of the one there is.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use tests::http::get;
use tests::world::World;

fn world() -> World {
    let mut world = World::with_key_file();
    world.unset("DOCKER_HOST");
    world.set("STILLPOINT_CONFIG", world.path("config.toml"));
    world
}

fn policies(world: &World, names: &[&str], more: &str) -> String {
    let (repository, key) = (world.repository(), world.path("key"));
    let policy = |name: &&str| format!("[policies.{name}]\nschedules = [\"monthly 15@03:00\"]\n");
    let policies: String = names.iter().map(policy).collect();
    format!(
        "[repositories.main]\nurl = \"{}\"\nkey_file = \"{}\"\n{policies}{more}",
        repository.display(),
        key.display()
    )
}

#[test]
fn a_plan_is_shown_and_what_makes_no_sense_changes_nothing() {
    let world = world();
    let new = world.path("new.toml");
    fs::write(&new, policies(&world, &["first"], "")).unwrap();
    let file = world.path("config.toml");
    let plan = world.json(["apply", "-f", "new.toml", "--plan"]);
    assert_eq!(plan["changes"][1]["table"], "policies", "{plan}");
    assert!(!file.exists());
    world.stillpoint(["apply", "-f", "new.toml"]).succeeded();
    let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!((fs::read(&file).unwrap(), mode), (fs::read(&new).unwrap(), 0o600));
    let same = world.stillpoint(["apply", "-f", "new.toml", "--plan"]);
    assert!(same.succeeded().stdout.contains("the same"), "{same:?}");
    for wrong in ["colour = 1", "[policies.x]\nschedules = [\"now and then\"]"] {
        let before = fs::read(&file).unwrap();
        fs::write(world.path("wrong.toml"), wrong).unwrap();
        world.stillpoint(["apply", "-f", "wrong.toml"]).failed(1, "wrong.toml");
        assert_eq!(fs::read(&file).unwrap(), before);
    }
    world.stillpoint(["apply", "-f", "absent.toml"]).failed(1, "absent.toml");
    // What makes no sense is replaced by what does.
    fs::write(&file, "colour = 1").unwrap();
    world.stillpoint(["policy", "next", "first"]).failed(1, "colour");
    let applied = world.json(["apply", "-f", "new.toml"]);
    assert_eq!(applied["service"], "no_service", "{applied}");
    assert_eq!(fs::read(world.path("config.toml.old")).unwrap(), b"colour = 1");
    world.stillpoint(["policy", "next", "first"]).succeeded();
}

#[test]
fn a_service_that_runs_goes_by_it_or_says_why_not() {
    let world = world();
    fs::write(world.path("config.toml"), policies(&world, &["first"], "")).unwrap();
    let service = world.start(["serve"]);
    let socket = world.path("runtime/stillpoint.sock");
    let begun = Instant::now();
    while !get(&socket, "/livez").is_ok_and(|(status, _)| status == 200) {
        assert!(begun.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(20));
    }
    fs::write(world.path("new.toml"), policies(&world, &["first", "second"], "")).unwrap();
    let applied = world.json(["apply", "-f", "new.toml", "--reason", "more often"]);
    assert_eq!(applied["service"], "follows", "{applied}");
    let (_, known) = get(&socket, "/api/v1/policies").unwrap();
    assert!(known.contains("second"), "{known}");
    assert_eq!(world.json(["audit"])[0]["reason"], "more often");
    // A repository to which it has no key.
    let more = format!("[repositories.other]\nurl = \"{}\"\n", world.path("other").display());
    let wrong = policies(&world, &["first"], &more)
        + "[policies.third]\nschedules = [\"daily\"]\nrepositories = [\"other\"]\n";
    fs::write(world.path("wrong.toml"), wrong.replace("key_file", "#")).unwrap();
    let refused = world.stillpoint(["apply", "-f", "wrong.toml", "--json"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.json()["service"]["refuses"].is_string(), "{refused:?}");
    let stands = |name: &str| fs::read(world.path(name)).unwrap();
    assert_eq!(stands("config.toml"), stands("new.toml"), "it is as it was");
    assert!(get(&socket, "/api/v1/policies").unwrap().1.contains("second"), "as before");
    drop(service);
}

#[test]
fn the_file_keeps_its_owner_and_its_link_and_may_come_through_a_pipe() {
    let world = world();
    let (file, link) = (world.path("real.toml"), world.path("config.toml"));
    fs::write(&file, policies(&world, &["first"], "")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(&file, Some(1234), Some(1234)).unwrap();
    std::os::unix::fs::symlink("real.toml", &link).unwrap();
    let new = policies(&world, &["first", "second"], "");
    let pipe = world.path("pipe");
    tests::directory::run(Command::new("mkfifo").arg(&pipe));
    fs::write(world.path("new.toml"), &new).unwrap();
    let (from, to) = (world.path("new.toml"), pipe.display());
    let script = format!("cat '{}' > '{to}'", from.display());
    let mut writer = Command::new("sh").args(["-c", &script]).spawn().unwrap();
    let applied = world.stillpoint(["apply", "--file", "pipe"]);
    // Where nobody reads, it would wait for ever.
    let _ = writer.kill();
    writer.wait().unwrap();
    applied.succeeded();
    fs::remove_file(world.path("new.toml")).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), new);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let metadata = fs::metadata(&file).unwrap();
    let owner = std::os::unix::fs::MetadataExt::uid(&metadata);
    assert_eq!((metadata.permissions().mode() & 0o777, owner), (0o640, 1234));
    let left: Vec<_> =
        fs::read_dir(world.path("")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains(".new")), "{left:?}");
    // By a path that begins nowhere.
    fs::write(world.path("third.toml"), policies(&world, &["third"], "")).unwrap();
    let mut relative = world;
    relative.set("STILLPOINT_CONFIG", "config.toml");
    relative.stillpoint(["apply", "-f", "third.toml"]).succeeded();
    assert!(fs::read_to_string(file).unwrap().contains("third"));
}

#[test]
fn a_secret_in_the_wrong_place_is_kept_nowhere() {
    let world = world();
    let config = world.path("config.toml");
    fs::write(&config, policies(&world, &["first"], "")).unwrap();
    let service = world.start(["serve"]);
    let socket = world.path("runtime/stillpoint.sock");
    let begun = Instant::now();
    while !get(&socket, "/livez").is_ok_and(|(status, _)| status == 200) {
        assert!(begun.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(20));
    }
    fs::write(&config, "[repositories.main]\nurl = \"/x\"\npassphrase = \"canary-4711\"").unwrap();
    let id = service.id().to_string();
    tests::directory::run(Command::new("kill").args(["-s", "HUP", &id]));
    let events = || get(&socket, "/api/v1/events").unwrap().1;
    while !events().contains("not_reloaded") {
        assert!(begun.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(20));
    }
    let log = fs::read_to_string(service.stderr()).unwrap();
    assert!(!events().contains("canary") && !log.contains("canary"), "{log}");
    world.stillpoint(["apply", "-f", "config.toml"]).failed(1, "config.toml");
    drop(service.kill());
    let state = fs::read_dir(world.state()).unwrap();
    for file in state.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        assert!(!text.contains("canary"), "{}", file.display());
    }
}
