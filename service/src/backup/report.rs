//! What a backup did.

use format::ids::PointId;
use format::manifest::{Level, Manifest, Omission, Statistics, VolumeRecord};
use format::raw::RawPath;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a backup did.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct BackupReport {
    /// The restore point.
    pub point: PointId,
    /// The application, or the name given to the paths.
    pub application: String,
    /// What is proven.
    pub level: Level,
    /// When it was taken.
    pub taken: Timestamp,
    /// From the first freeze to the last thaw; nothing when nothing was frozen.
    pub window_micros: Option<u64>,
    /// Why the level is not higher, and what was left out.
    pub remarks: Vec<String>,
    /// Every volume.
    pub volumes: Vec<VolumeReport>,
    /// What was counted.
    pub statistics: Statistics,
    /// What could not be read.
    pub omissions: Vec<Omission>,
    /// What the user should know about the repository's store.
    pub warnings: Vec<String>,
}

/// One volume of a backup.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct VolumeReport {
    /// Its name.
    pub name: RawPath,
    /// How it was snapshotted.
    pub driver: String,
    /// How many files of all kinds it has.
    pub files: u64,
    /// The sum of the sizes of its regular files.
    pub bytes: u64,
}

impl BackupReport {
    /// What is reported of a point.
    pub(crate) fn of(manifest: &Manifest, warnings: Vec<String>) -> Self {
        let volume = |v: &VolumeRecord| VolumeReport {
            name: v.name.clone(),
            driver: v.driver.clone(),
            files: v.files,
            bytes: v.bytes,
        };
        Self {
            point: manifest.point,
            application: manifest.application.clone(),
            level: manifest.level,
            taken: manifest.taken,
            window_micros: manifest.evidence.as_ref().map(|evidence| evidence.window_micros),
            remarks: manifest.remarks.clone(),
            volumes: manifest.volumes.iter().map(volume).collect(),
            statistics: manifest.statistics,
            omissions: manifest.omissions.clone(),
            warnings,
        }
    }
}
