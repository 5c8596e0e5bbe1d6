//! Many who ask at once, beside a backup.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tests::chance::Chance;
use tests::http::Request;

use super::Served;

const CLIENTS: usize = 500;
const LASTS: Duration = Duration::from_mins(2);
/// As often as a page that refreshes itself.
const EACH: Duration = Duration::from_secs(1);
const PATHS: [&str; 5] = [
    "/api/v1/applications",
    "/api/v1/points",
    "/api/v1/runs",
    "/api/v1/events",
    "/api/v1/policies",
];

/// How long answers took, by their status.
type Answers = BTreeMap<u16, Vec<Duration>>;

/// Asks on a connection that stays; answers the status.
fn ask(stream: &mut BufReader<impl Read + Write>, request: &Request) -> u16 {
    request.send(stream.get_mut()).unwrap();
    let (mut status, mut length) = (0, 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(rest) = line.strip_prefix("http/1.1 ") {
            status = rest[..3].parse().unwrap();
        } else if let Some(rest) = line.strip_prefix("content-length: ") {
            length = rest.parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    status
}

/// Asks each second, from a moment of its own on.
fn client(served: &Served, token: &str, number: usize) -> Answers {
    let mut stream = BufReader::new(served.client.connect(served.address).unwrap());
    let mut answers = Answers::new();
    let mut next = Instant::now() + EACH * u32::try_from(number).unwrap() / 500;
    let end = Instant::now() + LASTS;
    for path in PATHS.iter().cycle().skip(number) {
        thread::sleep(next.saturating_duration_since(Instant::now()));
        if next > end {
            break;
        }
        let request = Request::new("GET", path).token(token).header("Connection", "keep-alive");
        let begun = Instant::now();
        let status = ask(&mut stream, &request);
        answers.entry(status).or_default().push(begun.elapsed());
        next += EACH;
    }
    answers
}

/// Backs up without a pause; answers how often.
fn back_up(served: &Served, is_over: &AtomicBool) -> usize {
    let (mut chance, mut made) = (Chance::new(5), 0);
    while !is_over.load(Ordering::Relaxed) {
        fs::write(served.world.path("files/noise"), chance.noise(128 << 20)).unwrap();
        let body = json!({ "task": "backup", "application": "files" });
        let run = served.ended(&served.post("/api/v1/runs", &body));
        assert_eq!(run["outcome"], "succeeded", "{run}");
        made += 1;
    }
    made
}

#[test]
#[ignore = "it takes two minutes, and says how long answers take"]
fn five_hundred_clients_beside_a_backup() {
    let served = Served::start();
    let token = served.token(&["dashboard", "--role", "viewer"]);
    let is_over = AtomicBool::new(false);
    let (mut answers, mut made) = (Answers::new(), 0);
    thread::scope(|scope| {
        let backups = scope.spawn(|| back_up(&served, &is_over));
        let (served, token) = (&served, token.as_str());
        let clients: Vec<_> =
            (0..CLIENTS).map(|number| scope.spawn(move || client(served, token, number))).collect();
        for client in clients {
            for (status, times) in client.join().unwrap() {
                answers.entry(status).or_default().extend(times);
            }
        }
        is_over.store(true, Ordering::Relaxed);
        made = backups.join().unwrap();
    });
    assert_eq!(answers.keys().collect::<Vec<_>>(), [&200], "{:?}", answers.keys());
    let mut times = answers.remove(&200).unwrap();
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_millis();
    println!(
        "{} answers to {CLIENTS} clients in {} s beside {made} backups of 128 MiB: \
         median {} ms, 99 of 100 within {} ms, the longest {} ms",
        times.len(),
        LASTS.as_secs(),
        at(50),
        at(99),
        at(100)
    );
    assert!(made > 0 && at(99) <= 100, "99 of 100 within {} ms", at(99));
}
