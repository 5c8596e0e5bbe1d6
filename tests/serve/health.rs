//! What a service says of itself to whoever asks on this machine.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::http::{Request, get, get_at, value};
use tests::world::{Running, World};

use super::configuration;

const PATIENCE: Duration = Duration::from_secs(30);

/// A world whose service needs no engine, and backs a directory of the host up every minute.
fn world() -> World {
    let mut world = World::with_key_file();
    world.unset("DOCKER_HOST");
    fs::create_dir(world.path("data")).unwrap();
    world.set("STILLPOINT_CONFIG", world.path("config.toml"));
    configure(&world, None);
    world
}

fn configure(world: &World, listen: Option<SocketAddr>) {
    let listen = listen.map(|address| format!("[metrics]\nlisten = \"{address}\"\n"));
    let data = world.path("data");
    let policy = "[policies.often]\nschedules = [\"every 1m\"]\n";
    let application = format!(
        "[applications.files]\nplatform = \"host\"\ndirectories = [\"{}\"]\npolicies = [\"often\"]\n",
        data.display()
    );
    let rest = format!("{}{policy}{application}", listen.unwrap_or_default());
    fs::write(world.path("config.toml"), configuration(&world.path(""), &rest)).unwrap();
}

fn socket(world: &World) -> PathBuf {
    world.path("runtime/stillpoint.sock")
}

/// The answer, as soon as it has this status.
fn wait_for(status: u16, mut ask: impl FnMut() -> std::io::Result<(u16, String)>) -> String {
    let begun = Instant::now();
    loop {
        let answer = ask();
        match answer {
            Ok((now, body)) if now == status => return body,
            answer => assert!(begun.elapsed() < PATIENCE, "not {status}: {answer:?}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn serve(world: &World) -> Running {
    let service = world.start(["serve"]);
    wait_for(200, || get(&socket(world), "/livez"));
    service
}

fn signal(service: &Running, name: &str) {
    let id = service.id().to_string();
    tests::directory::run(std::process::Command::new("kill").args(["-s", name, &id]));
}

/// An address where nobody listens.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_service_says_whether_it_can_do_its_work() {
    let world = world();
    let service = serve(&world);
    let mode = fs::metadata(socket(&world)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let ready = wait_for(200, || get(&socket(&world), "/readyz"));
    assert!(ready.contains("[+] catalog") && ready.contains("[+] repository "), "{ready}");
    let (status, _) = get(&socket(&world), "/nowhere").unwrap();
    assert_eq!(status, 404);
    fs::rename(world.repository(), world.path("moved")).unwrap();
    let ready = wait_for(503, || get(&socket(&world), "/readyz"));
    assert!(ready.contains("[-] repository "), "{ready}");
    // It lives all the same.
    assert_eq!(get(&socket(&world), "/livez").unwrap().0, 200);
    fs::rename(world.path("moved"), world.repository()).unwrap();
    wait_for(200, || get(&socket(&world), "/healthz"));
    signal(&service, "TERM");
    service.finish().succeeded();
    assert!(!socket(&world).exists());
    // What it remembers of an application of the host needs no engine.
    let _service = serve(&world);
    wait_for(200, || get(&socket(&world), "/readyz"));
}

#[test]
fn the_address_follows_the_configuration_and_is_loopback() {
    let world = world();
    let service = serve(&world);
    let (first, second) = (free(), free());
    for address in [first, second] {
        configure(&world, Some(address));
        signal(&service, "HUP");
        let metrics = wait_for(200, || get_at(address, "/metrics"));
        assert!(metrics.ends_with("# EOF\n"), "{metrics}");
        assert_eq!(value(&metrics, "stillpoint_build_info", &[]), Some(1.0), "{metrics}");
    }
    assert!(get_at(first, "/metrics").is_err(), "it no longer listens there");
    // One that somebody else has: all stays as it is.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    configure(&world, Some(taken.local_addr().unwrap()));
    signal(&service, "HUP");
    let ready = wait_for(503, || get(&socket(&world), "/readyz"));
    assert!(ready.contains("[-] address"), "{ready}");
    assert_eq!(get_at(second, "/livez").unwrap().0, 200);
    // Back to where it listens: nothing is wrong any more.
    configure(&world, Some(second));
    signal(&service, "HUP");
    wait_for(200, || get(&socket(&world), "/readyz"));
    let address = taken.local_addr().unwrap();
    configure(&world, Some(address));
    signal(&service, "HUP");
    wait_for(503, || get(&socket(&world), "/readyz"));
    drop(taken);
    wait_for(200, || get_at(address, "/readyz"));
    configure(&world, Some("0.0.0.0:1".parse().unwrap()));
    world.stillpoint(["config", "check"]).failed(1, "0.0.0.0:1");
    drop(service);
    world.stillpoint(["serve"]).failed(1, "0.0.0.0:1");
}

#[test]
fn the_metrics_address_answers_nothing_of_the_api() {
    let world = world();
    let address = free();
    configure(&world, Some(address));
    let _service = serve(&world);
    for path in ["/livez", "/readyz", "/metrics"] {
        wait_for(200, || get_at(address, path));
    }
    for path in ["points", "runs", "runs/1", "policies", "events/stream", "openapi.json", ""] {
        let (status, body) = get_at(address, &format!("/api/v1/{path}")).unwrap();
        assert_eq!(status, 404, "{path}: {body}");
    }
    // Nobody says there who asks, so nothing is done for him.
    for (path, body) in [
        ("runs", json!({ "task": "verify" })),
        ("restores", json!({ "point": "latest", "application": "files", "to": world.path("to") })),
        ("runs/1/cancel", json!({})),
    ] {
        let request = Request::new("POST", &format!("/api/v1/{path}")).json(&body);
        let answer = request.ask(TcpStream::connect(address).unwrap()).unwrap();
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
    for list in ["runs?task=verify", "restores"] {
        let (status, body) = get(&socket(&world), &format!("/api/v1/{list}")).unwrap();
        assert_eq!(status, 200, "{list}: {body}");
        let page: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(page["items"], json!([]), "{list}");
    }
}

#[test]
fn a_socket_is_not_taken_from_another_service() {
    let mut world = world();
    let service = serve(&world);
    world.set("STILLPOINT_STATE_DIR", world.path("elsewhere"));
    world.stillpoint(["serve"]).failed(1, "stillpoint.sock");
    assert_eq!(get(&socket(&world), "/livez").unwrap().0, 200);
    // What one that was killed has left is replaced.
    service.kill();
    assert!(socket(&world).exists());
    drop(serve(&world));
}

#[test]
fn the_log_is_json_where_that_is_wanted() {
    let mut world = world();
    world.set("STILLPOINT_LOG_FORMAT", "json");
    let service = serve(&world);
    wait_for(200, || get(&socket(&world), "/readyz"));
    fs::write(world.path("config.toml"), "colour = 1").unwrap();
    signal(&service, "HUP");
    let log = || fs::read_to_string(service.stderr()).unwrap();
    let begun = Instant::now();
    while !log().contains("the old configuration stays") {
        assert!(begun.elapsed() < PATIENCE, "{}", log());
    }
    for line in log().lines() {
        let object: Value = serde_json::from_str(line).unwrap();
        assert!(object["timestamp"].is_string() && object["level"].is_string(), "{line}");
        assert!(object["message"].is_string(), "{line}");
    }
}
