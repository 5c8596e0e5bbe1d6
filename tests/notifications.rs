//! Who is told of failures, and of their end.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::chance::Chance;
use tests::due::make_due;
use tests::lab;
use tests::world::World;

const PATIENCE: Duration = Duration::from_mins(2);

/// What was told: the path, and the body.
type Told = (String, String);

/// Somebody who listens, and says what he is told.
fn listen() -> (SocketAddr, Receiver<Told>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            hear(&stream.unwrap(), &sender);
        }
    });
    (address, receiver)
}

fn hear(stream: &TcpStream, to: &Sender<Told>) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let path = line.split(' ').nth(1).unwrap().to_owned();
    let mut length = 0;
    while line.trim() != "" {
        line.clear();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let mut stream = stream;
    write!(stream, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
    // The test may be over.
    let _ = to.send((path, String::from_utf8(body).unwrap()));
}

/// A mail server that keeps what it gets as files.
struct Mail {
    server: std::process::Child,
    address: SocketAddr,
    directory: std::path::PathBuf,
}

impl Mail {
    fn start(world: &World) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let directory = world.path("mail");
        let server = Command::new(lab::mail())
            .args(["-m", "aiosmtpd", "-n", "-c", "aiosmtpd.handlers.Mailbox"])
            .arg(&directory)
            .args(["-l", &address.to_string()])
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < PATIENCE, "the mail server does not answer");
            thread::sleep(Duration::from_millis(20));
        }
        Self { server, address, directory }
    }

    /// The mails, as they were sent.
    fn all(&self) -> Vec<String> {
        let Ok(new) = fs::read_dir(self.directory.join("new")) else { return Vec::new() };
        new.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
    }
}

impl Drop for Mail {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A world with two applications that are directories of the host, each with a policy.
fn world(notifications: &str) -> World {
    let mut world = World::with_key_file();
    world.unset("DOCKER_HOST");
    world.set("STILLPOINT_CONFIG", world.path("config.toml"));
    let path = |name: &str| world.path(name).display().to_string();
    let application = |name: &str, policy: &str| {
        fs::create_dir(world.path(name)).unwrap();
        let directory = path(name);
        format!(
            "[applications.{name}]\nplatform = \"host\"\ndirectories = [\"{directory}\"]\n\
             policies = [\"{policy}\"]\n"
        )
    };
    let text = format!(
        "[repositories.main]\nurl = \"{}\"\nkey_file = \"{}\"\n{}{}\
         [policies.often]\nschedules = [\"every 300m\"]\n\
         [policies.strict]\nschedules = [\"every 300m\"]\nstale_after = \"1s\"\n{notifications}",
        path("repository"),
        path("key"),
        application("shop", "often"),
        application("wiki", "strict"),
    );
    fs::write(world.path("config.toml"), text).unwrap();
    world
}

fn next(told: &Receiver<Told>) -> Told {
    told.recv_timeout(PATIENCE).expect("somebody is told")
}

/// Has the service run what is due by a policy that runs so often now, which no one did before, until it
/// was told so many times.
fn serve_until(
    world: &World,
    (application, policy, minutes): (&str, &str, i64),
    told: &Receiver<Told>,
    count: usize,
) -> Vec<Told> {
    let config = fs::read_to_string(world.path("config.toml")).unwrap();
    let (before, rest) = config.split_once(&format!("[policies.{policy}]\n")).unwrap();
    let (_, rest) = rest.split_once('\n').unwrap();
    let schedule = format!("schedules = [\"every {minutes}m\"]");
    let config = format!("{before}[policies.{policy}]\n{schedule}\n{rest}");
    fs::write(world.path("config.toml"), config).unwrap();
    make_due(world, application, policy, minutes);
    let service = world.start(["serve"]);
    let all = (0..count).map(|_| next(told)).collect();
    let id = service.id().to_string();
    tests::directory::run(Command::new("kill").args(["-s", "TERM", &id]));
    service.finish().succeeded();
    all
}

#[test]
fn trouble_is_told_once_and_its_end_too() {
    let (address, told) = listen();
    let world = world(&format!(
        "[notifications.chat]\nwebhook = {{ url = \"http://{address}/chat\" }}\n\
         [notifications.watch]\nping = {{ url = {{ file = \"ping-url\" }} }}\npolicies = [\"often\"]\n"
    ));
    fs::write(world.path("ping-url"), format!("http://{address}/watch/\n")).unwrap();
    // What is to be backed up is gone.
    fs::rename(world.path("shop"), world.path("elsewhere")).unwrap();
    let mut first = serve_until(&world, ("shop", "often", 300), &told, 3);
    first.sort();
    let paths: Vec<_> = first.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["/chat", "/watch/fail", "/watch/start"], "{first:?}");
    let notice: Value = serde_json::from_str(&first[0].1).unwrap();
    assert_eq!(notice["kind"], "failure", "{notice}");
    let (text, error) = (notice["text"].as_str().unwrap(), notice["error"].as_str().unwrap());
    assert!(text.contains("shop") && text.contains("often") && text.contains(error), "{text}");
    assert!(first[1].1.contains("failed"), "{first:?}");
    // It fails again: only each run is told.
    let again = serve_until(&world, ("shop", "often", 299), &told, 2);
    assert!(again.iter().all(|(path, _)| path.starts_with("/watch/")), "{again:?}");
    fs::rename(world.path("elsewhere"), world.path("shop")).unwrap();
    let mut well = serve_until(&world, ("shop", "often", 298), &told, 3);
    well.sort();
    let paths: Vec<_> = well.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["/chat", "/watch", "/watch/start"], "{well:?}");
    assert!(well[0].1.contains("\"recovery\""), "{well:?}");
}

#[test]
fn what_does_not_succeed_for_too_long_is_told() {
    let (address, told) = listen();
    let world = world(&format!(
        "[notifications.chat]\nwebhook = {{ url = \"http://{address}/chat\", \
         body = \"{{{{ kind }}}} {{{{ policy }}}}\", content_type = \"text/plain\" }}\n"
    ));
    fs::rename(world.path("repository"), world.path("away")).unwrap();
    make_due(&world, "wiki", "strict", 300);
    let service = world.start(["serve"]);
    // It has failed, and a second later it has not succeeded for too long.
    assert_eq!(next(&told), ("/chat".into(), "failure strict".into()));
    assert_eq!(next(&told), ("/chat".into(), "staleness strict".into()));
    assert!(told.recv_timeout(Duration::from_secs(2)).is_err(), "once is enough");
    drop(service);
}

#[test]
fn that_no_point_goes_any_more_is_told_once_a_day() {
    let (address, told) = listen();
    let world = world(&format!(
        "[notifications.chat]\nwebhook = {{ url = \"http://{address}/chat\" }}\n\
         [notifications.watch]\nping = {{ url = \"http://{address}/watch\" }}\npolicies = [\"often\"]\n"
    ));
    let config = fs::read_to_string(world.path("config.toml")).unwrap();
    let schedule = "[policies.often]\nschedules = [\"every 300m\"]\n";
    let config = config.replace(schedule, &format!("{schedule}keep = {{ last = 9 }}\n"));
    fs::write(world.path("config.toml"), config).unwrap();
    let mut chance = Chance::new(11);
    fs::write(world.path("shop/data"), chance.noise(4 << 20)).unwrap();
    for minutes in [300, 299, 298] {
        serve_until(&world, ("shop", "often", minutes), &told, 2);
    }
    // All of it is another now, and it is not the policy that finds it so.
    fs::write(world.path("shop/data"), chance.noise(4 << 20)).unwrap();
    world.stillpoint(["backup", "shop", "--no-service"]).succeeded();
    let mut all = serve_until(&world, ("shop", "often", 297), &told, 3);
    all.sort();
    let notice: Value = serde_json::from_str(&all[0].1).unwrap();
    assert_eq!(notice["kind"], "retention_stopped", "{notice}");
    assert!(notice["text"].as_str().unwrap().contains("--add accepted"), "{notice}");
    let points = world.json(["points"]);
    assert!(points[1].to_string().contains("suspicious"), "{points}");
    // The next runs find it so, too, and are all that is told.
    for minutes in [296, 295] {
        let again = serve_until(&world, ("shop", "often", minutes), &told, 2);
        assert!(again.iter().all(|(path, _)| path.starts_with("/watch")), "{again:?}");
    }
}

#[test]
fn mail_is_sent_and_a_test_says_who_is_told() {
    let (address, told) = listen();
    let empty = World::empty();
    let mail = Mail::start(&empty);
    let configuration = |server: &str| {
        format!(
            "[notifications.chat]\nwebhook = {{ url = \"http://{address}/chat\" }}\n\
             [notifications.mail]\nmail = {{ server = \"{server}\", from = \"Backup <b@example.org>\", \
             to = [\"ops@example.org\"], body = \"{{{{ text }}}}, at {{{{ moment }}}}\" }}\n"
        )
    };
    let other = world(&configuration(&format!("smtp://{}", mail.address)));
    let said = other.json(["notifications", "test"]);
    assert_eq!(said.as_array().unwrap().len(), 2);
    assert!(said.as_array().unwrap().iter().all(|trial| trial["error"].is_null()), "{said}");
    assert!(next(&told).1.contains("\"test\""));
    let mails = mail.all();
    assert_eq!(mails.len(), 1);
    let is_right = |line: &str| mails[0].contains(line);
    assert!(is_right("To: ops@example.org") && is_right("this is a test, at 2"), "{mails:?}");
    other.stillpoint(["notifications", "test", "nobody"]).failed(1, "nobody");
    // A server that is not there, and an address that is a secret.
    let gone = world(&configuration("smtp://127.0.0.1:1"));
    let said = gone.stillpoint(["notifications", "test", "mail"]);
    assert!(said.code == Some(1) && said.stdout.contains("not told"), "{said:?}");
    let secret = "[notifications.chat]\nwebhook = { url = \"http://127.0.0.1:1/canary-5150\" }\n";
    let said = world(secret).stillpoint(["notifications", "test"]);
    assert!(said.code == Some(1) && !format!("{said:?}").contains("canary-5150"), "{said:?}");
}
