//! What a backup reads: the group snapshot of an application, or directories as they lie there.

use std::path::{Path, PathBuf};

use consistency::GroupSnapshot;
use consistency::hooks::Held;
use consistency::local::Admitted;
use format::evidence::Evidence;
use format::manifest::{Level, Manifest, MountRecord, Occasion, Omission, VolumeRecord};
use format::raw::RawPath;
use jiff::Timestamp;
use platform::application::{Application, FileTree, MissingVolume, Mount};
use repository::location::Location;
use uploader::rehearsal::StoredVolume;
use uploader::upload::Uploaded;
use uploader::volume::Stillness;

use crate::clock;
use crate::engine::Engine;
use crate::error::ServiceError;
use crate::freeze::{Frozen, Ready};

/// What a restore point says whose upload had to begin again.
const RESTARTED: &str = "a prune ended the session of this backup, which had been silent for half an hour; \
     the same snapshot was uploaded in another one";

/// What will be written, and what is known about it so far.
pub(super) struct Taken {
    pub(super) application: String,
    platform: String,
    at: Timestamp,
    level: Level,
    pub(super) remarks: Vec<String>,
    definition: serde_json::Value,
    evidence: Option<Evidence>,
    /// What it is for; absent where a person asked for it.
    pub(super) occasion: Option<Occasion>,
    /// Volumes that cannot be found.
    pub(super) missing: Vec<Omission>,
    pub(super) stillness: Stillness,
    pub(super) sources: Vec<Source>,
    /// Kept until everything is read, with what it is of.
    pub(super) snapshot: Option<(GroupSnapshot, Application)>,
    /// What is owed when everything is read, where the volumes are read in place.
    pub(super) held: Option<Held>,
    /// Nobody replaces the files while they are read in place.
    pub(super) admitted: Option<Admitted>,
}

/// One volume to be read.
pub(super) struct Source {
    pub(super) name: RawPath,
    origin: PathBuf,
    pub(super) driver: String,
    mounts: Vec<Mount>,
    pub(super) tree: FileTree,
}

impl Engine {
    /// Freezes an application, and finds the files of its volumes.
    pub(super) async fn take(&self, ready: Ready) -> Result<Taken, ServiceError> {
        let freeze = ready.request.freeze;
        let frozen = self.machine.freeze(ready).await?;
        let Frozen { application, at, begun, level, mut remarks, snapshot, held, admitted } =
            frozen;
        let stillness = if freeze { Stillness::Snapshot(begun) } else { Stillness::Live(begun) };
        let whole = application.clone();
        let Application { name, platform, volumes, definition, missing, .. } = application;
        let mut sources = Vec::new();
        for volume in volumes {
            let taken = snapshot.volumes.iter().find(|taken| taken.name == volume.name);
            let Some(taken) = taken else { continue };
            let mut tree = taken.tree.clone();
            tree.hidden.extend(self.own_directories_below(&volume.source, &mut remarks));
            sources.push(Source {
                name: volume.name,
                origin: volume.source,
                driver: taken.driver.to_owned(),
                mounts: volume.mounts,
                tree,
            });
        }
        Ok(Taken {
            application: name,
            platform: platform.to_owned(),
            at,
            level,
            remarks,
            missing: missing.into_iter().map(omission).collect(),
            stillness,
            definition,
            evidence: snapshot.evidence.clone(),
            occasion: None,
            sources,
            snapshot: Some((snapshot, whole)),
            held,
            admitted,
        })
    }

    /// Directories and files, as they are found.
    pub(super) fn find_paths(
        &self,
        name: String,
        paths: &[PathBuf],
    ) -> Result<Taken, ServiceError> {
        let mut remarks =
            vec!["plain directories: they were read in place, and nothing was frozen".to_owned()];
        let mut sources = Vec::new();
        for path in paths {
            let absolute = path
                .canonicalize()
                .map_err(|source| ServiceError::Path { path: raw(path), source })?;
            let hidden = self.own_directories_below(&absolute, &mut remarks);
            sources.push(Source {
                name: raw(&absolute),
                driver: "none".to_owned(),
                mounts: Vec::new(),
                tree: FileTree { root: absolute.clone(), hidden, ..FileTree::default() },
                origin: absolute,
            });
        }
        sources.sort_by(|a, b| a.name.cmp(&b.name));
        sources.dedup_by(|a, b| a.name == b.name);
        Ok(Taken {
            application: name,
            platform: "path".to_owned(),
            at: self.machine.clock.now(),
            level: Level::Fuzzy,
            remarks,
            definition: serde_json::Value::Null,
            evidence: None,
            occasion: None,
            missing: Vec::new(),
            stillness: Stillness::Live(clock::file_time(clock::now())),
            sources,
            snapshot: None,
            held: None,
            admitted: None,
        })
    }

    // A repository inside what is backed up would swallow its own tail.
    pub(super) fn own_directories_below(
        &self,
        root: &Path,
        remarks: &mut Vec<String>,
    ) -> Vec<PathBuf> {
        let repository = match &self.location {
            Location::Directory(path) => Some(path.as_path()),
            Location::S3 { .. } => None,
        };
        let own = repository.into_iter().chain([self.machine.state_dir.as_path()]);
        let own = own.chain(self.cache.as_deref());
        let below: Vec<_> = own
            .filter_map(|path| Some(path.canonicalize().ok()?.strip_prefix(root).ok()?.to_owned()))
            .filter(|below| !below.as_os_str().is_empty())
            .collect();
        remarks.extend(below.iter().map(|own| {
            format!("`{}` was left out: it is Stillpoint's own", root.join(own).display())
        }));
        // Local snapshots are no part of what they show.
        let homes = self.machine.snapshot_homes().into_iter();
        let homes = homes.filter_map(|home| home.strip_prefix(root).ok().map(Path::to_owned));
        below.into_iter().chain(homes).collect()
    }
}

impl Taken {
    /// Nothing is read in place any more: the hooks run that come after.
    pub(super) async fn let_go(&mut self) {
        drop(self.admitted.take());
        if let Some(held) = self.held.take() {
            self.remarks.extend(held.after().await.remarks);
        }
    }

    /// The record of the point.
    pub(super) fn manifest(&self, host: &str, uploaded: Uploaded<'_>) -> Manifest {
        let Uploaded { point, statistics, volumes, restarts } = uploaded;
        let omitted = volumes.values().flat_map(|stored| stored.omissions.iter().cloned());
        let omissions = self.missing.iter().cloned().chain(omitted).collect();
        let stored = self.sources.iter().map(|source| (source, volumes.get(&source.name)));
        let stored = stored.filter_map(|(source, stored)| Some((source, *stored?)));
        let volume = |(source, stored): (&Source, &StoredVolume)| VolumeRecord {
            name: source.name.clone(),
            source: raw(&source.origin),
            driver: source.driver.clone(),
            mounts: source.mounts.iter().map(mount_record).collect(),
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

fn omission(missing: MissingVolume) -> Omission {
    Omission { volume: missing.name, path: RawPath::default(), reason: missing.reason }
}

fn mount_record(mount: &Mount) -> MountRecord {
    let (member, target) = (mount.member.clone(), raw(&mount.target));
    MountRecord { member, target, read_only: mount.read_only }
}

fn raw(path: &Path) -> RawPath {
    RawPath::new(path.as_os_str().as_encoded_bytes())
}
