//! The service asked over its API.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

#[path = "api/aborted.rs"]
mod aborted;
#[path = "api/access.rs"]
mod access;
#[path = "api/command.rs"]
mod command;
#[path = "api/document.rs"]
mod document;
#[path = "api/load.rs"]
mod load;
#[path = "api/work.rs"]
mod work;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::http::tls::{self, Client};
use tests::http::{Answer, Request};
use tests::world::{Running, World};

const PATIENCE: Duration = Duration::from_mins(1);

/// A world with an application that is a directory of the host, and a service that needs no engine.
struct Served {
    world: World,
    service: Option<Running>,
    address: SocketAddr,
    client: Client,
    /// What the service says of its API.
    document: Value,
}

impl Served {
    fn start() -> Self {
        let mut world = World::with_key_file();
        world.unset("DOCKER_HOST");
        world.set("STILLPOINT_CONFIG", world.path("config.toml"));
        for application in ["files", "other"] {
            fs::create_dir(world.path(application)).unwrap();
            fs::write(world.path(application).join("file"), application).unwrap();
        }
        let client = tls::certify(&world.path("tls.crt"), &world.path("tls.key"));
        // Nobody listens there, a moment ago at least.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut served = Self { world, service: None, address, client, document: Value::Null };
        served.configure("tls.crt");
        served.begin();
        served.document = served.get("/api/v1/openapi.json");
        served
    }

    fn configure(&self, certificate: &str) {
        let path = |name: &str| self.world.path(name).display().to_string();
        let application = |name: &str| {
            let directory = path(name);
            format!(
                "[applications.{name}]\nplatform = \"host\"\ndirectories = [\"{directory}\"]\n\
                 policies = [\"monthly\"]\n"
            )
        };
        let text = format!(
            "[repositories.main]\nurl = \"{}\"\nkey_file = \"{}\"\n\
             [api]\nlisten = \"{}\"\ncertificate = \"{}\"\nkey = \"{}\"\n\
             [policies.monthly]\nschedules = [\"monthly 15@03:00\"]\nkeep = {{ daily = 7 }}\n{}{}",
            path("repository"),
            path("key"),
            self.address,
            path(certificate),
            path("tls.key"),
            application("files"),
            application("other"),
        );
        fs::write(self.world.path("config.toml"), text).unwrap();
    }

    fn begin(&mut self) {
        self.service = Some(self.world.start(["serve"]));
        until("the service answers", || {
            let answer = Request::new("GET", "/readyz").ask_on(&self.socket());
            answer.is_ok_and(|answer| answer.status == 200).then_some(())
        });
    }

    /// Kills the service, as a power cut would.
    fn kill(&mut self) {
        self.service.take().unwrap().kill();
    }

    /// Sends the service a signal, and waits until it has ended.
    fn end(&mut self, signal: &str) {
        let service = self.service.take().unwrap();
        let id = service.id().to_string();
        tests::directory::run(std::process::Command::new("kill").args(["-s", signal, &id]));
        service.finish();
    }

    fn socket(&self) -> PathBuf {
        self.world.path("runtime/stillpoint.sock")
    }

    /// Asks on the socket.
    fn ask(&self, request: &Request) -> Answer {
        request.ask_on(&self.socket()).unwrap()
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.ask(&Request::new("GET", path));
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    /// Asks for something; what is accepted, and the answer to it, are as the document says.
    fn post(&self, path: &str, body: &Value) -> Answer {
        let answer = self.ask(&Request::new("POST", path).json(body));
        if answer.status == 202 {
            document::accepted(&self.document, path, body, &answer);
        }
        answer
    }

    /// Asks from elsewhere.
    fn ask_from_elsewhere(&self, request: &Request) -> Answer {
        self.client.ask(self.address, request).unwrap()
    }

    /// A new token; the rest is what `token add` takes.
    fn token(&self, rest: &[&str]) -> String {
        let made = self.world.json(["token", "add"].iter().chain(rest));
        made["token"].as_str().unwrap().to_owned()
    }

    /// The run that an answer speaks of, once it has ended.
    fn ended(&self, answer: &Answer) -> Value {
        assert_eq!(answer.status, 202, "{answer:?}");
        let path = answer.header("location").unwrap();
        until("the run has ended", || Some(self.get(path)).filter(|run| run["state"] == "ended"))
    }
}

/// What is found in the end.
fn until<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        match find() {
            Some(found) => return found,
            None if begun.elapsed() > PATIENCE => panic!("not in time: {what}"),
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
