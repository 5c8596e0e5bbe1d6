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

/// The address of the container engine.
pub fn docker() -> String {
    variable("DOCKER_HOST")
}

#[allow(clippy::disallowed_methods, reason = "the lab is found through the environment")]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; run tests/run"))
}
