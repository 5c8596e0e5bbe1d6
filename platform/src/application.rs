//! An application as it stands right now: its members, their volumes, how to stop them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use format::raw::RawPath;
use format::tree::Stamp;
use serde::Serialize;

use crate::driver::Driver;

/// A named set of containers (or host processes) that must be consistent with one another.
#[derive(Clone, Debug, Default)]
pub struct Application {
    /// Its name on the platform.
    pub name: String,
    /// What runs it, such as `docker`.
    pub platform: &'static str,
    /// Its containers, in the order of their names.
    pub members: Vec<Member>,
    /// Every volume that a member mounts, in the order of their names.
    pub volumes: Vec<Volume>,
    /// What a member mounts and a backup leaves out on purpose; one sentence each.
    pub left_out: Vec<String>,
    /// Volumes that should be saved and cannot be found.
    pub missing: Vec<MissingVolume>,
    /// What is declared about it and makes no sense, so that it is not backed up; one sentence each.
    pub mistakes: Vec<String>,
    /// The platform's own description, whole. It contains secrets: never print it.
    pub definition: serde_json::Value,
}

/// One container of an application.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Member {
    /// Its name, unique in the application.
    pub name: String,
    /// The platform's id for this very container; another container never has it.
    pub id: String,
    /// When it was started, in the platform's words; changes with every restart.
    pub started: String,
    /// What it is doing.
    pub activity: Activity,
    /// Whether whatever runs it is about to start it again.
    pub restarting: bool,
    /// How its processes can be stopped; `None` when it has none or none can be found.
    pub freezer: Option<FreezeTarget>,
    /// Who would miss it while it stands still.
    pub watch: Watch,
    /// What its image is called; empty where there is none.
    pub image: String,
    /// What whoever made it says about it. It may contain secrets: never print it.
    pub labels: BTreeMap<String, String>,
}

/// What takes a container for dead that stands still for too long.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Watch {
    /// How long it may stand still before its health check has failed; absent where there is none.
    pub health: Option<Duration>,
    /// How long a lease lasts that it has to renew, in the words of whoever declares it.
    pub lease: Option<String>,
}

/// What a container is doing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Activity {
    /// Its processes run.
    Running,
    /// Somebody paused it; that is not ours to undo.
    Paused,
    /// It has no processes.
    #[default]
    Stopped,
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        })
    }
}

/// What has to be written to, or signalled, so that every process of a container stands still.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum FreezeTarget {
    /// The directory of its cgroup in a version 2 hierarchy, which has `cgroup.freeze`.
    CgroupV2(PathBuf),
    /// The directory of its cgroup in the version 1 `freezer` hierarchy.
    CgroupV1(PathBuf),
    /// A process and all its descendants, stopped by signals, for want of a cgroup of their own.
    ProcessTree(u32),
    /// A container that its engine is asked to pause, because whoever made it says so.
    Engine(EnginePause),
}

/// What an engine is asked to pause.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EnginePause {
    /// The socket that the engine listens on.
    pub socket: PathBuf,
    /// The id of the container.
    pub container: String,
    /// Its first process.
    pub root: u32,
    /// Its cgroup, to be looked at; absent where it cannot be seen.
    pub cgroup: Option<PathBuf>,
}

impl FreezeTarget {
    /// The name of the method in evidence and messages.
    pub fn method(&self) -> &'static str {
        match self {
            Self::CgroupV2(_) => "cgroup-v2",
            Self::CgroupV1(_) => "cgroup-v1",
            Self::ProcessTree(_) => "signal",
            Self::Engine(_) => "engine",
        }
    }
}

/// A tree of files that at least one member writes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Volume {
    /// The name on the platform, or the path where it has none.
    pub name: RawPath,
    /// Where the tree lies on this host: a directory, or a single file.
    pub source: PathBuf,
    /// Who mounts it.
    pub mounts: Vec<Mount>,
    /// Running containers outside the application that may write it too.
    pub outside_writers: Vec<String>,
    /// How it shall be snapshotted; absent where nobody says so.
    pub driver: Option<Driver>,
}

/// A volume that is declared or mounted, and whose files cannot be found.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct MissingVolume {
    /// The name on the platform, or the path where it has none.
    pub name: RawPath,
    /// Why there are no files.
    pub reason: String,
}

/// Why something that is mounted is no volume of a backup.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum NoVolume {
    /// It is none of the application's data.
    LeftOut(String),
    /// Its files cannot be found.
    Missing(String),
}

/// One container's view of a volume.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mount {
    /// The container's name.
    pub member: String,
    /// The path inside it.
    pub target: PathBuf,
    /// Whether the container may only read.
    pub read_only: bool,
}

/// A tree of files as a backup reads it: a root, with other trees in the place of some of its
/// directories.
///
/// The snapshot of a filesystem has empty directories where other filesystems are mounted and
/// where nested subvolumes lie; the grafts say where those were snapshotted to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FileTree {
    /// The directory, or the single file, to read.
    pub root: PathBuf,
    /// Path below the root → the directory that stands in its place.
    pub grafts: BTreeMap<PathBuf, PathBuf>,
    /// Paths below the root that are no part of the volume, such as our own snapshots.
    pub hidden: Vec<PathBuf>,
    /// Where the tree is a copy whose files have other numbers and times of change than the
    /// originals: device and number of a copied file → stamp of its original when it was copied.
    pub originals: Option<Arc<HashMap<(u64, u64), Stamp>>>,
}
