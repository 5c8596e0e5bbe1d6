//! A small application, what is done with its repository, and an account of what was promised.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use format::ids::PointId;
use format::manifest::{Level, Manifest, Statistics, VolumeRecord};
use format::raw::RawPath;
use format::slot::{Inscription, Label};
use format::tree::{FileTime, Slice};
use jiff::Timestamp;
use platform::application::FileTree;
use repository::blocking;
use repository::check::{self, Check, CheckReport};
use repository::chunks::Chunks;
use repository::error::{RepositoryError, chain};
use repository::forget::{self, Request};
use repository::maintainer::Maintainer;
use repository::prune::{Options, Prune, Report, Unused};
use repository::reader::Reader;
use repository::repair::{self, Repaired};
use repository::store::{MaintainStore, ReadStore, Store};
use repository::unlock::{self, Key, KeyFile, NewSlot};
use restore::execute::execute;
use restore::plan::Plan;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use uploader::rehearsal::StoredVolume;
use uploader::selection::Selection;
use uploader::upload::{Directories, Upload, Uploaded};
use uploader::volume::{Stillness, Volume};

use crate::files::{self, Files};

/// Whatever went wrong.
pub type Failure = Box<dyn Error + Send + Sync>;

/// What the program said, and what therefore must hold from then on.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// The points that were reported as made, with their files.
    pub committed: BTreeMap<PointId, Files>,
    /// The points that somebody asked to forget, whatever the answer was.
    pub given_up: BTreeSet<PointId>,
    /// The points that were reported as forgotten.
    pub forgotten: BTreeSet<PointId>,
    /// What failed, and how.
    pub failures: Vec<String>,
}

/// An application and a place for what is restored of it.
#[derive(Debug)]
pub struct World {
    folder: TempDir,
    restores: AtomicU64,
}

/// A repository as one process sees it.
#[derive(Clone, Debug)]
pub struct Process<'a> {
    world: &'a World,
    store: Arc<dyn MaintainStore>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// A new world. Its files lie in memory: nothing here is about disks.
    pub fn new() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        Self { folder, restores: AtomicU64::new(0) }
    }

    /// A path of this world.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A process that works on the repository in `store`.
    pub fn process(&self, store: Arc<dyn MaintainStore>) -> Process<'_> {
        Process { world: self, store }
    }
}

/// What unlocks every repository here.
pub fn key() -> Key {
    Key::File(KeyFile::new([7; 32]))
}

/// Makes a repository in this store.
pub async fn init(store: &dyn MaintainStore) -> Result<(), Failure> {
    let inscription = Inscription { label: Label::default(), created: Timestamp::UNIX_EPOCH };
    let slot = NewSlot { key: key(), inscription };
    unlock::create(store, slot, Vec::new()).await?;
    Ok(())
}

/// A runtime whose time goes by thousands of times as fast as it should: who waits for half an
/// hour waits for milliseconds. Work itself takes as long as it does.
pub fn hurried<T>(work: impl Future<Output = T>) -> T {
    let runtime: Runtime =
        Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let result = runtime.block_on(async {
        let clock = async {
            loop {
                blocking::run(|| std::thread::sleep(Duration::from_micros(200))).await;
                tokio::time::advance(Duration::from_secs(10)).await;
            }
        };
        tokio::select! {
            result = work => result,
            () = clock => unreachable!("the clock never stops"),
        }
    });
    runtime.shutdown_background();
    result
}

impl Process<'_> {
    /// Makes the repository.
    pub async fn init(&self) -> Result<(), Failure> {
        init(self.store.as_ref()).await
    }

    /// Unlocks it to read.
    pub async fn reader(&self) -> Result<Reader, RepositoryError> {
        let readable: Arc<dyn ReadStore> = Arc::<dyn MaintainStore>::clone(&self.store);
        Reader::open(readable, &key()).await
    }

    /// Makes a restore point of these files, with `parent` as the one before it.
    pub async fn backup(
        &self,
        files: &Files,
        parent: Option<Vec<Slice>>,
    ) -> Result<Manifest, Failure> {
        let source = self.world.path("source");
        files::write(&source, files);
        let reader = self.reader().await?;
        let store: Arc<dyn Store> = Arc::<dyn MaintainStore>::clone(&self.store);
        let directories = Directories::default();
        let upload = Upload::begin(store, &reader, "host", directories, Arc::default()).await?;
        let volume = Volume {
            name: RawPath::new("data"),
            tree: FileTree { root: source, ..FileTree::default() },
            stillness: Stillness::Snapshot(FileTime { seconds: 0, nanoseconds: 0 }),
            parent,
            selection: Selection::default(),
            full: false,
            base: None,
            page_maps: None,
        };
        let record = |stored: &StoredVolume| {
            assert!(stored.omissions.is_empty(), "left out: {:?}", stored.omissions);
            VolumeRecord {
                name: RawPath::new("data"),
                source: RawPath::new("/data"),
                driver: "none".into(),
                mounts: Vec::new(),
                root: stored.root.clone(),
                files: stored.files,
                bytes: stored.bytes,
                data: stored.data,
            }
        };
        let manifest = |uploaded: Uploaded<'_>| {
            let volumes = uploaded.volumes.into_values().map(record).collect();
            manifest(uploaded.point, volumes, uploaded.statistics)
        };
        Ok(upload.volume(volume).await?.commit(manifest).await?)
    }

    /// The files of a point, as a restore gives them back.
    pub async fn restore(&self, point: PointId) -> Result<Files, Failure> {
        // None has the place of another: threads of a process that died may still write there.
        let number = self.world.restores.fetch_add(1, Ordering::Relaxed);
        let target = self.world.path(&format!("target-{number}"));
        let reader = self.reader().await?;
        let manifest = reader.point(point).await?.ok_or("the session was fenced")?;
        let chunks = Arc::new(Chunks::load(&reader, None).await?);
        let plan = Plan::make(&manifest, &target)?.clear()?;
        let report = execute(plan, manifest, chunks, Arc::default()).await?;
        if let Some(lost) = report.lost.first() {
            return Err(format!("lost {}: {}", lost.path, lost.reason).into());
        }
        let found = files::read(&target.join("data"));
        std::fs::remove_dir_all(&target)?;
        Ok(found)
    }

    /// Forgets a point.
    pub async fn forget(&self, point: PointId) -> Result<(), Failure> {
        let maintainer = self.maintainer().await?;
        let when = Timestamp::UNIX_EPOCH;
        let request = Request { who: "test".into(), when, why: "old".into() };
        Ok(forget::forget(&maintainer, &[point], &request).await?)
    }

    /// Gives back the space of what is forgotten.
    pub async fn prune(&self) -> Result<Report, Failure> {
        let maintainer = self.maintainer().await?;
        // Everything that is not needed goes, so that much is copied.
        let options = Options { max_unused: Unused::Percent(0.0), ..Options::usual("host", None) };
        Ok(Prune::plan(&maintainer, options, Arc::default()).await?.execute().await?)
    }

    async fn maintainer(&self) -> Result<Maintainer, Failure> {
        Ok(Maintainer::open(Arc::clone(&self.store), &key()).await?)
    }

    /// Whether all is well, every byte read.
    pub async fn check(&self) -> Result<CheckReport, Failure> {
        Ok(check::check(&self.reader().await?, true).await?)
    }

    /// Plans a repair of what a check finds, every byte read, and carries it out.
    pub async fn repair(&self) -> Result<Repaired, Failure> {
        let reader = self.reader().await?;
        let mut check = Check::begin(&reader).await?;
        let packs = check.packs().to_vec();
        check.read(packs, &check::Progress::default()).await?;
        let plan = repair::plan(&reader, check).await?;
        let store: Arc<dyn Store> = Arc::<dyn MaintainStore>::clone(&self.store);
        Ok(repair::execute(store, &reader, plan, "host").await?)
    }

    /// The points that exist and are not forgotten.
    pub async fn points(&self) -> Result<BTreeSet<PointId>, Failure> {
        let reader = self.reader().await?;
        let mut points = BTreeSet::new();
        for session in reader.sessions().await? {
            match reader.point(session).await {
                Err(RepositoryError::Forgotten(_)) => {}
                manifest => points.extend(manifest?.map(|manifest| manifest.point)),
            }
        }
        Ok(points)
    }
}

impl Account {
    /// Takes down what a backup of `files` said.
    pub fn backup(&mut self, result: Result<Manifest, Failure>, files: Files) -> Option<Manifest> {
        match result {
            Ok(manifest) => {
                self.committed.insert(manifest.point, files);
                Some(manifest)
            }
            Err(error) => {
                self.failures.push(format!("backup: {}", chain(error.as_ref())));
                None
            }
        }
    }

    /// Takes down what a restore said. It may fail; it must not give back anything else.
    ///
    /// # Panics
    /// When it says that it is done and the files are others.
    pub fn restore(&mut self, point: PointId, result: Result<Files, Failure>) {
        match result {
            Ok(found) => assert!(found == self.committed[&point], "{point} was restored wrong"),
            Err(error) => self.failures.push(format!("restore: {}", chain(error.as_ref()))),
        }
    }

    /// Takes down that something failed, if it did.
    pub fn note<T>(&mut self, what: &str, result: Result<T, Failure>) -> Option<T> {
        let noted =
            |error: Failure| self.failures.push(format!("{what}: {}", chain(error.as_ref())));
        result.map_err(noted).ok()
    }

    /// Compares what was promised with what is there, as a process sees it whose store is well.
    pub async fn settle(&self, process: &Process<'_>) -> Result<(), Failure> {
        let there = process.points().await?;
        if let Some(point) = self.forgotten.intersection(&there).next() {
            return Err(format!("point {point} was forgotten and is there").into());
        }
        for (point, files) in &self.committed {
            if self.given_up.contains(point) {
                continue;
            }
            if !there.contains(point) {
                return Err(format!("point {point} is lost").into());
            }
            let found = process.restore(*point).await;
            let found =
                found.map_err(|e| format!("point {point} is lost: {}", chain(e.as_ref())))?;
            if found != *files {
                return Err(format!("point {point} has other files than were saved").into());
            }
        }
        Ok(())
    }
}

pub(crate) fn manifest(
    point: PointId,
    volumes: Vec<VolumeRecord>,
    statistics: Statistics,
) -> Manifest {
    Manifest {
        point,
        application: "shop".into(),
        platform: "path".into(),
        host: "host".into(),
        taken: Timestamp::UNIX_EPOCH,
        level: Level::Fuzzy,
        remarks: Vec::new(),
        volumes,
        definition: serde_json::Value::Null,
        evidence: None,
        statistics,
        omissions: Vec::new(),
        occasion: None,
    }
}
