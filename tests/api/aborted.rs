//! Those who ask and do not wait.

use std::fs;
use std::thread;

use serde_json::json;
use tests::http::{Request, connect};

use super::{Served, until};

const ASKED: usize = 10_000;
/// One of so many asks for a backup, and always for the same.
const BACKUP_EACH: usize = 10;
/// One of so many comes over TLS.
const TLS_EACH: usize = 25;

#[test]
fn ten_thousand_requests_that_are_given_up_leave_nothing_behind() {
    let served = Served::start();
    let token = served.token(&["hasty", "--role", "operator"]);
    let body = json!({ "task": "backup", "application": "files" });
    // What the first run opens for good is not left behind by others.
    let first = served.ended(&served.post("/api/v1/runs", &body));
    let backup = Request::new("POST", "/api/v1/runs").header("Idempotency-Key", "one").json(&body);
    let service = served.service.as_ref().unwrap().id();
    let files = || fs::read_dir(format!("/proc/{service}/fd")).unwrap().count();
    let before = files();
    let paths = [
        "/api/v1/applications",
        "/api/v1/points",
        "/api/v1/runs",
        "/api/v1/events",
        "/api/v1/events/stream",
        "/readyz",
        "/metrics",
    ];
    let ask = |worker: usize| {
        for number in (worker..ASKED).step_by(8) {
            let request = if number.is_multiple_of(BACKUP_EACH) {
                backup.clone()
            } else {
                Request::new("GET", paths[number % paths.len()])
            };
            // It takes so many at once, and the next a moment later.
            if number.is_multiple_of(TLS_EACH) {
                let connected = || served.client.connect(served.address).ok();
                let _ = request.token(&token).send(until("a connection", connected));
            } else {
                let stream = until("a connection", || connect(&served.socket()).ok());
                let _ = request.send(&stream);
            }
        }
    };
    thread::scope(|scope| {
        for worker in 0..8 {
            scope.spawn(move || ask(worker));
        }
    });
    // All at once, and each of them is answered: nobody holds a connection to the catalog.
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| served.get("/api/v1/runs"));
        }
    });
    // Whoever waits gets the run that somebody else under his name may have begun, and there is no other.
    let ours = served.ended(&served.ask(&backup));
    let theirs = served.ended(&served.ask_from_elsewhere(&backup.clone().token(&token)));
    assert_eq!(theirs["requested_by"], "token hasty", "{theirs}");
    let mut expected = [&first, &ours, &theirs].map(|run| run["id"].as_i64().unwrap());
    expected.sort_unstable();
    let runs = served.get("/api/v1/runs");
    let runs = runs["items"].as_array().unwrap();
    let mut ids: Vec<i64> = runs.iter().map(|run| run["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, expected, "{runs:?}");
    assert!(runs.iter().all(|run| run["outcome"] == "succeeded"), "{runs:?}");
    until("nothing is left", || Some(()).filter(|()| files() <= before + 8));
    let _service = served.service;
}
