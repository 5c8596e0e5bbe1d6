//! Another configuration, put in the place of the one there is.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
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
    let same = world.stillpoint(["apply", "-f", "new.toml"]);
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
    }
    fs::write(world.path("new.toml"), policies(&world, &["first", "second"], "")).unwrap();
    let applied = world.json(["apply", "-f", "new.toml", "--reason", "more often"]);
    assert_eq!(applied["service"], "follows", "{applied}");
    let (_, known) = get(&socket, "/api/v1/policies").unwrap();
    assert!(known.contains("second"), "{known}");
    assert_eq!(world.json(["audit"])[0]["reason"], "more often");
    // The service cannot change where its state is.
    let more = format!("[repositories.other]\nurl = \"{}\"\n", world.path("other").display());
    let wrong = policies(&world, &["first"], &more)
        + "[policies.third]\nschedules = [\"daily\"]\nrepositories = [\"other\"]\n";
    fs::write(world.path("wrong.toml"), wrong.replace("key_file", "#")).unwrap();
    let refused = world.stillpoint(["apply", "-f", "wrong.toml", "--json"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.json()["service"]["refuses"].is_string(), "{refused:?}");
    assert!(get(&socket, "/api/v1/policies").unwrap().1.contains("second"), "as before");
    drop(service);
}
