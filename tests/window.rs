//! What others do to a container while it stands still: the point is refused or says so, and
//! everything runs afterwards.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use tests::containers::{BUSYBOX, Container, belongs_to, bind, docker, unique, wait_for_growth};
use tests::directory::Directory;
use tests::lab;
use tests::proxy::Proxy;
use tests::world::{Output, World};

/// A copy of this much keeps the window open for long enough to do something in it.
const LARGE_FILES: usize = 30;
const LARGE_BYTES: usize = 32 << 20;

/// Two containers that write, one of which is meddled with.
struct Subject {
    world: World,
    name: String,
    victim: Container,
    other: Container,
    directory: Directory,
}

impl Subject {
    fn start() -> Self {
        Self::with(LARGE_FILES, &[])
    }

    fn with(large_files: usize, options: &[&str]) -> Self {
        let directory = Directory::inside(&std::env::temp_dir());
        let large = directory.volume("large");
        let noise = tests::every_kind::noise(5, LARGE_BYTES);
        for number in 0..large_files {
            fs::write(large.join(number.to_string()), &noise).unwrap();
        }
        let name = unique("window");
        let label = belongs_to(&name);
        let start = |what: &str| {
            let volume = bind(&directory.volume(what), "/volume");
            let large = bind(&large, "/large");
            let writer = "while :; do echo >>/volume/log; sleep 0.01; done";
            // So that the window takes its time.
            let copied = "--label=stillpoint.driver=/large=copy";
            let mounts = [label.as_str(), copied, &volume, &large];
            let arguments = [&mounts, options, &[BUSYBOX, "sh", "-c", writer]].concat();
            Container::run(&format!("{name}-{what}"), arguments)
        };
        let (victim, other) = (start("victim"), start("other"));
        Self { world: World::new(), name, victim, other, directory }
    }

    /// Backs up, and does something to the victim while the window is open.
    fn meddle(&self, act: impl FnOnce(&Container) + Send) -> Output {
        let mut backup = self.world.start(["backup", &self.name, "--json"]);
        while !(self.victim.freezer().is_frozen() && self.other.freezer().is_frozen()) {
            assert!(!backup.has_ended(), "no window was seen: {:?}", backup.finish());
            sleep(Duration::from_millis(1));
        }
        // The engine may not answer before the thaw.
        thread::scope(|scope| {
            let acting = scope.spawn(|| act(&self.victim));
            let output = backup.finish();
            acting.join().unwrap();
            output
        })
    }

    /// Neither is frozen, and the other one writes on.
    fn runs_on(&self) {
        self.goes_on("other");
        assert!(!self.other.freezer().is_frozen() && !self.victim.freezer().is_frozen());
    }

    fn goes_on(&self, what: &str) {
        wait_for_growth(&self.directory.join(what).join("log"), Duration::from_secs(20));
    }
}

// Whether it did; it may refuse, as long as what we see afterwards is right.
fn engine(arguments: &[&str]) -> bool {
    Command::new("docker").args(arguments).output().is_ok_and(|output| output.status.success())
}

#[track_caller]
fn is_told(output: &Output, container: &Container) {
    let text = format!("{}{}", output.stdout, output.stderr);
    assert!(!text.contains("\"level\":\"crash\""), "{text}");
    assert!(output.code != Some(0) || output.stdout.contains("fuzzy"), "{text}");
    assert!(text.contains(container.name()), "nobody is named: {text}");
}

#[test]
fn a_container_that_dies_is_named() {
    let subject = Subject::start();
    let kill = |victim: &Container| assert!(engine(&["kill", victim.name()]));
    is_told(&subject.meddle(kill), &subject.victim);
    subject.runs_on();
}

#[test]
fn a_container_that_is_restarted_is_named_and_runs() {
    let subject = Subject::start();
    let restart = |victim: &Container| assert!(engine(&["restart", "--time", "0", victim.name()]));
    is_told(&subject.meddle(restart), &subject.victim);
    subject.runs_on();
    subject.goes_on("victim");
}

#[test]
fn a_container_that_is_removed_is_named() {
    let subject = Subject::start();
    let remove = |victim: &Container| assert!(engine(&["rm", "--force", victim.name()]));
    is_told(&subject.meddle(remove), &subject.victim);
    subject.runs_on();
}

#[test]
fn a_container_that_somebody_thaws_is_named() {
    let subject = Subject::start();
    is_told(&subject.meddle(|victim| victim.freezer().thaw()), &subject.victim);
    subject.runs_on();
    subject.goes_on("victim");
}

#[test]
fn a_container_that_somebody_pauses_is_named_and_can_be_unpaused() {
    let subject = Subject::start();
    let mut paused = false;
    let output = subject.meddle(|victim| paused = engine(&["pause", victim.name()]));
    subject.goes_on("other");
    // Where it sees our freeze it says that there is nothing to pause.
    if paused {
        is_told(&output, &subject.victim);
        docker(["unpause", subject.victim.name()]);
    } else {
        output.succeeded();
    }
    subject.goes_on("victim");
    subject.runs_on();
}

#[test]
fn a_container_stays_healthy_for_as_long_as_it_may_stand_still() {
    // Two intervals between three failures: half of that is a second, and the copy takes longer.
    let health = ["--health-cmd=true", "--health-interval=1s", "--health-retries=3"];
    let subject = Subject::with(100, &health);
    subject.victim.wait_for("true");
    let status =
        || docker(["inspect", "--format", "{{.State.Health.Status}}", subject.victim.name()]);
    let begin = Instant::now();
    while status().trim() != "healthy" {
        assert!(begin.elapsed() < Duration::from_secs(20), "never healthy");
        sleep(Duration::from_millis(50));
    }
    for _ in 0..3 {
        subject.world.stillpoint(["backup", &subject.name]).failed(1, "1000 ms");
        subject.runs_on();
        for _ in 0..15 {
            assert_eq!(status().trim(), "healthy");
            sleep(Duration::from_millis(100));
        }
    }
    subject.goes_on("victim");
}

#[test]
fn an_engine_that_goes_away_leaves_nothing_frozen() {
    let mut subject = Subject::start();
    let socket = subject.directory.join("docker.sock");
    let engine = lab::docker();
    let proxy = Proxy::start(&socket, Path::new(engine.trim_start_matches("unix://")));
    subject.world.set("DOCKER_HOST", format!("unix://{}", socket.display()));
    let output = subject.meddle(|_| drop(proxy));
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains("cannot be reached"), "{output:?}");
    subject.runs_on();
    subject.goes_on("victim");
}
