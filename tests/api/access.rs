//! Who may ask for what.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tests::http::Request;
use tests::http::tls;

use super::{Served, until};

/// The least role of every route, as it is meant; the document has to have the same.
const ROUTES: [(&str, &str, &str); 15] = [
    ("get", "/api/v1/applications", "viewer"),
    ("get", "/api/v1/applications/{name}", "viewer"),
    ("get", "/api/v1/events", "viewer"),
    ("get", "/api/v1/events/stream", "viewer"),
    ("get", "/api/v1/points", "viewer"),
    ("get", "/api/v1/points/{point}", "viewer"),
    ("get", "/api/v1/policies", "viewer"),
    ("get", "/api/v1/policies/{name}", "viewer"),
    ("get", "/api/v1/repositories", "viewer"),
    ("get", "/api/v1/restores", "viewer"),
    ("post", "/api/v1/restores", "admin"),
    ("get", "/api/v1/runs", "viewer"),
    ("post", "/api/v1/runs", "operator"),
    ("get", "/api/v1/runs/{run}", "viewer"),
    ("post", "/api/v1/runs/{run}/cancel", "operator"),
];
/// What is not in the document.
const OTHERS: [(&str, &str, &str); 6] = [
    ("get", "/api/v1/openapi.json", "viewer"),
    ("get", "/api/v1/nowhere", "viewer"),
    ("get", "/livez", "viewer"),
    ("get", "/readyz", "viewer"),
    ("get", "/healthz", "viewer"),
    ("get", "/metrics", "viewer"),
];
const ROLES: [&str; 3] = ["viewer", "operator", "admin"];

fn request(method: &str, path: &str) -> Request {
    let path = path.replace("{run}", "4711").replace("{name}", "none").replace("{point}", "none");
    // A stream goes on for ever, unless it is asked for wrongly.
    let request = Request::new(&method.to_uppercase(), &path).header("Last-Event-ID", "none");
    if method == "post" { request.json(&json!({})) } else { request }
}

#[test]
fn every_route_is_for_whoever_has_a_good_token_with_its_role() {
    let served = Served::start();
    let document = served.get("/api/v1/openapi.json");
    let mut documented = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let role = operation["security"][0]["token"][0].as_str().unwrap().to_owned();
            documented.insert((method.clone(), path.clone()), role);
        }
    }
    let meant = ROUTES.map(|(method, path, role)| ((method.into(), path.into()), role.to_owned()));
    assert_eq!(documented, BTreeMap::from(meant));

    let good = ROLES.map(|role| served.token(&[role, "--role", role]));
    let expired = ROLES
        .map(|role| served.token(&[&format!("{role}-expired"), "--role", role, "--expires", "1s"]));
    let revoked = ROLES.map(|role| {
        let name = format!("{role}-revoked");
        let token = served.token(&[&name, "--role", role]);
        served.world.stillpoint(["token", "revoke", &name]).succeeded();
        token
    });
    let wrong = good.clone().map(|token| token.replace(&token[20..24], "0000"));
    std::thread::sleep(Duration::from_secs(1));
    let mut asked = 0;
    for (method, path, needed) in ROUTES.into_iter().chain(OTHERS) {
        let request = request(method, path);
        let refused = [&expired, &revoked, &wrong].into_iter().flatten();
        let refused = refused.map(|token| request.clone().token(token));
        let basic = request.clone().header("Authorization", "Basic cm9vdDpyb290");
        for request in refused.chain([request.clone(), basic]) {
            let answer = served.ask_from_elsewhere(&request);
            assert_eq!(answer.status, 401, "{request:?}: {answer:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{answer:?}");
            assert_eq!(answer.json()["status"], 401);
            asked += 1;
        }
        for (role, token) in ROLES.iter().zip(&good) {
            let answer = served.ask_from_elsewhere(&request.clone().token(token));
            let rank = |role: &str| ROLES.iter().position(|it| *it == role);
            let may = rank(role) >= rank(needed);
            assert_ne!(answer.status, 401, "{method} {path} as {role}: {answer:?}");
            assert_eq!(answer.status != 403, may, "{method} {path} as {role}: {answer:?}");
            asked += 1;
        }
    }
    assert_eq!(asked, 21 * (11 + 3));
    let listed = served.world.stillpoint(["token", "list"]);
    let known = &listed.succeeded().stdout;
    for token in good.iter().chain(&revoked) {
        let state = std::fs::read(served.world.state().join("catalog.sqlite")).unwrap();
        let secret = token.strip_prefix("stillpoint_").unwrap();
        assert!(!String::from_utf8_lossy(&state).contains(secret) && !known.contains(secret));
    }
    served.world.stillpoint(["token", "revoke", "nobody"]).failed(1, "nobody");
    served.world.stillpoint(["token", "add", "admin", "--role", "viewer"]).failed(1, "admin");
}

#[test]
fn a_token_for_one_application_is_for_nothing_else() {
    let served = Served::start();
    let backup = |name: &str| json!({ "task": "backup", "application": name });
    for name in ["files", "other"] {
        served.ended(&served.post("/api/v1/runs", &backup(name)));
    }
    let token = served.token(&["ours", "--role", "operator", "--app", "files"]);
    let get = |path: &str| served.ask_from_elsewhere(&Request::new("GET", path).token(&token));
    let post = |path: &str, body| {
        served.ask_from_elsewhere(&Request::new("POST", path).token(&token).json(&body))
    };
    for list in ["applications", "points", "runs", "points?application=other"] {
        let items = get(&format!("/api/v1/{list}")).json()["items"].as_array().unwrap().clone();
        let of = |item: &serde_json::Value| {
            let name = item.get("application").or(item.get("name")).unwrap();
            name.as_str().unwrap().to_owned()
        };
        let expected = if list.ends_with("other") { vec![] } else { vec!["files".to_owned()] };
        assert_eq!(items.iter().map(of).collect::<Vec<_>>(), expected, "{list}");
    }
    let others = served.get("/api/v1/points?application=other")["items"][0].clone();
    let theirs = served.get("/api/v1/runs?application=other")["items"][0]["id"].clone();
    let point = others["point"].as_str().unwrap();
    assert_eq!(get(&format!("/api/v1/points/{point}")).status, 404);
    assert_eq!(get(&format!("/api/v1/runs/{theirs}")).status, 404);
    assert_eq!(post(&format!("/api/v1/runs/{theirs}/cancel"), json!({})).status, 404);
    for path in ["policies", "policies/monthly", "repositories", "applications/other"] {
        assert_eq!(get(&format!("/api/v1/{path}")).status, 403, "{path}");
    }
    assert_eq!(get("/metrics").status, 403);
    assert_eq!(post("/api/v1/runs", backup("other")).status, 403);
    assert_eq!(post("/api/v1/runs", json!({ "task": "prune" })).status, 403);
    for (path, kind) in [("restores", "no restores of others"), ("events", "nothing of others")] {
        assert_eq!(get(&format!("/api/v1/{path}")).json()["items"], json!([]), "{kind}");
    }
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(get(path).status, 403, "{path}");
    }
    // Whoever has files restored may write everywhere.
    let admin = ["token", "add", "root", "--role", "admin", "--app", "files"];
    served.world.stillpoint(admin).failed(1, "whole host");
    let nothing = ["token", "add", "x", "--role", "viewer", "--app", ""];
    assert_eq!(served.world.stillpoint(nothing).code, Some(2));
    assert_eq!(served.ended(&post("/api/v1/runs", backup("files")))["requested_by"], "token ours");
}

#[test]
fn another_certificate_is_taken_without_a_restart_and_a_wrong_one_is_not() {
    let served = Served::start();
    let token = served.token(&["eve", "--role", "viewer"]);
    let request = Request::new("GET", "/livez").token(&token);
    assert_eq!(served.ask_from_elsewhere(&request).status, 200);
    let hang_up = || {
        let id = served.service.as_ref().unwrap().id().to_string();
        tests::directory::run(std::process::Command::new("kill").args(["-s", "HUP", &id]));
    };
    let world = &served.world;
    let next = tls::certify(&world.path("tls.crt"), &world.path("tls.key"));
    hang_up();
    until("the new certificate is used", || next.ask(served.address, &request).ok());
    assert!(served.client.ask(served.address, &request).is_err(), "nobody trusts it");
    std::fs::write(world.path("broken.crt"), "nothing").unwrap();
    served.configure("broken.crt");
    hang_up();
    let ready = Request::new("GET", "/readyz");
    until("it is said", || Some(served.ask(&ready)).filter(|it| it.status == 503));
    assert!(served.ask(&ready).body.contains("broken.crt"));
    assert_eq!(next.ask(served.address, &request).unwrap().status, 200, "as before");
    std::fs::copy(world.path("tls.crt"), world.path("moved.crt")).unwrap();
    served.configure("moved.crt");
    hang_up();
    until("all is well", || Some(served.ask(&ready)).filter(|it| it.status == 200));
    // Without TLS there is no answer.
    assert!(tests::http::get_at(served.address, "/livez").is_err());
}

#[test]
fn what_a_token_follows_ends_when_it_is_revoked() {
    let served = Served::start();
    let token = served.token(&["eve", "--role", "viewer"]);
    let request = Request::new("GET", "/api/v1/events/stream").token(&token);
    std::thread::scope(|scope| {
        let following = scope.spawn(|| served.ask_from_elsewhere(&request));
        std::thread::sleep(Duration::from_millis(200));
        assert!(!following.is_finished());
        served.world.stillpoint(["token", "revoke", "eve"]).succeeded();
        let answer = following.join().unwrap();
        assert!(answer.status == 200 && answer.body.contains("id: "), "{answer:?}");
    });
    assert_eq!(served.ask_from_elsewhere(&request).status, 401);
}
