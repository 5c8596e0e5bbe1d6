//! One backup: freeze, snapshot, thaw, then store what changed.

mod page_maps;
mod parent;
mod progress;
mod rehearse;
mod report;
mod taken;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use catalog::{CatalogError, NewRun, RunEnd, RunOutcome};
use consistency::Request;
use consistency::hooks::Plan;
use format::annotation::Note;
use format::ids::PointId;
use format::manifest::Manifest;
use format::raw::RawPath;
use platform::application::{Application, FileTree};
use uploader::selection::Selection;
use uploader::upload::Upload;
use uploader::volume::{Stillness, Volume};

use self::page_maps::PageMaps;
use self::parent::Roots;
pub use self::progress::{BackupProgress, Stage};
pub use self::rehearse::RehearsalReport;
pub use self::report::{BackupReport, VolumeReport};
use self::taken::{Source, Taken, release};
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
        /// Whether its hooks are run.
        hooks: bool,
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
    /// A dropped future leaves no restore point; the warden thaws what is frozen, the next command
    /// runs the hooks that are owed, and the next backup removes the snapshots.
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
        let mut taken = match self.find(subject, upload.session(), progress).await {
            Ok(taken) => taken,
            Err(error) => {
                upload.abandon().await;
                return Err(error);
            }
        };
        let snapshot = taken.snapshot.take();
        let how = How { parent, selection, full, page_maps };
        let stored = self.store_volumes(upload, &taken, &how, progress).await;
        taken.let_go().await;
        let manifest = match stored {
            Ok(upload) => {
                progress.enter(Stage::Committing);
                let committed = upload.commit(|uploaded| taken.manifest(&self.host, uploaded));
                committed.await.map_err(ServiceError::from)
            }
            Err(error) => Err(error),
        };
        if let Some(snapshot) = snapshot {
            release(snapshot).await;
        }
        let manifest = manifest?;
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
            Subject::Application { name, freeze, hooks, deadline } => {
                self.resolve(name, (*freeze, *hooks), *deadline).await.map(drop)
            }
            Subject::Paths { name, paths } => self.find_paths(name.clone(), paths).map(drop),
        }
    }

    // An application as it stands, its hooks, and how long it may be frozen.
    async fn resolve(
        &self,
        name: &str,
        (freeze, hooks): (bool, bool),
        deadline: Deadline,
    ) -> Result<(Application, Plan, Duration), ServiceError> {
        let application = self.platforms.application(name).await?;
        if application.volumes.is_empty() {
            return Err(ServiceError::NothingToSave(name.to_owned()));
        }
        let limit = if freeze { deadline.budget(&application)?.limit } else { deadline.maximum };
        let hooks = if hooks { self.platforms.hooks(&application)? } else { Plan::default() };
        let hooks = if freeze { hooks } else { hooks.without_holds() };
        Ok((application, hooks, limit))
    }

    // What is to be read: a snapshot, or what lies there.
    async fn find(
        &self,
        subject: Subject,
        run: PointId,
        progress: &BackupProgress,
    ) -> Result<Taken, ServiceError> {
        let (name, freeze, hooks, deadline) = match subject {
            Subject::Application { name, freeze, hooks, deadline } => {
                (name, freeze, hooks, deadline)
            }
            Subject::Paths { name, paths } => return self.find_paths(name, &paths),
        };
        let (application, plan, deadline) = self.resolve(&name, (freeze, hooks), deadline).await?;
        progress.enter(Stage::Freezing);
        let warden = self.warden.clone();
        let engine_sockets = self.platforms.engine_sockets();
        let request = Request { application, run, deadline, warden, engine_sockets, freeze };
        self.take(request, plan).await
    }

    async fn record(&self, manifest: &Manifest) -> Result<(), CatalogError> {
        self.catalog.insert_point(self.reader.id(), manifest).await?;
        let (name, platform) = (&manifest.application, &manifest.platform);
        self.catalog.record_application(name, platform, manifest.taken).await
    }

    async fn store_volumes(
        &self,
        mut upload: Upload,
        taken: &Taken,
        how: &How,
        progress: &BackupProgress,
    ) -> Result<Upload, ServiceError> {
        for Source { name, tree, .. } in &taken.sources {
            progress.enter(Stage::Uploading(name.clone()));
            let volume = how.volume(name, tree.clone(), taken.stillness);
            upload = upload.volume(volume).await?;
        }
        Ok(upload)
    }
}

fn warn(error: &CatalogError, what: &str) {
    tracing::warn!(error = error as &dyn std::error::Error, "{what}");
}
