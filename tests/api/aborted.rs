//! Those who ask and do not wait.

use std::fs;
use std::thread;

use tests::http::{Request, connect};

use super::{Served, until};

const ASKED: usize = 10_000;

#[test]
fn ten_thousand_requests_that_are_given_up_leave_nothing_behind() {
    let served = Served::start();
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
            // The socket takes so many at once, and the next a moment later.
            let stream = until("a connection", || connect(&served.socket()).ok());
            let _ = Request::new("GET", paths[number % paths.len()]).send(&stream);
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
    until("nothing is left", || Some(()).filter(|()| files() <= before + 8));
    let _service = served.service;
}
