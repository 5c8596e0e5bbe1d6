//! One backup: freeze, snapshot, thaw, then store what changed.

mod page_maps;
mod parent;
mod progress;
mod reading;
mod rehearse;
mod report;
mod taken;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use catalog::{CatalogError, NewRun, RunEnd, RunOutcome};
use format::annotation::Note;
use format::ids::PointId;
use format::manifest::{Manifest, Occasion};
use format::raw::RawPath;
use jiff::Timestamp;
use platform::application::{Application, FileTree};
use repository::blocking;
use repository::error::chain;
use repository::writer::Writer;
use uploader::selection::Selection;
use uploader::upload::{Directories, Upload};
use uploader::volume::{Stillness, Volume};

use self::page_maps::PageMaps;
use self::parent::Parent;
pub use self::progress::{BackupProgress, Stage};
pub(crate) use self::reading::Reading;
pub use self::rehearse::RehearsalReport;
pub use self::report::{BackupReport, VolumeReport};
use self::taken::{Source, Taken};
use crate::deadline::Deadline;
use crate::engine::Engine;
use crate::error::ServiceError;
use crate::freeze::Target;

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
    /// Whether an application that would stand still for too long is read without a freeze, instead of
    /// not at all. The point then says so.
    pub degrade: bool,
    /// Whether the snapshot stays on this host as a local one, and how many of the application's do, with
    /// this one. The next backup reads only what lies elsewhere on the disk by then.
    pub keep_local: Option<u32>,
    /// What it is for; absent where a person asks for it.
    pub occasion: Option<Occasion>,
}

impl BackupRequest {
    /// All files of this, those that changed read.
    pub fn of(subject: Subject) -> Self {
        let (selection, tags) = (Selection::default(), Vec::new());
        let (full, degrade, keep_local, occasion) = (false, false, None, None);
        Self { subject, selection, full, tags, degrade, keep_local, occasion }
    }

    // The same without a freeze, where that is wanted rather than this error.
    fn degraded(mut self, error: &ServiceError) -> Option<Self> {
        match &mut self.subject {
            Subject::Application { freeze, .. } if self.degrade && error.is_too_slow() => {
                *freeze = false;
            }
            _ => return None,
        }
        Some(self)
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
    parent: Parent,
    selection: Selection,
    full: bool,
    /// Where the page maps of the application's volumes lie.
    page_maps: Option<PageMaps>,
}

impl How {
    fn volume(&self, name: &RawPath, tree: FileTree, stillness: Stillness) -> Volume {
        let base = self.parent.base.as_ref();
        Volume {
            name: name.clone(),
            base: base.and_then(|base| base.base(name, &tree)),
            tree,
            stillness,
            parent: self.parent.roots.get(name).cloned(),
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
            start: self.machine.run_start()?,
        };
        let run = self.catalog.begin_run(run).await?;
        let result = self.make(request, progress).await;
        let end = end_of(&result, self.machine.clock.now());
        if let Err(error) = self.catalog.finish_run(run, end).await {
            // What became of the backup itself is more important.
            warn(&error, "the end of the run was not written down");
        }
        self.machine.back_up_catalog_if_due(&self.catalog).await;
        result
    }

    /// The same, and the run is somebody else's to write down.
    pub(crate) async fn make(
        &self,
        request: BackupRequest,
        progress: &BackupProgress,
    ) -> Result<BackupReport, ServiceError> {
        match self.make_point(request.clone(), None, progress).await {
            Err(error) => match request.degraded(&error) {
                Some(request) => {
                    let why = format!("not frozen: {}", chain(&error));
                    tracing::warn!("{why}");
                    self.make_point(request, Some(why), progress).await
                }
                None => Err(error),
            },
            made => made,
        }
    }

    // `why` says why it is not what was asked for.
    async fn make_point(
        &self,
        request: BackupRequest,
        why: Option<String>,
        progress: &BackupProgress,
    ) -> Result<BackupReport, ServiceError> {
        let BackupRequest { subject, selection, full, tags, degrade: _, keep_local, occasion } =
            request;
        let (subject, unmade) = self.admit(subject).await?;
        if keep_local.is_some() && !unmade.is_empty() {
            let volumes = unmade.into_iter().map(|(name, _)| name.to_string()).collect();
            return Err(ServiceError::NotKept { volumes });
        }
        // All that is slow comes before the freeze: registering, loading the index, and looking
        // for what was saved last time.
        let mut warnings: Vec<_> = self.attach().await?.warning().into_iter().collect();
        let spool = (!unmade.is_empty()).then(|| self.machine.state_dir.join(SPOOL));
        let (cache, counters) = (self.cache.as_deref(), Arc::clone(&progress.upload));
        let directories = Directories { cache, spool: spool.as_deref() };
        let store = Arc::clone(&self.store);
        let upload = Upload::begin(store, &self.reader, &self.host, directories, counters).await?;
        let parent = self.parent(subject.name()).await;
        let page_maps = self.page_maps(subject.name());
        let how = Arc::new(How { parent, selection, full, page_maps });
        let (session, exit) = (upload.session(), upload.exit());
        let reading = Arc::new(Reading::new(upload, Arc::clone(&how), unmade));
        let mut taken = match self.find(subject, session, Some(&reading), progress).await {
            Ok(taken) => taken,
            Err(error) => {
                drop(reading);
                exit.leave().await;
                return Err(error);
            }
        };
        taken.remarks.extend(why);
        taken.occasion = occasion;
        let snapshot = taken.snapshot.take();
        let stored = match reading.end() {
            Ok((upload, read)) => self.store_volumes(upload, &taken, (&how, &read), progress).await,
            Err(error) => Err(error),
        };
        taken.let_go().await;
        drop(exit);
        let manifest = match stored {
            Ok(upload) => {
                progress.enter(Stage::Committing);
                let committed = upload.commit(|uploaded| taken.manifest(&self.host, uploaded));
                committed.await.map_err(ServiceError::from)
            }
            Err(error) => Err(error),
        };
        let kept = manifest.as_ref().ok().zip(keep_local);
        warnings.extend(self.machine.keep_or_release(snapshot, session, kept).await);
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
    // prune would wait for it. Answers which volumes have to be read inside the freeze.
    async fn admit(
        &self,
        subject: Subject,
    ) -> Result<(Subject, Vec<(RawPath, FileTree)>), ServiceError> {
        let unmade = match &subject {
            Subject::Application { name, freeze, hooks, deadline } => {
                let (application, ..) =
                    self.machine.resolve(name, (*freeze, *hooks), *deadline).await?;
                if *freeze { self.without_snapshot(application).await? } else { Vec::new() }
            }
            Subject::Paths { name, paths } => {
                self.find_paths(name.clone(), paths)?;
                Vec::new()
            }
        };
        Ok((subject, unmade))
    }

    async fn without_snapshot(
        &self,
        application: Application,
    ) -> Result<Vec<(RawPath, FileTree)>, ServiceError> {
        let run = Writer::unused_point();
        let find = move || consistency::without_snapshot(&application, run);
        let unmade = blocking::run(find).await?;
        let with_hidden = |(name, mut tree): (RawPath, FileTree)| {
            let source = tree.root.clone();
            tree.hidden.extend(self.own_directories_below(&source, &mut Vec::new()));
            (name, tree)
        };
        Ok(unmade.into_iter().map(with_hidden).collect())
    }

    // What is to be read: a snapshot, or what lies there.
    async fn find(
        &self,
        subject: Subject,
        run: PointId,
        reading: Option<&Arc<Reading>>,
        progress: &BackupProgress,
    ) -> Result<Taken, ServiceError> {
        let target = match subject {
            Subject::Application { name, freeze, hooks, deadline } => {
                Target { name, freeze, hooks, deadline, former: None }
            }
            Subject::Paths { name, paths } => return self.find_paths(name, &paths),
        };
        let ready = self.machine.make_ready(target, run, reading, progress).await?;
        progress.enter(Stage::Freezing);
        self.take(ready).await
    }

    async fn record(&self, manifest: &Manifest) -> Result<(), CatalogError> {
        self.catalog.insert_point(self.reader.id(), manifest).await?;
        let application = (manifest.application.clone(), manifest.platform.clone());
        self.catalog.record_applications(vec![application], manifest.taken).await
    }

    async fn store_volumes(
        &self,
        mut upload: Upload,
        taken: &Taken,
        (how, read): (&How, &BTreeSet<RawPath>),
        progress: &BackupProgress,
    ) -> Result<Upload, ServiceError> {
        let sources = taken.sources.iter().filter(|source| !read.contains(&source.name));
        for Source { name, tree, .. } in sources {
            progress.enter(Stage::Uploading(name.clone()));
            let volume = how.volume(name, tree.clone(), taken.stillness);
            upload = upload.volume(volume).await?;
        }
        Ok(upload)
    }
}

/// How a run ended.
fn end_of(result: &Result<BackupReport, ServiceError>, ended: Timestamp) -> RunEnd {
    let outcome = match result {
        Ok(report) if report.omissions.is_empty() => RunOutcome::Succeeded,
        Ok(_) => RunOutcome::Partial,
        Err(error) => RunOutcome::Failed { error: chain(error) },
    };
    RunEnd { ended, outcome, point: result.as_ref().ok().map(|report| report.point) }
}

/// Where in the state directory things wait until a freeze is over.
const SPOOL: &str = "spool";

fn warn(error: &CatalogError, what: &str) {
    tracing::warn!(error = error as &dyn std::error::Error, "{what}");
}
