//! The service killed at each step of a run.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::chance::Chance;
use tests::containers::{BUSYBOX, Container, belongs_to, bind, unique};
use tests::directory::{Directory, Filesystem};
use tests::http::Request;
use tests::world::{Running, World};

use super::{configuration, leftovers};

const PATIENCE: Duration = Duration::from_mins(1);
/// What the API calls the steps of a backup, with what is before and behind them.
const STEPS: [&str; 7] =
    ["waiting", "preparing", "reading_ahead", "freezing", "uploading", "committing", "ended"];
/// Some steps last for milliseconds.
const TRIES_MAX: usize = 30;

/// A container that writes all its volumes.
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) container: Container,
    pub(super) volumes: Vec<PathBuf>,
    _directories: Vec<Directory>,
}

impl Subject {
    /// With a volume in each of these.
    pub(super) fn start(directories: Vec<Directory>) -> Self {
        Self::labelled(directories, &[])
    }

    /// The same, with labels.
    pub(super) fn labelled(directories: Vec<Directory>, labels: &[&str]) -> Self {
        let volumes: Vec<_> =
            directories.iter().map(|directory| directory.volume("data")).collect();
        let name = unique("steps");
        let places = volumes.iter().enumerate();
        let mounts: Vec<_> =
            places.map(|(number, volume)| bind(volume, &format!("/volumes/{number}"))).collect();
        let script = "while true; do for volume in /volumes/*; do date >> $volume/log; done; sleep 0.1; done";
        let command = [BUSYBOX, "sh", "-c", script].map(str::to_owned);
        let mut options = vec![belongs_to(&name)];
        options.extend(labels.iter().map(|label| format!("--label={label}")));
        let container = Container::run(&name, options.iter().chain(&mounts).chain(&command));
        Self { name, container, volumes, _directories: directories }
    }

    /// Gives it something new that takes a while.
    pub(super) fn change(&self, chance: &mut Chance, bytes: usize) {
        for volume in &self.volumes {
            fs::write(volume.join("noise"), chance.noise(bytes)).unwrap();
        }
    }
}

pub(super) struct Served {
    pub(super) world: World,
}

impl Served {
    pub(super) fn new() -> Self {
        let mut world = World::with_key_file();
        let config = configuration(&world.path(""), "");
        fs::write(world.path("config.toml"), config).unwrap();
        world.set("STILLPOINT_CONFIG", world.path("config.toml"));
        Self { world }
    }

    pub(super) fn start(&self) -> Running {
        self.start_with(&[])
    }

    /// The same, with arguments.
    pub(super) fn start_with(&self, arguments: &[&str]) -> Running {
        let service = self.world.start(["serve"].iter().chain(arguments));
        let begun = Instant::now();
        while self.ask(&Request::new("GET", "/livez")).is_none_or(|(status, _)| status != 200) {
            assert!(begun.elapsed() < PATIENCE, "{:?}", service.kill());
        }
        service
    }

    pub(super) fn ask(&self, request: &Request) -> Option<(u16, Value)> {
        let answer = request.ask_on(&self.world.path("runtime/stillpoint.sock")).ok()?;
        Some((answer.status, serde_json::from_str(&answer.body).unwrap_or_default()))
    }

    /// Asks for a backup, and answers with its run.
    pub(super) fn back_up(&self, subject: &Subject) -> Value {
        let wanted = Request::new("POST", "/api/v1/runs")
            .json(&json!({ "task": "backup", "application": subject.name }));
        let (status, run) = self.ask(&wanted).expect("the service answers");
        assert_eq!(status, 202, "{run}");
        run
    }

    pub(super) fn run(&self, number: &Value) -> Value {
        let path = format!("/api/v1/runs/{number}");
        self.ask(&Request::new("GET", &path)).expect("the service answers").1
    }

    /// Whether the run is met at this step before it ends.
    pub(super) fn meets(&self, number: &Value, step: &str) -> bool {
        let begun = Instant::now();
        loop {
            let run = self.run(number);
            if run["state"] == step || run["progress"]["stage"] == step {
                return true;
            }
            if run["state"] == "ended" {
                return false;
            }
            assert!(begun.elapsed() < PATIENCE, "{run}");
        }
    }

    pub(super) fn points(&self) -> usize {
        self.world.json(["points"]).as_array().unwrap().len()
    }
}

#[test]
fn a_service_that_is_killed_at_any_step_of_a_run_does_it_once() {
    // A volume that can be snapshotted, and one that is read ahead.
    let filesystem = Filesystem::btrfs(1024);
    let subject = Subject::start(vec![Directory::inside(filesystem.path()), Directory::new()]);
    let (served, mut chance) = (Served::new(), Chance::new(11));
    for step in STEPS {
        for attempt in 1.. {
            assert!(attempt < TRIES_MAX, "no run was met at `{step}`");
            subject.change(&mut chance, 8 << 20);
            let before = served.points();
            let service = served.start();
            let run = served.back_up(&subject);
            let is_met = served.meets(&run["id"], step);
            service.kill();
            let service = served.start();
            assert!(served.meets(&run["id"], "ended"));
            let run = served.run(&run["id"]);
            assert_eq!(run["outcome"], "succeeded", "{step}: {run}");
            drop(service.kill());
            assert_eq!(served.points(), before + 1, "{step}: {run}");
            assert!(!subject.container.freezer().is_frozen(), "{step}");
            if is_met {
                println!("{step}: met at the {attempt}. time; begun {} times", run["attempts"]);
                break;
            }
        }
    }
    // The next backup clears away what those left that died.
    let service = served.start();
    let run = served.back_up(&subject);
    assert!(served.meets(&run["id"], "ended"));
    let run = served.run(&run["id"]);
    assert_eq!(run["outcome"], "succeeded", "{run}");
    leftovers::end(service, &served.world, filesystem.path());
    served.world.stillpoint(["check", "--read-data"]).succeeded();
}
