//! The service as a process of its own: killed, told to end, told to read again.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::chance::Chance;
use tests::directory::Filesystem;
use tests::due::make_due;
use tests::lab;
use tests::world::{Running, World};

use super::{Application, LOG, configuration, leftovers};

const PATIENCE: Duration = Duration::from_mins(1);
const POLICY: &str = "[policies.often]\nschedules = [\"every 1m\"]\n";

/// A policy that is due when the service is killed no more.
const LAST: &str = "last";

/// The policies of which one is due each time that the service is killed.
fn many() -> impl Iterator<Item = String> {
    (0..lab::rounds().unwrap_or(12)).map(|number| format!("p{number}"))
}

fn world(policies: &str) -> World {
    let mut world = World::with_key_file();
    let config = configuration(&world.path(""), policies);
    fs::write(world.path("config.toml"), config).unwrap();
    world.set("STILLPOINT_CONFIG", world.path("config.toml"));
    world
}

pub(super) fn runs(world: &World) -> Vec<Value> {
    world.json(["runs", "--limit", "1000"])["runs"].as_array().unwrap().clone()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        sleep(Duration::from_millis(20));
    }
}

pub(super) fn signal(process: &Running, name: &str) {
    let id = process.id().to_string();
    assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
}

#[test]
fn a_service_that_is_killed_loses_no_run_and_does_none_twice() {
    let filesystem = Filesystem::btrfs(1024);
    let all: Vec<_> = many().chain([LAST.to_owned()]).collect();
    let application = Application::with(filesystem.path(), &all.join(","), LOG);
    let policies =
        all.iter().map(|name| format!("[policies.{name}]\nschedules = [\"every 30m\"]\n"));
    let world = world(&policies.collect::<String>());
    let mut chance = Chance::new(7);
    for policy in many() {
        make_due(&world, &application.name, &policy, 30);
        let service = world.start(["serve"]);
        // It is ready after a twentieth of a second, and a run takes a few.
        sleep(Duration::from_millis(20 + chance.below(400)));
        let _ = service.kill();
    }
    // With what it makes, the service clears away what those left that died.
    make_due(&world, &application.name, LAST, 30);
    let service = world.start(["serve"]);
    let is_over = || {
        let runs = runs(&world);
        runs.iter().any(|run| run["occasion"]["policy"] == LAST)
            && runs.iter().all(|run| run["state"] == "ended")
    };
    wait_until("not every run ends", is_over);
    leftovers::end(service, &world, filesystem.path());
    let (mut runs, points) = (runs(&world), world.json(["points"]));
    // One that came due just now may wait for the next service.
    runs.retain(|run| run["state"] == "ended");
    assert!(runs.len() >= all.len(), "{runs:?}");
    let points = points.as_array().unwrap();
    // One that was killed each time, again and again, says so.
    let (given_up, made): (Vec<Value>, Vec<Value>) =
        runs.iter().cloned().partition(|run| run["end"]["outcome"]["result"] == "failed");
    for run in &given_up {
        let error = run["end"]["outcome"]["error"].as_str().unwrap();
        assert!(error.contains("cut off each time") && run["attempts"].as_u64() > Some(4), "{run}");
    }
    assert!(given_up.len() * 10 < runs.len().max(20), "{given_up:?}");
    assert_eq!(points.len(), made.len(), "{made:?}\n{points:?}");
    for run in &made {
        assert_eq!(run["end"]["outcome"]["result"], "succeeded", "{run}");
        let point = points.iter().find(|point| point["point"] == run["end"]["point"]);
        assert_eq!(point.unwrap()["occasion"], run["occasion"], "{run}");
    }
    let is_again = |run: &&Value| run["attempts"].as_u64() > Some(1);
    let again = runs.iter().filter(is_again).count();
    assert!(again > 0, "no run was cut off: {runs:?}");
    let (runs, given_up) = (runs.len(), given_up.len());
    println!("{runs} runs: {again} were cut off and done again, {given_up} given up in the end");
    assert!(!application.is_frozen());
    world.stillpoint(["check", "--read-data"]).succeeded();
}

#[test]
fn its_manager_is_told_and_no_other_service_may_be_beside_it() {
    let mut world = world(POLICY);
    let socket = UnixDatagram::bind(world.path("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    world.set("NOTIFY_SOCKET", world.path("notify"));
    world.set("WATCHDOG_USEC", "900000");
    let service = world.start(["serve"]);
    let hear = |wanted: &str| {
        let mut buffer = [0; 256];
        loop {
            let length = socket.recv(&mut buffer).unwrap();
            let heard = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if heard.lines().any(|line| line == wanted) {
                return;
            }
        }
    };
    hear("READY=1");
    let begin = Instant::now();
    (0..4).for_each(|_| hear("WATCHDOG=1"));
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    world.unset("NOTIFY_SOCKET");
    world.unset("WATCHDOG_USEC");
    world.stillpoint(["serve"]).failed(1, service.id().to_string());
    signal(&service, "HUP");
    hear("RELOADING=1");
    hear("READY=1");
    fs::write(world.path("config.toml"), "colour = 1").unwrap();
    signal(&service, "HUP");
    sleep(Duration::from_secs(2));
    signal(&service, "TERM");
    hear("STOPPING=1");
    let said = service.finish();
    said.succeeded();
    assert!(said.stderr.contains("the old configuration stays"), "{said:?}");
}

#[test]
fn a_run_that_fails_says_why_and_the_next_is_made() {
    let application = Application::start("often");
    let world = world(POLICY);
    let repository = world.repository();
    fs::rename(&repository, world.path("elsewhere")).unwrap();
    make_due(&world, &application.name, "often", 1);
    let service = world.start(["serve"]);
    let first = || runs(&world).into_iter().next().filter(|run| run["state"] == "ended");
    wait_until("the run does not end", || first().is_some());
    let run = first().unwrap();
    assert_eq!(run["end"]["outcome"]["result"], "failed", "{run}");
    assert!(run["end"]["outcome"]["error"].as_str().unwrap().contains("repository"), "{run}");
    fs::rename(world.path("elsewhere"), &repository).unwrap();
    let succeeded =
        || runs(&world).iter().any(|run| run["end"]["outcome"]["result"] == "succeeded");
    let begin = Instant::now();
    while !succeeded() {
        assert!(begin.elapsed() < 2 * PATIENCE, "no run succeeds");
        sleep(Duration::from_millis(200));
    }
    signal(&service, "TERM");
    service.finish().succeeded();
    let plan = world.json(["forget", "--policy", "often", "--dry-run"]);
    assert_eq!(plan["groups"][0]["application"], application.name.as_str(), "{plan}");
    assert_eq!(plan["points"], Value::Array(Vec::new()), "nothing says that it goes: {plan}");
    world.stillpoint(["forget", "--policy", "nobody's"]).failed(1, "nobody's");
}
