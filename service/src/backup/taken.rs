//! What a backup reads: the group snapshot of an application, or directories as they lie there.

use std::path::{Path, PathBuf};

use consistency::GroupSnapshot;
use consistency::hooks::Held;
use consistency::local::Admitted;
use format::manifest::Level;
use platform::application::{Application, FileTree};
use repository::location::Location;
use uploader::volume::Stillness;

use super::draft::{Draft, Source, mount_record, omission, raw};
use crate::clock;
use crate::engine::Engine;
use crate::error::ServiceError;
use crate::freeze::{Frozen, Ready};

/// What will be written, and where it is read.
pub(super) struct Taken {
    pub(super) draft: Draft,
    pub(super) stillness: Stillness,
    /// Kept until everything is read, with what it is of.
    pub(super) snapshot: Option<(GroupSnapshot, Application)>,
    /// What is owed when everything is read, where the volumes are read in place.
    pub(super) held: Option<Held>,
    /// Nobody replaces the files while they are read in place.
    pub(super) admitted: Option<Admitted>,
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
                origin: raw(&volume.source),
                driver: taken.driver.to_owned(),
                mounts: volume.mounts.iter().map(mount_record).collect(),
                tree,
            });
        }
        let draft = Draft {
            application: name,
            platform: platform.to_owned(),
            at,
            level,
            remarks,
            definition,
            evidence: snapshot.evidence.clone(),
            occasion: None,
            missing: missing.into_iter().map(omission).collect(),
            sources,
        };
        Ok(Taken { draft, stillness, snapshot: Some((snapshot, whole)), held, admitted })
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
                origin: raw(&absolute),
                tree: FileTree { root: absolute, hidden, ..FileTree::default() },
            });
        }
        sources.sort_by(|a, b| a.name.cmp(&b.name));
        sources.dedup_by(|a, b| a.name == b.name);
        let draft = Draft {
            application: name,
            platform: "path".to_owned(),
            at: self.machine.clock.now(),
            level: Level::Fuzzy,
            remarks,
            definition: serde_json::Value::Null,
            evidence: None,
            occasion: None,
            missing: Vec::new(),
            sources,
        };
        let stillness = Stillness::Live(clock::file_time(clock::now()));
        Ok(Taken { draft, stillness, snapshot: None, held: None, admitted: None })
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
            self.draft.remarks.extend(held.after().await.remarks);
        }
    }
}
