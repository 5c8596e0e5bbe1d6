//! One backup: freeze, snapshot, thaw, then store what changed.

mod page_maps;
mod parent;
mod progress;
mod rehearse;
mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use catalog::{CatalogError, NewRun, RunEnd, RunOutcome};
use consistency::{GroupSnapshot, Request};
use format::annotation::Note;
use format::evidence::Evidence;
use format::ids::PointId;
use format::manifest::{Level, Manifest, MountRecord, Omission, VolumeRecord};
use format::raw::RawPath;
use jiff::Timestamp;
use platform::application::{Application, FileTree, MissingVolume, Mount};
use repository::blocking;
use repository::location::Location;
use uploader::rehearsal::StoredVolume;
use uploader::selection::Selection;
use uploader::upload::{Upload, Uploaded};
use uploader::volume::{Stillness, Volume};

use self::page_maps::PageMaps;
use self::parent::Roots;
pub use self::progress::{BackupProgress, Stage};
pub use self::rehearse::RehearsalReport;
pub use self::report::{BackupReport, VolumeReport};
use crate::clock;
use crate::deadline::Deadline;
use crate::engine::{Engine, this_process};
use crate::error::ServiceError;

/// What to back up, and how.
#[derive(Clone, Debug)]
pub struct BackupRequest {
    /// What.
    pub subject: Subject,
    /// Which files of it.
    pub selection: Selection,
    /// Whether to read every file, whatever its time of change.
    pub full: bool,
    /// The tags that the restore point gets.
    pub tags: Vec<String>,
}

impl BackupRequest {
    /// All files of this, those that changed read.
    pub fn of(subject: Subject) -> Self {
        Self { subject, selection: Selection::default(), full: false, tags: Vec::new() }
    }
}

/// What to back up.
#[derive(Clone, Debug)]
pub enum Subject {
    /// An application, as a group.
    Application {
        /// Its name.
        name: String,
        /// Whether it is frozen; without, its volumes may not agree.
        freeze: bool,
        /// After how long it runs again, whatever happens.
        deadline: Deadline,
    },
    /// Directories and files, as they are found.
    Paths {
        /// What the point is called.
        name: String,
        /// The paths.
        paths: Vec<PathBuf>,
    },
}

/// What a restore point says whose upload had to begin again.
const RESTARTED: &str = "a prune ended the session of this backup, which had been silent for half an hour; \
     the same snapshot was uploaded in another one";

/// What will be written, and what is known about it so far.
struct Taken {
    application: String,
    platform: String,
    at: Timestamp,
    level: Level,
    remarks: Vec<String>,
    definition: serde_json::Value,
    evidence: Option<Evidence>,
    /// Volumes that cannot be found.
    missing: Vec<Omission>,
    stillness: Stillness,
    sources: Vec<Source>,
    /// Kept until everything is read.
    snapshot: Option<GroupSnapshot>,
}

/// How the volumes are read.
struct How {
    parent: Roots,
    selection: Selection,
    full: bool,
    /// Where the page maps of the application's volumes lie.
    page_maps: Option<PageMaps>,
}

impl How {
    fn volume(&self, name: &RawPath, tree: FileTree, stillness: Stillness) -> Volume {
        Volume {
            name: name.clone(),
            tree,
            stillness,
            parent: self.parent.get(name).cloned(),
            selection: self.selection.clone(),
            full: self.full,
            page_maps: self.page_maps.as_ref().map(|maps| maps.of(name)),
        }
    }
}

/// One volume to be read.
struct Source {
    name: RawPath,
    origin: PathBuf,
    driver: String,
    mounts: Vec<Mount>,
    tree: FileTree,
}

impl Subject {
    fn name(&self) -> &str {
        match self {
            Self::Application { name, .. } | Self::Paths { name, .. } => name,
        }
    }
}

impl Engine {
    /// Makes one restore point.
    ///
    /// # Cancellation
    /// A dropped future leaves no restore point; the warden thaws what is frozen, and the next
    /// backup removes the snapshots.
    pub async fn backup(
        &self,
        request: BackupRequest,
        progress: &BackupProgress,
    ) -> Result<BackupReport, ServiceError> {
        let run = NewRun {
            application: request.subject.name().to_owned(),
            repository: Some(self.reader.id()),
            started: clock::now(),
            process: this_process()?,
        };
        let run = self.catalog.begin_run(run).await?;
        let result = self.make_point(request, progress).await;
        let outcome = match &result {
            Ok(report) if report.omissions.is_empty() => RunOutcome::Succeeded,
            Ok(_) => RunOutcome::Partial,
            Err(error) => RunOutcome::Failed { error: error.to_string() },
        };
        let point = result.as_ref().ok().map(|report| report.point);
        let end = RunEnd { ended: clock::now(), outcome, point };
        if let Err(error) = self.catalog.finish_run(run, end).await {
            // What became of the backup itself is more important.
            warn(&error, "the end of the run was not written down");
        }
        result
    }

    async fn make_point(
        &self,
        request: BackupRequest,
        progress: &BackupProgress,
    ) -> Result<BackupReport, ServiceError> {
        let BackupRequest { subject, selection, full, tags } = request;
        self.admit(&subject).await?;
        // All that is slow comes before the freeze: registering, loading the index, and looking
        // for what was saved last time.
        let warnings = self.attach().await?.warning().into_iter().collect();
        let store = Arc::clone(&self.store);
        let upload = Upload::begin(
            store,
            &self.reader,
            &self.host,
            self.cache.as_deref(),
            Arc::clone(&progress.upload),
        )
        .await?;
        let parent = self.parent(subject.name()).await;
        let page_maps = self.page_maps(subject.name());
        let mut taken = self.find(subject, upload.session(), progress).await?;
        let snapshot = taken.snapshot.take();
        let how = How { parent, selection, full, page_maps };
        let stored = self.store_volumes(upload, taken, &how, progress).await;
        if let Some(snapshot) = snapshot {
            release(snapshot).await;
        }
        let manifest = stored?;
        // The point exists; the next command adds it to a catalog that does not know it.
        if let Err(error) = self.record(&manifest).await {
            warn(&error, "the catalog does not know the new point yet");
        }
        for tag in tags {
            self.note_if_possible(manifest.point, Note::Tag { tag }).await;
        }
        Ok(BackupReport::of(&manifest, warnings))
    }

    // What is refused in any case is refused before there is a session: it would stay open, and a
    // prune would wait for it.
    async fn admit(&self, subject: &Subject) -> Result<(), ServiceError> {
        match subject {
            Subject::Application { name, freeze, deadline } => {
                self.resolve(name, *freeze, *deadline).await.map(drop)
            }
            Subject::Paths { name, paths } => self.find_paths(name.clone(), paths).map(drop),
        }
    }

    // An application as it stands, and how long it may be frozen.
    async fn resolve(
        &self,
        name: &str,
        freeze: bool,
        deadline: Deadline,
    ) -> Result<(Application, Duration), ServiceError> {
        let application = self.platforms.application(name).await?;
        if application.volumes.is_empty() {
            return Err(ServiceError::NothingToSave(name.to_owned()));
        }
        let limit = if freeze { deadline.budget(&application)?.limit } else { deadline.maximum };
        Ok((application, limit))
    }

    // What is to be read: a snapshot, or what lies there.
    async fn find(
        &self,
        subject: Subject,
        run: PointId,
        progress: &BackupProgress,
    ) -> Result<Taken, ServiceError> {
        let (name, freeze, deadline) = match subject {
            Subject::Application { name, freeze, deadline } => (name, freeze, deadline),
            Subject::Paths { name, paths } => return self.find_paths(name, &paths),
        };
        let (application, deadline) = self.resolve(&name, freeze, deadline).await?;
        progress.enter(Stage::Freezing);
        let warden = self.warden.clone();
        let engine_sockets = self.platforms.engine_sockets();
        self.take(Request { application, run, deadline, warden, engine_sockets, freeze }).await
    }

    async fn record(&self, manifest: &Manifest) -> Result<(), CatalogError> {
        self.catalog.insert_point(self.reader.id(), manifest).await?;
        let (name, platform) = (&manifest.application, &manifest.platform);
        self.catalog.record_application(name, platform, manifest.taken).await
    }

    async fn take(&self, request: Request) -> Result<Taken, ServiceError> {
        let before = request.application.clone();
        let at = clock::now();
        // Not later than the first snapshot.
        let begun = clock::file_time(at);
        let stillness =
            if request.freeze { Stillness::Snapshot(begun) } else { Stillness::Live(begun) };
        let snapshot = blocking::run(move || consistency::take(&request)).await?;
        // Who ran while the volumes stood still is known only after: a container that came or was
        // restarted meanwhile spoils the point.
        let after = self.platforms.application(&before.name).await?;
        let verdict = snapshot.verdict(&before, &after);
        let Application { name, platform, volumes, definition, left_out, missing, .. } = before;
        let mut remarks = [verdict.remarks, snapshot.remarks.clone(), left_out].concat();
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
            level: verdict.level,
            remarks,
            missing: missing.into_iter().map(omission).collect(),
            stillness,
            definition,
            evidence: snapshot.evidence.clone(),
            sources,
            snapshot: Some(snapshot),
        })
    }

    fn find_paths(&self, name: String, paths: &[PathBuf]) -> Result<Taken, ServiceError> {
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
            at: clock::now(),
            level: Level::Fuzzy,
            remarks,
            definition: serde_json::Value::Null,
            evidence: None,
            missing: Vec::new(),
            stillness: Stillness::Live(clock::file_time(clock::now())),
            sources,
            snapshot: None,
        })
    }

    // A repository inside what is backed up would swallow its own tail.
    fn own_directories_below(&self, root: &Path, remarks: &mut Vec<String>) -> Vec<PathBuf> {
        let repository = match &self.location {
            Location::Directory(path) => Some(path.as_path()),
            Location::S3 { .. } => None,
        };
        let own = repository.into_iter().chain([self.state_dir.as_path()]);
        let own = own.chain(self.cache.as_deref());
        let below: Vec<_> = own
            .filter_map(|path| Some(path.canonicalize().ok()?.strip_prefix(root).ok()?.to_owned()))
            .filter(|below| !below.as_os_str().is_empty())
            .collect();
        remarks.extend(below.iter().map(|own| {
            format!("`{}` was left out: it is Stillpoint's own", root.join(own).display())
        }));
        below
    }

    async fn store_volumes(
        &self,
        mut upload: Upload,
        taken: Taken,
        how: &How,
        progress: &BackupProgress,
    ) -> Result<Manifest, ServiceError> {
        for Source { name, tree, .. } in &taken.sources {
            progress.enter(Stage::Uploading(name.clone()));
            let volume = how.volume(name, tree.clone(), taken.stillness);
            upload = upload.volume(volume).await?;
        }
        progress.enter(Stage::Committing);
        Ok(upload.commit(|uploaded| taken.manifest(&self.host, uploaded)).await?)
    }
}

impl Taken {
    fn manifest(&self, host: &str, uploaded: Uploaded<'_>) -> Manifest {
        let Uploaded { point, statistics, volumes, restarts } = uploaded;
        let omitted = volumes.iter().flat_map(|stored| stored.omissions.iter().cloned());
        let omissions = self.missing.iter().cloned().chain(omitted).collect();
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
            volumes: self.sources.iter().zip(volumes).map(volume).collect(),
            definition: self.definition.clone(),
            evidence: self.evidence.clone(),
            statistics,
            omissions,
        }
    }
}

async fn release(snapshot: GroupSnapshot) {
    for left in blocking::run(move || snapshot.release()).await {
        // The point is whole; the next backup tries to remove what is left.
        tracing::warn!(%left, "a snapshot could not be removed");
    }
}

fn warn(error: &CatalogError, what: &str) {
    tracing::warn!(error = error as &dyn std::error::Error, "{what}");
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
