//! The units for systemd are what it understands, and thaw whatever happens.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");

fn units() -> Vec<PathBuf> {
    let entries = fs::read_dir(DEPLOY).unwrap().map(|entry| entry.unwrap().path());
    let is_unit = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "service" || extension == "timer")
    };
    entries.filter(is_unit).collect()
}

// systemd looks whether the program is there, so another one stands in for it.
fn findings(units: &[(String, String)]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new("systemd-analyze");
    command.args(["verify", "--man=no"]);
    for (name, text) in units {
        let path = directory.path().join(name);
        fs::write(&path, text.replace("/usr/bin/stillpoint", "/bin/true")).unwrap();
        command.arg(path);
    }
    let output = command.output().unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn systemd_understands_every_unit() {
    let read = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    let units: Vec<_> = units().iter().map(read).collect();
    assert!(units.len() >= 2, "{units:?}");
    let about_ours = |findings: &str| {
        findings.lines().filter(|line| line.contains("stillpoint")).map(str::to_owned).collect()
    };
    let found: Vec<String> = about_ours(&findings(&units));
    assert_eq!(found, [""; 0]);
    let wrong: Vec<_> = units
        .iter()
        .map(|(n, t)| (n.clone(), t.replace("KillMode=mixed", "KillMode=none!")))
        .collect();
    let found: Vec<String> = about_ours(&findings(&wrong));
    assert!(!found.is_empty(), "what is wrong is found");
}

#[test]
fn a_unit_that_freezes_thaws_when_it_stops() {
    for unit in ["stillpoint-backup@.service", "stillpoint.service"] {
        let text = fs::read_to_string(Path::new(DEPLOY).join(unit)).unwrap();
        for setting in ["KillMode=mixed", "Delegate=yes", "ExecStopPost=/usr/bin/stillpoint thaw"] {
            assert!(text.lines().any(|line| line == setting), "{unit}: {setting}");
        }
    }
}
