//! The command line beside the service, which it has do what both can.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tests::chance::Chance;
use tests::directory::run;

use super::{Served, until};

/// The runs that somebody asked the service for, the newest first.
fn asked(served: &Served) -> Vec<Value> {
    let runs = served.get("/api/v1/runs")["items"].as_array().unwrap().clone();
    runs.into_iter().filter(|run| !run["requested_by"].is_null()).collect()
}

#[test]
fn a_backup_is_made_by_the_service_that_runs() {
    let served = Served::start();
    let words = ["backup", "files", "--tag", "release", "--reason", "before the upgrade"];
    let report = served.world.json(words);
    let runs = asked(&served);
    assert_eq!(runs.len(), 1);
    assert_eq!((&runs[0]["point"], &runs[0]["reason"]), (&report["point"], &json!(words[5])));
    let shown = served.get(&format!("/api/v1/runs/{}", runs[0]["id"]));
    assert_eq!(shown["report"], report);
    let point = &served.world.json(["points"])[0];
    assert_eq!((&point["point"], &point["tags"]), (&report["point"], &json!(["release"])));
    // As people see it.
    let made = served.world.stillpoint(["backup", "files"]);
    made.succeeded();
    assert!(made.stdout.contains("restore point") && made.stdout.contains("of files"), "{made:?}");
    assert!(made.stderr.contains("the service backs it up, as run"), "{made:?}");
    assert_eq!(asked(&served).len(), 2);
}

#[test]
fn what_the_service_cannot_do_is_done_without_it() {
    let mut served = Served::start();
    served.world.stillpoint(["backup", "files", "--no-service"]).succeeded();
    served.world.stillpoint(["backup", "files", "--no-hooks"]).succeeded();
    let other = served.world.path("elsewhere").display().to_string();
    served.world.stillpoint(["init", "--repo", &other]).succeeded();
    served.world.stillpoint(["backup", "files", "--repo", &other]).succeeded();
    served.world.stillpoint(["backup", "nothing"]).failed(1, "nothing");
    // Another engine may have another application of that name.
    served.world.stillpoint(["backup", "files", "--docker-host", "unix:///nowhere"]).succeeded();
    assert_eq!(asked(&served).len(), 0);
    // Nobody listens, or answers.
    served.kill();
    served.world.stillpoint(["backup", "files"]).succeeded();
    assert_eq!(served.world.json(["points"]).as_array().unwrap().len(), 4);
}

#[test]
fn what_fails_in_the_service_is_told_as_if_it_had_failed_here() {
    let served = Served::start();
    let outcomes = served.world.path("repository/out");
    fs::rename(&outcomes, served.world.path("aside")).unwrap_or_default();
    fs::write(&outcomes, "no directory").unwrap();
    let here = served.world.stillpoint(["backup", "files", "--no-service"]);
    let there = served.world.stillpoint(["backup", "files"]);
    here.failed(1, "out");
    there.failed(1, "out");
    let lines = |text: &str| text.lines().rev().take(3).map(ToOwned::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&here.stderr), lines(&there.stderr));
    let run = served.get(&format!("/api/v1/runs/{}", asked(&served)[0]["id"]));
    assert_eq!((&run["outcome"], &run["report"]["class"]), (&json!("failed"), &json!("general")));
}

#[test]
fn a_command_that_is_interrupted_calls_its_run_off_and_one_that_waits_waits_for_the_next_service() {
    let mut served = Served::start();
    let noise = served.world.path("files/noise");
    fs::write(&noise, Chance::new(21).noise(256 << 20)).unwrap();
    let command = served.world.start(["backup", "files"]);
    until("it is stored", || {
        asked(&served).iter().any(|run| run["state"] == "running").then_some(())
    });
    run(Command::new("kill").args(["-s", "INT", &command.id().to_string()]));
    command.finish().ended(130);
    let ended =
        until("it has ended", || asked(&served).into_iter().find(|run| run["state"] == "ended"));
    assert_eq!(ended["outcome"], "cancelled", "{ended}");

    let command = served.world.start(["backup", "files"]);
    until("it goes on", || {
        asked(&served).iter().any(|run| run["state"] == "running").then_some(())
    });
    served.kill();
    served.begin();
    command.finish().succeeded();
    let last = &asked(&served)[0];
    assert_eq!((&last["outcome"], &last["attempts"]), (&json!("succeeded"), &json!(2)), "{last}");
}
