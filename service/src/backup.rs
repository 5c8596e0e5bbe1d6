//! One backup: freeze, snapshot, thaw, then store what changed.

mod draft;
mod page_maps;
mod parent;
mod pending;
mod progress;
mod reading;
mod rehearse;
mod report;
mod request;
mod taken;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use catalog::{CatalogError, NewRun, RunEnd, RunOutcome};
use format::annotation::Note;
use format::ids::PointId;
use format::manifest::Manifest;
use format::raw::RawPath;
use jiff::Timestamp;
use platform::application::{Application, FileTree};
use repository::blocking;
use repository::error::chain;
use repository::writer::Writer;
use uploader::selection::Selection;
use uploader::upload::{Directories, Upload};
use uploader::volume::{Stillness, Volume};

use self::draft::Source;
use self::page_maps::PageMaps;
use self::parent::Parent;
pub use self::pending::Errand;
pub(crate) use self::pending::Pending;
pub use self::progress::{BackupProgress, Stage};
pub(crate) use self::reading::Reading;
pub use self::rehearse::RehearsalReport;
pub use self::report::{BackupReport, VolumeReport};
pub use self::request::{BackupRequest, Subject};
use self::taken::Taken;
use crate::engine::Engine;
use crate::error::ServiceError;
use crate::freeze::Target;

/// An upload that was begun.
struct Begun {
    upload: Upload,
    how: Arc<How>,
    /// What the user should know about the repository's store.
    warnings: Vec<String>,
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
        match Box::pin(self.make_point(request.clone(), None, progress)).await {
            Err(error) => match request.degraded(&error) {
                Some(request) => {
                    let why = format!("not frozen: {}", chain(&error));
                    tracing::warn!("{why}");
                    Box::pin(self.make_point(request, Some(why), progress)).await
                }
                None => Err(error),
            },
            made => made,
        }
    }

    // `why` says why it is not what was asked for.
    async fn make_point(
        &self,
        mut request: BackupRequest,
        why: Option<String>,
        progress: &BackupProgress,
    ) -> Result<BackupReport, ServiceError> {
        let unmade = self.admit(&request.subject).await?;
        if request.keep_local.is_some() && !unmade.is_empty() {
            let volumes = unmade.into_iter().map(|(name, _)| name.to_string()).collect();
            return Err(ServiceError::NotKept { volumes });
        }
        // All that is slow comes before the freeze: registering, loading the index, and looking
        // for what was saved last time.
        let spool = (!unmade.is_empty()).then(|| self.machine.state_dir.join(SPOOL));
        let begun = self.begin_upload(&request, spool.as_deref(), (progress, None)).await?;
        let Begun { upload, how, mut warnings } = begun;
        let errand = request.errand.take_if(|_| unmade.is_empty());
        let (session, exit) = (upload.session(), upload.exit());
        let reading = Arc::new(Reading::new(upload, Arc::clone(&how), unmade));
        let subject = request.subject;
        let found = async {
            let mut taken = self.find(subject, session, Some(&reading), progress).await?;
            taken.draft.remarks.extend(why);
            taken.draft.occasion = request.occasion;
            let pending = match errand {
                Some(errand) => self.put_aside(&mut taken, session, errand).await?,
                None => None,
            };
            Ok((taken, pending))
        };
        let (mut taken, pending) = match found.await {
            Ok(found) => found,
            Err(error) => {
                drop(reading);
                exit.leave().await;
                return Err(error);
            }
        };
        let snapshot = taken.snapshot.take();
        let stored = match reading.end() {
            Ok((upload, read)) => self.store_volumes(upload, &taken, (&how, &read), progress).await,
            Err(error) => Err(error),
        };
        taken.let_go().await;
        drop(exit);
        let manifest = match stored {
            Ok(upload) => self.commit(upload, &taken, progress).await,
            Err(error) => Err(error),
        };
        let kept = manifest.as_ref().ok().zip(request.keep_local);
        warnings.extend(self.machine.keep_or_release(snapshot, session, kept).await);
        let manifest = manifest?;
        if let Some(pending) = pending {
            let kept = request.keep_local.map(|keep| (&manifest, keep));
            warnings.extend(self.machine.keep_or_discard(pending, kept).await);
        }
        Ok(self.conclude(&manifest, request.tags, warnings).await)
    }

    // `taken` says when the snapshot was, where there is one already.
    async fn begin_upload(
        &self,
        request: &BackupRequest,
        spool: Option<&Path>,
        (progress, taken): (&BackupProgress, Option<Timestamp>),
    ) -> Result<Begun, ServiceError> {
        let warnings = self.attach().await?.warning().into_iter().collect();
        let (cache, counters) = (self.cache.as_deref(), Arc::clone(&progress.upload));
        let (store, directories) = (Arc::clone(&self.store), Directories { cache, spool });
        let upload = Upload::begin(store, &self.reader, &self.host, directories, counters).await?;
        let name = request.subject.name();
        let (parent, page_maps) = (self.parent(name, taken).await, self.page_maps(name));
        let (selection, full) = (request.selection.clone(), request.full);
        Ok(Begun { upload, how: Arc::new(How { parent, selection, full, page_maps }), warnings })
    }

    async fn commit(
        &self,
        upload: Upload,
        taken: &Taken,
        progress: &BackupProgress,
    ) -> Result<Manifest, ServiceError> {
        progress.enter(Stage::Committing);
        Ok(upload.commit(|uploaded| taken.draft.manifest(&self.host, uploaded)).await?)
    }

    // The point exists.
    async fn conclude(
        &self,
        manifest: &Manifest,
        tags: Vec<String>,
        warnings: Vec<String>,
    ) -> BackupReport {
        // The next command adds it to a catalog that does not know it.
        if let Err(error) = self.record(manifest).await {
            warn(&error, "the catalog does not know the new point yet");
        }
        for tag in tags {
            self.note_if_possible(manifest.point, Note::Tag { tag }).await;
        }
        BackupReport::of(manifest, warnings)
    }

    // What is refused in any case is refused before there is a session: it would stay open, and a
    // prune would wait for it. Answers which volumes have to be read inside the freeze.
    async fn admit(&self, subject: &Subject) -> Result<Vec<(RawPath, FileTree)>, ServiceError> {
        match subject {
            Subject::Application { name, freeze, hooks, deadline } => {
                let (application, ..) =
                    self.machine.resolve(name, (*freeze, *hooks), *deadline).await?;
                if *freeze { self.without_snapshot(application).await } else { Ok(Vec::new()) }
            }
            Subject::Paths { name, paths } => {
                self.find_paths(name.clone(), paths)?;
                Ok(Vec::new())
            }
        }
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
        let sources = taken.draft.sources.iter().filter(|source| !read.contains(&source.name));
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
