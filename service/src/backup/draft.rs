//! What a restore point says that does not come from its upload.

use std::path::Path;

use format::evidence::Evidence;
use format::manifest::{Level, Manifest, MountRecord, Occasion, Omission, VolumeRecord};
use format::raw::RawPath;
use jiff::Timestamp;
use platform::application::{FileTree, MissingVolume, Mount};
use serde::{Deserialize, Serialize};
use uploader::rehearsal::StoredVolume;
use uploader::upload::Uploaded;

/// What a restore point says whose upload had to begin again.
const RESTARTED: &str = "a prune ended the session of this backup, which had been silent for half an hour; \
     the same snapshot was uploaded in another one";

/// A restore point to be. Its definition contains secrets: never print it.
#[derive(Deserialize, Serialize)]
pub(super) struct Draft {
    pub(super) application: String,
    pub(super) platform: String,
    pub(super) at: Timestamp,
    pub(super) level: Level,
    pub(super) remarks: Vec<String>,
    pub(super) definition: serde_json::Value,
    pub(super) evidence: Option<Evidence>,
    /// What it is for; absent where a person asked for it.
    pub(super) occasion: Option<Occasion>,
    /// Volumes that cannot be found.
    pub(super) missing: Vec<Omission>,
    pub(super) sources: Vec<Source>,
}

/// One volume to be read.
#[derive(Deserialize, Serialize)]
pub(super) struct Source {
    pub(super) name: RawPath,
    /// Where the application has it.
    pub(super) origin: RawPath,
    pub(super) driver: String,
    pub(super) mounts: Vec<MountRecord>,
    #[serde(with = "tree")]
    pub(super) tree: FileTree,
}

impl Draft {
    /// The record of the point.
    pub(super) fn manifest(&self, host: &str, uploaded: Uploaded<'_>) -> Manifest {
        let Uploaded { point, statistics, volumes, restarts } = uploaded;
        let omitted = volumes.values().flat_map(|stored| stored.omissions.iter().cloned());
        let omissions = self.missing.iter().cloned().chain(omitted).collect();
        let stored = self.sources.iter().map(|source| (source, volumes.get(&source.name)));
        let stored = stored.filter_map(|(source, stored)| Some((source, *stored?)));
        let volume = |(source, stored): (&Source, &StoredVolume)| VolumeRecord {
            name: source.name.clone(),
            source: source.origin.clone(),
            driver: source.driver.clone(),
            mounts: source.mounts.clone(),
            root: stored.root.clone(),
            files: stored.files,
            bytes: stored.bytes,
            data: stored.data,
        };
        let restarted = (restarts > 0).then(|| RESTARTED.to_owned());
        Manifest {
            point,
            application: self.application.clone(),
            platform: self.platform.clone(),
            host: host.to_owned(),
            taken: self.at,
            level: self.level,
            remarks: self.remarks.iter().cloned().chain(restarted).collect(),
            volumes: stored.map(volume).collect(),
            definition: self.definition.clone(),
            evidence: self.evidence.clone(),
            statistics,
            omissions,
            occasion: self.occasion.clone(),
        }
    }
}

pub(super) fn omission(missing: MissingVolume) -> Omission {
    Omission { volume: missing.name, path: RawPath::default(), reason: missing.reason }
}

pub(super) fn mount_record(mount: &Mount) -> MountRecord {
    let (member, target) = (mount.member.clone(), raw(&mount.target));
    MountRecord { member, target, read_only: mount.read_only }
}

pub(super) fn raw(path: &Path) -> RawPath {
    RawPath::new(path.as_os_str().as_encoded_bytes())
}

/// A tree of files in words. What its copies had for stamps is left out: whoever has lost that reads them.
mod tree {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::PathBuf;

    use format::raw::RawPath;
    use platform::application::FileTree;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::raw;

    #[derive(Deserialize, Serialize)]
    struct Words {
        root: RawPath,
        grafts: Vec<(RawPath, RawPath)>,
        hidden: Vec<RawPath>,
    }

    pub(super) fn serialize<S: Serializer>(
        tree: &FileTree,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let grafts = tree.grafts.iter().map(|(below, root)| (raw(below), raw(root))).collect();
        let hidden = tree.hidden.iter().map(|path| raw(path)).collect();
        Words { root: raw(&tree.root), grafts, hidden }.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<FileTree, D::Error> {
        let path = |raw: &RawPath| PathBuf::from(OsStr::from_bytes(raw.as_bytes()));
        let Words { root, grafts, hidden } = Words::deserialize(deserializer)?;
        let grafts = grafts.iter().map(|(below, root)| (path(below), path(root))).collect();
        let hidden = hidden.iter().map(path).collect();
        Ok(FileTree { root: path(&root), grafts, hidden, originals: None })
    }
}
