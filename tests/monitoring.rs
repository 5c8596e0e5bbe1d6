//! The alerts in `deploy/` do what they say, as Prometheus itself has it.

#![cfg(feature = "lab")]

use std::process::Command;

use tests::directory::run;
use tests::lab::promtool;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/prometheus");

#[test]
fn the_alerts_are_understood_and_their_tests_pass() {
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]] {
        run(Command::new(promtool()).args(arguments).current_dir(DIRECTORY));
    }
}
