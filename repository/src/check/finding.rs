//! What a check answers: counts, and findings with the class that says how bad they are.

use format::ids::PointId;
use format::names::ObjectName;
use format::raw::RawPath;
use serde::Serialize;

/// What a check looked at and what it found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CheckReport {
    /// How many restore points there are.
    pub points: u64,
    /// How many packs there are.
    pub packs: u64,
    /// Of those, how many were read and checked byte by byte.
    pub packs_read: u64,
    /// How many bytes they have.
    pub bytes_read: u64,
    /// How many chunks the packs have; one that lies in two of them counts twice.
    pub chunks: u64,
    /// How many control objects were opened and their links followed.
    pub records: u64,
    /// How many more files are lost than the findings name.
    pub unnamed: u64,
    /// What is wrong; nothing, when the repository is whole.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Finding {
    /// An index segment cannot be read.
    DamagedIndex {
        /// Its name.
        object: ObjectName,
        /// What is wrong with it.
        reason: String,
    },
    /// A pack has other bytes than were written.
    DamagedPack {
        /// Its name.
        object: ObjectName,
        /// What is wrong with it.
        reason: String,
    },
    /// A restore point cannot be read at all.
    DamagedPoint {
        /// Its id.
        point: PointId,
        /// What is wrong with it.
        reason: String,
    },
    /// A control object, or a key slot, is not what was written under its name.
    DamagedRecord {
        /// Its name.
        object: ObjectName,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or directory of a restore point is lost.
    LostFile {
        /// The restore point's id.
        point: PointId,
        /// The volume.
        volume: RawPath,
        /// The path below its root.
        path: RawPath,
        /// What is wrong with it.
        reason: String,
    },
    /// A pack that the index names is not there.
    MissingPack {
        /// Its name.
        object: ObjectName,
    },
    /// A control object that another one leads to is not there, and no prune has removed it.
    MissingRecord {
        /// Its name.
        object: ObjectName,
        /// What leads to it.
        named_by: ObjectName,
    },
    /// A control object is another one than the one that was linked to.
    ReplacedRecord {
        /// Its name.
        object: ObjectName,
        /// What leads to it.
        named_by: ObjectName,
    },
    /// The repository is not as this machine has seen it: it went back to an earlier state.
    RolledBack {
        /// What was there once, and is gone or another one now.
        object: ObjectName,
        /// How it was, and how it is.
        reason: String,
    },
    /// A pack of a session that has ended is in no index segment: one was lost.
    UnindexedPack {
        /// Its name.
        object: ObjectName,
    },
}

/// How bad a finding is. The later, the worse.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Objects are damaged or missing, and every restore point can be restored all the same.
    Damage,
    /// Somebody altered, dropped or put back objects that only a key holder can write.
    Evidence,
    /// Something of a restore point cannot be restored.
    Loss,
}

impl Finding {
    /// How bad it is.
    pub fn class(&self) -> Class {
        match self {
            Self::DamagedIndex { .. }
            | Self::DamagedPack { .. }
            | Self::MissingPack { .. }
            | Self::UnindexedPack { .. } => Class::Damage,
            Self::DamagedRecord { .. }
            | Self::MissingRecord { .. }
            | Self::ReplacedRecord { .. }
            | Self::RolledBack { .. } => Class::Evidence,
            Self::DamagedPoint { .. } | Self::LostFile { .. } => Class::Loss,
        }
    }
}

impl CheckReport {
    /// How bad the worst finding is; nothing, when there is none.
    pub fn class(&self) -> Option<Class> {
        self.findings.iter().map(Finding::class).max()
    }
}
