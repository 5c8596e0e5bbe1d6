//! The service: each run once, whatever happens to it and to the clock.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

#[path = "serve/health.rs"]
mod health;
#[path = "serve/leftovers.rs"]
mod leftovers;
#[path = "serve/process.rs"]
mod process;
#[path = "serve/resume.rs"]
mod resume;
#[path = "serve/steps.rs"]
mod steps;
#[path = "serve/stop.rs"]
mod stop;
#[path = "serve/time.rs"]
mod time;

use std::fs;
use std::path::Path;

use tests::containers::{BUSYBOX, Container, belongs_to, bind, unique};
use tests::directory::Directory;
use tests::lab;

/// What an application does now and then unless it is said otherwise.
const LOG: &str = "date >> /data/log";

/// A container that writes on btrfs now and then, under policies that its label names.
struct Application {
    name: String,
    container: Container,
    _directory: Directory,
}

impl Application {
    fn start(policies: &str) -> Self {
        Self::with(&lab::btrfs(), policies, LOG)
    }

    /// One that does this, on the filesystem of `parent`.
    fn with(parent: &Path, policies: &str, work: &str) -> Self {
        let directory = Directory::inside(parent);
        let volume = directory.volume("data");
        fs::write(volume.join("file"), "content").unwrap();
        let name = unique("served");
        let (mount, label) =
            (bind(&volume, "/data"), format!("--label=stillpoint.policy={policies}"));
        let script = format!("while true; do {work}; sleep 0.1; done");
        let options = [belongs_to(&name), label, mount];
        let command = [BUSYBOX, "sh", "-c", script.as_str()].map(str::to_owned);
        let container = Container::run(&name, options.iter().chain(&command));
        Self { name, container, _directory: directory }
    }

    fn is_frozen(&self) -> bool {
        self.container.freezer().is_frozen()
    }
}

/// A configuration with these policies, and a repository that a key file opens.
fn configuration(directory: &Path, policies: &str) -> String {
    let (repository, key) = (directory.join("repository"), directory.join("key"));
    let (repository, key) = (repository.display(), key.display());
    format!("[repositories.main]\nurl = \"{repository}\"\nkey_file = \"{key}\"\n{policies}")
}
