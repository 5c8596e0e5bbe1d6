//! Evidence: how a freeze went, measured on one monotonic clock.
//!
//! All times are microseconds since the first freeze was asked for.

use serde::{Deserialize, Serialize};

use crate::raw::RawPath;

/// The course of one freeze.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Evidence {
    /// From the first freeze to the last thaw.
    pub window_micros: u64,
    /// After how long the warden would have thawed by itself.
    pub deadline_micros: u64,
    /// Every container.
    pub members: Vec<MemberEvidence>,
    /// Every volume.
    pub volumes: Vec<VolumeEvidence>,
    /// The application's own hooks, in the order in which they began.
    #[serde(default)]
    pub hooks: Vec<HookEvidence>,
}

/// How one container went through the freeze.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MemberEvidence {
    /// The container's name.
    pub name: String,
    /// How it was frozen: `cgroup-v2`, `cgroup-v1` or `signal`; `paused` and `stopped` were
    /// found so and left so.
    pub method: String,
    /// When the freeze was asked for.
    pub freeze_micros: Option<u64>,
    /// When the kernel said that all its processes stand still.
    pub frozen_micros: Option<u64>,
    /// When the kernel said that they run again.
    pub thawed_micros: Option<u64>,
    /// Whether it stood still without a break from before the first snapshot to after the last.
    pub continuous: bool,
}

/// When one volume was snapshotted.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct VolumeEvidence {
    /// The volume's name.
    pub name: RawPath,
    /// The driver.
    pub driver: String,
    /// When the snapshot was begun.
    pub begin_micros: u64,
    /// When it was whole.
    pub end_micros: u64,
}

/// How one hook of a container went. Before the freeze its times are negative.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct HookEvidence {
    /// The container's name.
    pub member: String,
    /// Which hook: `pre`, `hold` and `post`, or a profile such as `mysql`.
    pub hook: String,
    /// When it was begun.
    pub begin_micros: i64,
    /// When it had ended.
    pub end_micros: i64,
    /// How it failed; absent when it went well.
    pub error: Option<String>,
}
