//! What becomes of a freeze when the container engine itself is killed, stopped or restarted in it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use tests::containers::{Freezer, belongs_to, unique, wait_for_growth};
use tests::directory::Directory;
use tests::engine::Engine;
use tests::world::{Output, World};

/// A copy of so much holds the window open for long enough to do something to the engine in it.
const LARGE_FILES: usize = 60;
const LARGE_BYTES: usize = 32 << 20;

/// Two containers that write, on an engine of their own.
struct Subject {
    world: World,
    application: String,
    names: [String; 2],
    freezers: [Freezer; 2],
    directory: Directory,
    engine: Engine,
}

impl Subject {
    fn start(live_restore: bool) -> Self {
        let (engine, directory) = (Engine::start(live_restore), Directory::new());
        let large = directory.volume("large");
        let noise = tests::every_kind::noise(6, LARGE_BYTES);
        for number in 0..LARGE_FILES {
            fs::write(large.join(number.to_string()), &noise).unwrap();
        }
        let application = unique("engine");
        let names = ["one", "other"].map(|what| format!("{application}-{what}"));
        let freezers = names.each_ref().map(|name| {
            let large = tests::containers::bind(&large, "/large");
            let belongs = belongs_to(&application);
            let copied = "--label=stillpoint.driver=/large=copy";
            let options =
                [belongs.as_str(), copied, &large, "--restart=always", "--stop-timeout=1"];
            engine.writer(name, &options, &directory.volume(name))
        });
        let mut world = World::new();
        world.set("DOCKER_HOST", engine.address());
        Self { world, application, names, freezers, directory, engine }
    }

    /// Backs up, and does something to the engine while the window is open.
    fn meddle(&mut self, act: impl FnOnce(&mut Engine)) -> Output {
        let mut backup = self.world.start(["backup", &self.application, "--json"]);
        while !self.freezers.iter().all(Freezer::is_frozen) {
            assert!(!backup.has_ended(), "no window was seen: {:?}", backup.finish());
            sleep(Duration::from_millis(1));
        }
        act(&mut self.engine);
        backup.finish()
    }

    /// None is frozen, and all write.
    fn runs_on(&mut self) {
        for name in &self.names {
            wait_for_growth(&self.directory.join(name).join("log"), Duration::from_secs(30));
        }
        let now = self.names.each_ref().map(|name| self.engine.freezer(name));
        assert!(!now.iter().chain(&self.freezers).any(Freezer::is_frozen));
    }

    /// The next backup is as good as any.
    fn is_backed_up_again(&self) {
        let report = self.world.json(["backup", &self.application]);
        assert_eq!(report["level"], "crash", "{report}");
    }
}

// There is no point, for nobody could be asked what became of the containers.
#[track_caller]
fn is_refused(output: &Output) {
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains("cannot be reached"), "{output:?}");
}

#[test]
fn a_killed_engine_leaves_nothing_frozen_and_no_point() {
    let mut subject = Subject::start(true);
    is_refused(&subject.meddle(Engine::kill));
    assert!(!subject.freezers.iter().any(Freezer::is_frozen));
    subject.engine.run();
    subject.runs_on();
    subject.is_backed_up_again();
}

#[test]
fn an_engine_that_stops_with_its_containers_leaves_nothing_frozen_and_no_point() {
    let mut subject = Subject::start(false);
    is_refused(&subject.meddle(|engine| engine.tell_to_stop()));
    subject.engine.stopped();
    assert!(!subject.freezers.iter().any(Freezer::is_frozen));
    subject.engine.run();
    subject.runs_on();
    subject.is_backed_up_again();
}

#[test]
fn an_engine_that_comes_back_in_the_window_is_believed_when_its_containers_stood_still() {
    let mut subject = Subject::start(true);
    let output = subject.meddle(|engine| {
        engine.kill();
        engine.run();
    });
    // Whether it is back in time is chance; then it says that they are the same, and stood still.
    if output.code == Some(0) {
        assert_eq!(output.json()["level"], "crash", "{output:?}");
    } else {
        is_refused(&output);
    }
    subject.runs_on();
    subject.is_backed_up_again();
}

#[test]
fn an_engine_that_comes_back_and_ends_its_containers_leaves_no_consistent_point() {
    let mut subject = Subject::start(false);
    let output = subject.meddle(|engine| {
        engine.kill();
        engine.run();
    });
    // Those that it ended and started again are named.
    if output.code == Some(0) {
        assert_eq!(output.json()["level"], "fuzzy", "{output:?}");
    } else {
        assert_eq!(output.code, Some(1), "{output:?}");
    }
    subject.runs_on();
    subject.is_backed_up_again();
}
