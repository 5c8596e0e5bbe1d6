//! What is done because somebody asks for it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Command;
use std::thread;

use serde_json::{Value, json};
use tests::chance::Chance;
use tests::http::{Answer, Request, connect};

use super::{Served, until};

fn backup(name: &str) -> Value {
    json!({ "task": "backup", "application": name })
}

#[test]
fn a_backup_is_made_once_and_restored() {
    let served = Served::start();
    let mut body = backup("files");
    body["tags"] = json!(["release"]);
    body["reason"] = json!("before the upgrade");
    let request = Request::new("POST", "/api/v1/runs").header("Idempotency-Key", "one");
    let first = served.ask(&request.clone().json(&body));
    let run = served.ended(&first);
    assert_eq!(run["outcome"], "succeeded", "{run}");
    let again = served.ask(&request.clone().json(&body));
    assert_eq!((again.status, again.header("location")), (202, first.header("location")));
    let other = served.ask(&request.json(&backup("files")));
    assert_eq!(other.status, 422, "{other:?}");
    let points = served.get("/api/v1/points")["items"].as_array().unwrap().clone();
    assert_eq!(points.len(), 1);
    assert_eq!((&points[0]["point"], &points[0]["tags"]), (&run["point"], &json!(["release"])));
    assert_eq!(served.world.json(["points"])[0]["point"], run["point"]);

    let deeds = served.world.json(["audit"]);
    assert_eq!(deeds[0]["who"], run["requested_by"], "{deeds}");
    assert_eq!(deeds[0]["reason"], "before the upgrade");
    assert_eq!(deeds[0]["end"]["exit"], 0, "{deeds}");
    let command = deeds[0]["command"].as_str().unwrap();
    assert!(command.contains("POST /api/v1/runs") && command.contains("files"), "{command}");

    let to = served.world.path("target");
    let mut body = json!({ "point": "latest", "application": "files", "to": to });
    let restored = served.ended(&served.post("/api/v1/restores", &body));
    assert_eq!((&restored["outcome"], &restored["point"]), (&json!("succeeded"), &run["point"]));
    let find = Command::new("find").arg(&to).args(["-name", "file"]).output().unwrap();
    let found = String::from_utf8(find.stdout).unwrap();
    assert_eq!(fs::read(found.trim()).unwrap(), b"files", "{found}");
    // What is there is not overwritten, unless that is wanted.
    let refused = served.ended(&served.post("/api/v1/restores", &body));
    assert_eq!(refused["outcome"], "failed", "{refused}");
    let deed = served.world.json(["audit", "--limit", "1"])[0].clone();
    assert_eq!((&deed["end"]["exit"], &deed["end"]["error"]), (&json!(1), &refused["error"]));
    body["in_place"] = json!(true);
    let restored = served.ended(&served.post("/api/v1/restores", &body));
    assert_eq!(restored["outcome"], "succeeded", "{restored}");
    assert_eq!(served.get("/api/v1/restores")["items"].as_array().unwrap().len(), 3);

    for task in ["check", "verify", "prune"] {
        let ended = served.ended(&served.post("/api/v1/runs", &json!({ "task": task })));
        assert_eq!(ended["outcome"], "succeeded", "{ended}");
    }
    let point = served.get(&format!("/api/v1/points/{}", run["point"].as_str().unwrap()));
    assert!(point[0]["verified"].is_string(), "{point}");
}

#[test]
fn a_restore_is_done_once_under_its_key() {
    let served = Served::start();
    served.ended(&served.post("/api/v1/runs", &backup("files")));
    let body = |name: &str| {
        let to = served.world.path(name);
        json!({ "point": "latest", "application": "files", "to": to })
    };
    let request = |key: &str, body: &Value| {
        Request::new("POST", "/api/v1/restores").header("Idempotency-Key", key).json(body)
    };
    let first = served.ask(&request("one", &body("target")));
    let run = served.ended(&first);
    assert_eq!(run["outcome"], "succeeded", "{run}");
    let again = served.ask(&request("one", &body("target")));
    assert_eq!((again.status, again.header("location")), (202, first.header("location")));
    assert_eq!(again.json()["outcome"], "succeeded", "{again:?}");
    let mut in_place = body("target");
    in_place["in_place"] = json!(true);
    let runs = Request::new("POST", "/api/v1/runs").header("Idempotency-Key", "one");
    for other in
        [request("one", &body("elsewhere")), request("one", &in_place), runs.json(&backup("files"))]
    {
        let refused = served.ask(&other);
        assert_eq!(refused.status, 422, "{refused:?}");
        let problem = refused.json();
        assert!(problem["detail"].as_str().unwrap().contains("Idempotency-Key"), "{problem}");
    }
    assert!(!served.world.path("elsewhere").exists());
    // Whoever asks at the same time gets the same run, too.
    let same = request("two", &body("second"));
    let answers: Vec<Answer> = thread::scope(|scope| {
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| served.ask(&same))).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    for answer in &answers {
        let run = served.ended(answer);
        assert_eq!(run["outcome"], "succeeded", "{run}");
        assert_eq!(answer.header("location"), answers[0].header("location"));
    }
    assert_eq!(served.get("/api/v1/restores")["items"].as_array().unwrap().len(), 2);
    assert_eq!(served.get("/api/v1/runs?task=backup")["items"].as_array().unwrap().len(), 1);
}

#[test]
fn lists_are_read_a_page_at_a_time() {
    let served = Served::start();
    for _ in 0..5 {
        served.ended(&served.post("/api/v1/runs", &backup("files")));
    }
    for (list, key) in [("runs", "id"), ("points", "point"), ("events", "id")] {
        let whole = served.get(&format!("/api/v1/{list}"))["items"].as_array().unwrap().clone();
        let (mut pages, mut after) = (Vec::new(), String::new());
        loop {
            let page = served.get(&format!("/api/v1/{list}?limit=2{after}"));
            let items = page["items"].as_array().unwrap();
            assert!((1..=2).contains(&items.len()), "{page}");
            pages.extend(items.iter().map(|item| item[key].clone()));
            // What is new moves nothing.
            served.ended(&served.post("/api/v1/runs", &json!({ "task": "check" })));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={}", next.replace('+', "%2B"));
        }
        let whole: Vec<_> = whole.iter().map(|item| item[key].clone()).collect();
        assert!(!whole.is_empty() && pages == whole, "{list}: {pages:?} {whole:?}");
    }
    let points = served.get("/api/v1/points");
    let third = points["items"][2]["taken"].as_str().unwrap();
    let count = |list: &str| served.get(list)["items"].as_array().unwrap().len();
    assert_eq!(count(&format!("/api/v1/points?since={third}")), 3);
    assert_eq!(count(&format!("/api/v1/points?until={third}")), 2);
    assert_eq!(count("/api/v1/runs?task=backup"), 5);
}

#[test]
fn what_happens_is_told_as_it_happens() {
    let served = Served::start();
    let stream = connect(&served.socket()).unwrap();
    Request::new("GET", "/api/v1/events/stream").send(&stream).unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().contains("200"));
    let head = lines.by_ref().take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    assert!(head.contains("text/event-stream"), "{head}");
    let asked = served.post("/api/v1/runs", &backup("files")).json();
    let mut runs = lines.by_ref().filter_map(|line| {
        let data = line.strip_prefix("data: ")?.to_owned();
        serde_json::from_str::<Value>(&data).ok()
    });
    let ended = runs.find(|run| run["id"] == asked["id"] && run["state"] == "ended").unwrap();
    assert_eq!(ended["outcome"], "succeeded", "{ended}");
    // Whoever comes back gets what he missed.
    let stream = connect(&served.socket()).unwrap();
    let request = Request::new("GET", "/api/v1/events/stream").header("Last-Event-ID", "0");
    request.send(&stream).unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let started = lines.find(|line| line.contains("\"kind\":\"started\""));
    assert!(started.is_some());
}

#[test]
fn a_run_is_called_off_whether_it_waits_or_goes_on() {
    let served = Served::start();
    // Long enough to be met.
    let mut chance = Chance::new(7);
    for number in 0..6 {
        let file = served.world.path("files").join(format!("noise-{number}"));
        fs::write(file, chance.noise(64 << 20)).unwrap();
    }
    let going = served.post("/api/v1/runs", &backup("files"));
    let waiting = served.post("/api/v1/runs", &backup("files"));
    let cancel = |answer: &Answer| {
        let path = format!("{}/cancel", answer.header("location").unwrap());
        served.post(&path, &json!({}))
    };
    let called_off = cancel(&waiting);
    assert_eq!(called_off.json()["outcome"], "cancelled", "{called_off:?}");
    assert_eq!(cancel(&waiting).status, 409, "it has ended");
    until("it goes on", || {
        let run = served.get(going.header("location").unwrap());
        Some(()).filter(|()| run["state"] == "running" && run["progress"].is_object())
    });
    assert_eq!(cancel(&going).status, 202);
    let run = served.ended(&going);
    assert_eq!((&run["outcome"], &run["point"]), (&json!("cancelled"), &Value::Null), "{run}");
    assert_eq!(served.get("/api/v1/points")["items"], json!([]));
    let deed = served.world.json(["audit", "--limit", "1"])[0].clone();
    assert!(deed["command"].as_str().unwrap().ends_with("/cancel"), "{deed}");
    // The next one goes on as if nothing had been.
    let run = served.ended(&served.post("/api/v1/runs", &backup("files")));
    assert_eq!(run["outcome"], "succeeded", "{run}");
}

#[test]
fn a_service_that_dies_does_what_was_asked_when_it_is_back() {
    let mut served = Served::start();
    let (first, second) = (backup("files"), backup("other"));
    let asked = [first, second].map(|body| served.post("/api/v1/runs", &body));
    served.kill();
    served.begin();
    for answer in &asked {
        let run = served.ended(answer);
        assert_eq!(run["outcome"], "succeeded", "{run}");
    }
    assert_eq!(served.get("/api/v1/points")["items"].as_array().unwrap().len(), 2);
}

#[test]
fn a_restore_that_is_cut_off_is_not_begun_again() {
    let mut served = Served::start();
    let (file, to) = (served.world.path("files/noise"), served.world.path("target"));
    fs::write(file, Chance::new(3).noise(256 << 20)).unwrap();
    served.ended(&served.post("/api/v1/runs", &backup("files")));
    let body = json!({ "point": "latest", "application": "files", "to": to });
    for signal in ["KILL", "TERM"] {
        let _ = fs::remove_dir_all(&to);
        let asked = served.post("/api/v1/restores", &body);
        let path = asked.header("location").unwrap().to_owned();
        until("it writes", || to.exists().then_some(()));
        let cancelled = served.post(&format!("{path}/cancel"), &json!({}));
        assert_eq!(cancelled.status, 409, "{cancelled:?}");
        served.end(signal);
        served.begin();
        let run = served.ended(&asked);
        // Where it was told to end, it had the time to finish.
        let outcome = if signal == "KILL" { "abandoned" } else { "succeeded" };
        assert_eq!(run["outcome"], outcome, "{run}");
    }
}

#[test]
fn whoever_asks_for_too_much_is_told_so() {
    let served = Served::start();
    let token = served.token(&["ci", "--role", "operator"]);
    let ask = || {
        let request = Request::new("POST", "/api/v1/runs").token(&token);
        served.ask_from_elsewhere(&request.json(&backup("files"))).status
    };
    let answers: Vec<u16> = (0..150).map(|_| ask()).collect();
    assert!(answers.iter().all(|status| [202, 429].contains(status)), "{answers:?}");
    assert!(answers.contains(&429), "{answers:?}");
}
