//! The manifest: the record of one restore point.
//!
//! Stored as JSON inside a sealed control object. See docs/format.md#manifest.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::evidence::Evidence;
use crate::ids::PointId;
use crate::raw::RawPath;
use crate::tree::Slice;

/// One restore point: what it holds, how it was taken, and what is known about it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Manifest {
    /// The point's id, which is that of the session that wrote it.
    pub point: PointId,
    /// The application, or the name given to a set of paths.
    pub application: String,
    /// What ran it: `docker`, `host`, or `path` for plain directories.
    pub platform: String,
    /// The machine it was taken on.
    pub host: String,
    /// When it was begun, just before the freeze, or before the reading where nothing was frozen.
    pub taken: Timestamp,
    /// What is proven about the agreement of the volumes.
    pub level: Level,
    /// Why the level is not higher, or the point not complete; one sentence each.
    pub remarks: Vec<String>,
    /// The volumes, each with its files.
    pub volumes: Vec<VolumeRecord>,
    /// The application as its platform described it. It contains secrets: never print it whole.
    pub definition: serde_json::Value,
    /// How the freeze went; absent where nothing was frozen.
    pub evidence: Option<Evidence>,
    /// What was counted while writing it.
    pub statistics: Statistics,
    /// What could not be saved.
    pub omissions: Vec<Omission>,
    /// What it was made for; absent where a person asked for it, and in older points.
    #[serde(default)]
    pub occasion: Option<Occasion>,
}

/// What a restore point was made for: a policy wanted one.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Occasion {
    /// The policy's name.
    pub policy: String,
    /// The moment for which it wanted one; not later than when the point was begun.
    pub due: Timestamp,
    /// The schedules that named this moment, or earlier ones whose points were missed, each without the
    /// number that it keeps.
    pub schedules: Vec<String>,
}

/// What a restore point proves. A later one is stronger.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Not frozen: files may not agree with one another.
    Fuzzy,
    /// Frozen as a group: like a power cut that hit every container at one instant.
    Crash,
    /// Frozen as a group while the application's own hooks held.
    Application,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fuzzy => "fuzzy",
            Self::Crash => "crash",
            Self::Application => "application",
        })
    }
}

/// One volume of a restore point.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct VolumeRecord {
    /// Its name on the platform, or its path where it has none.
    pub name: RawPath,
    /// Where it lay on the host.
    pub source: RawPath,
    /// How it was snapshotted: `btrfs`, `reflink`, `copy`, `live` where it was read in the freeze, or
    /// `none` where it was read in place.
    pub driver: String,
    /// Who mounted it.
    pub mounts: Vec<MountRecord>,
    /// A stream with the single [`crate::tree::Entry`] of its root.
    pub root: Vec<Slice>,
    /// How many files of all kinds it has.
    pub files: u64,
    /// The sum of the sizes of its regular files, holes included.
    pub bytes: u64,
    /// The bytes of those that take space when they are restored.
    pub data: u64,
}

/// One container's view of a volume.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MountRecord {
    /// The container's name.
    pub member: String,
    /// The path inside it.
    pub target: RawPath,
    /// Whether the container may only read.
    pub read_only: bool,
}

/// Something that should be in the restore point and is not.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Omission {
    /// The volume.
    pub volume: RawPath,
    /// The path below its root.
    pub path: RawPath,
    /// Why, in the words of the operating system.
    pub reason: String,
}

/// What a backup counted, in bytes unless said otherwise.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Statistics {
    /// How many files of all kinds were looked at.
    pub files: u64,
    /// The sum of the sizes of the regular files.
    pub scanned: u64,
    /// Read from the files.
    pub read: u64,
    /// Of those, in chunks that the repository did not have.
    pub changed: u64,
    /// Put into packs for that, compressed and sealed, metadata included.
    pub stored: u64,
    /// Sent to the store in all, the index segment included.
    pub sent: u64,
}
