//! Where the lab is. `tests/run` starts it and says so in the environment.

use std::path::PathBuf;

/// The lab's btrfs.
pub fn btrfs() -> PathBuf {
    variable("STILLPOINT_LAB_BTRFS").into()
}

/// The lab's XFS with reflinks.
pub fn xfs() -> PathBuf {
    variable("STILLPOINT_LAB_XFS").into()
}

/// The lab's small filesystem, which a test may fill.
pub fn small() -> PathBuf {
    variable("STILLPOINT_LAB_SMALL").into()
}

/// The address of the lab's S3 service.
pub fn s3() -> String {
    variable("STILLPOINT_LAB_S3")
}

/// A Python that has what `tests/reader/` needs.
pub fn python() -> PathBuf {
    variable("STILLPOINT_LAB_PYTHON").into()
}

/// What checks rules of Prometheus.
pub fn promtool() -> PathBuf {
    variable("STILLPOINT_LAB_PROMTOOL").into()
}

/// A Python that has a mail server.
pub fn mail() -> PathBuf {
    variable("STILLPOINT_LAB_MAIL").into()
}

/// The address of the container engine.
pub fn docker() -> String {
    variable("DOCKER_HOST")
}

/// The one way in which every container must be frozen, where the engine knows only that one.
pub fn only_method() -> Option<String> {
    optional("STILLPOINT_METHOD")
}

/// How often to do something, if another number than usual is wanted.
pub fn rounds() -> Option<u32> {
    Some(optional("STILLPOINT_ROUNDS")?.parse().expect("STILLPOINT_ROUNDS is a number"))
}

fn variable(name: &str) -> String {
    optional(name).unwrap_or_else(|| panic!("{name} is not set; run tests/run"))
}

#[allow(clippy::disallowed_methods, reason = "the lab is found through the environment")]
fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
