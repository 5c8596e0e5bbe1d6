//! The service told to end while a run goes on.

use std::time::{Duration, Instant};

use serde_json::Value;
use tests::chance::Chance;
use tests::containers::wait_for_growth;
use tests::directory::{Directory, Filesystem};

use super::steps::{Served, Subject};
use super::{leftovers, process};

const PATIENCE: Duration = Duration::from_mins(1);
/// What a run does may be over before the service is told.
const TRIES_MAX: usize = 20;
/// What takes a while to copy and to upload.
const NOISE_BYTES: usize = 64 << 20;

/// An application, and a repository to back it up to.
struct Scene {
    served: Served,
    subject: Subject,
    chance: Chance,
    // It goes after what lies on it.
    filesystem: Filesystem,
}

impl Scene {
    /// One whose application has these labels.
    fn new(labels: &[&str]) -> Self {
        let filesystem = Filesystem::btrfs(2048);
        let subject = Subject::labelled(vec![Directory::inside(filesystem.path())], labels);
        Self { served: Served::new(), subject, chance: Chance::new(13), filesystem }
    }

    /// Has a service begin a run, and tells it to end as soon as the run is where it should be, or has ended.
    /// Answers with what is recorded of the run, and whether it was there.
    fn stop(&mut self, grace: &str, is_there: impl Fn(&Self, &Value) -> bool) -> (Value, bool) {
        self.subject.change(&mut self.chance, NOISE_BYTES);
        let service = self.served.start_with(&["--grace", grace]);
        let number = self.served.back_up(&self.subject)["id"].clone();
        let was_there = is_there(self, &number);
        process::signal(&service, "TERM");
        service.finish().succeeded();
        assert!(!self.subject.container.freezer().is_frozen(), "it stands still");
        wait_for_growth(&self.subject.volumes[0].join("log"), PATIENCE);
        let runs = process::runs(&self.served.world);
        let run = runs.into_iter().find(|run| run["id"] == number).expect("it is recorded");
        (run, was_there)
    }

    /// Whether the application is seen to stand still before the run ends.
    fn stands_still(&self, number: &Value) -> bool {
        let begun = Instant::now();
        while !self.subject.container.freezer().is_frozen() {
            let run = self.served.run(number);
            if run["state"] == "ended" {
                return false;
            }
            assert!(begun.elapsed() < PATIENCE, "{run}");
        }
        true
    }

    /// Whether the run is seen to upload before it ends.
    fn uploads(&self, number: &Value) -> bool {
        self.served.meets(number, "uploading")
    }

    /// What waits of a run is made by the next service; there is one point more than before it.
    fn make(&self, number: &Value, before: usize) {
        let service = self.served.start();
        assert!(self.served.meets(number, "ended"));
        let run = self.served.run(number);
        assert_eq!(run["outcome"], "succeeded", "{run}");
        leftovers::end(service, &self.served.world, self.filesystem.path());
        assert_eq!(self.served.points(), before + 1, "{run}");
        assert!(!self.subject.container.freezer().is_frozen(), "{run}");
    }
}

#[test]
fn what_stands_still_runs_again_before_the_service_ends() {
    // All of it is copied while it stands still.
    let mut scene = Scene::new(&["stillpoint.driver=copy"]);
    let was_frozen = (0..TRIES_MAX).any(|_| {
        let before = scene.served.points();
        let (run, was_frozen) = scene.stop("0s", Scene::stands_still);
        assert_eq!(run["attempts"], 1, "{run}");
        scene.make(&run["id"], before);
        was_frozen
    });
    assert!(was_frozen, "it was never seen to stand still");
}

#[test]
fn an_upload_may_finish_within_the_grace() {
    let mut scene = Scene::new(&[]);
    let was_uploading = (0..TRIES_MAX).any(|_| {
        let before = scene.served.points();
        let (run, was_uploading) = scene.stop("60s", Scene::uploads);
        assert_eq!(run["end"]["outcome"]["result"], "succeeded", "{run}");
        assert_eq!(run["attempts"], 1, "{run}");
        assert_eq!(scene.served.points(), before + 1, "{run}");
        leftovers::assert_none(&scene.served.world, scene.filesystem.path());
        was_uploading
    });
    assert!(was_uploading, "no run was seen to upload");
}

#[test]
fn an_upload_that_is_cut_off_waits_for_the_next_service() {
    let mut scene = Scene::new(&[]);
    let was_cut_off = (0..TRIES_MAX).any(|_| {
        let before = scene.served.points();
        let (run, was_uploading) = scene.stop("0s", Scene::uploads);
        assert!(run["state"] == "waits" || run["state"] == "ended", "{run}");
        scene.make(&run["id"], before);
        was_uploading && run["state"] == "waits"
    });
    assert!(was_cut_off, "no upload was cut off");
}
