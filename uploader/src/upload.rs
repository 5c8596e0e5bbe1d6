//! One backup, from registration to commit.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use format::chunker::Chunker;
use format::ids::PointId;
use format::manifest::{Manifest, Omission, Statistics};
use format::tree::{FileTime, Slice};
use repository::blocking;
use repository::chunks::Chunks;
use repository::reader::Reader;
use repository::store::Store;
use repository::writer::Writer;
use tokio::runtime::Handle;

use crate::assemble::{Assembled, Assembler};
use crate::error::UploadError;
use crate::event;
use crate::file::{self, Readers, Shared, Turnstile};
use crate::intake::Intake;
use crate::maps::{self, VolumeMaps};
use crate::pipeline::Pipeline;
use crate::progress::Progress;
use crate::stamp::StampRule;
use crate::volume::{Stamps, Stillness, Volume};
use crate::walk::Walk;

/// An upload in progress. Dropped before [`Upload::commit`], it leaves no restore point.
pub struct Upload {
    writer: Writer,
    pipeline: Pipeline,
    reading: Rehearsal,
}

/// The reading half of an upload: everything is read and compared, and nothing is stored.
pub struct Rehearsal {
    intake: Arc<Intake>,
    chunker: Arc<Chunker>,
    progress: Arc<Progress>,
    statistics: Statistics,
    maps: Vec<VolumeMaps>,
}

/// What a volume became.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredVolume {
    /// The stream with the entry of its root.
    pub root: Vec<Slice>,
    /// How many files of all kinds it has.
    pub files: u64,
    /// The sum of the sizes of its regular files, holes included.
    pub bytes: u64,
    /// The bytes of those that are no holes; a file with several names counts once.
    pub data: u64,
    /// What of it could not be read.
    pub omissions: Vec<Omission>,
}

impl Upload {
    /// Registers a session and loads the index: everything slow that can be done before a freeze.
    ///
    /// `store` must be the one that `reader` reads; `host` is the name of this machine. What is
    /// read of the index is kept below `cache`.
    pub async fn begin(
        store: Arc<dyn Store>,
        reader: &Reader,
        host: &str,
        cache: Option<&Path>,
        progress: Arc<Progress>,
    ) -> Result<Self, UploadError> {
        let writer = Writer::register(store, reader, host).await?;
        // After the registration: from now on a prune leaves alone what is relied on here.
        let stored = Arc::new(writer.known(cache).await?.chunks);
        let (inlet, pipeline) = Pipeline::start(&writer, &progress)?;
        let reading = Rehearsal::of(Intake::new(stored, Some(inlet)), progress);
        Ok(Self { writer, pipeline, reading })
    }

    /// The id of the restore point to be.
    pub fn point(&self) -> PointId {
        self.writer.point()
    }

    /// Reads a whole volume and stores what is new of it.
    ///
    /// # Cancellation
    /// A dropped future leaves the upload unusable, and no restore point.
    pub async fn volume(mut self, volume: Volume) -> Result<(Self, StoredVolume), UploadError> {
        match self.reading.volume(volume).await {
            Ok(stored) => Ok((self, stored)),
            // The pipeline knows why it does not take any more.
            Err(UploadError::Stopped) => {
                drop(self.reading);
                Err(self.pipeline.finish().await.err().unwrap_or(UploadError::Stopped))
            }
            Err(error) => Err(error),
        }
    }

    /// Waits until all is stored, and makes the restore point exist.
    ///
    /// `manifest` gets the final counts and returns the record to commit.
    pub async fn commit(
        self,
        manifest: impl FnOnce(Statistics) -> Manifest,
    ) -> Result<Manifest, UploadError> {
        let Self { writer, pipeline, reading } = self;
        let mut statistics = reading.statistics();
        let maps = reading.maps;
        // No reader is left: every volume was read to its end.
        let intake = Arc::into_inner(reading.intake).ok_or(UploadError::Stopped)?;
        let finished = blocking::run(move || intake.finish()).await;
        let packs = pipeline.finish().await?;
        finished?;
        statistics.stored = packs.iter().map(|pack| pack.size).sum();
        statistics.sent = statistics.stored;
        if !packs.is_empty() {
            statistics.sent += writer.store_index(packs).await?;
        }
        let manifest = manifest(statistics);
        let Ok(standing) = writer.stand(u64::MAX).await else { return Err(UploadError::Stopped) };
        standing.commit(manifest.clone()).await?;
        blocking::run(move || maps.into_iter().for_each(VolumeMaps::keep)).await;
        Ok(manifest)
    }
}

impl Rehearsal {
    /// Loads the index, to read and compare without storing anything.
    pub async fn begin(
        reader: &Reader,
        cache: Option<&Path>,
        progress: Arc<Progress>,
    ) -> Result<Self, UploadError> {
        let stored = Arc::new(Chunks::load(reader, cache).await?);
        Ok(Self::of(Intake::new(stored, None), progress))
    }

    fn of(intake: Intake, progress: Arc<Progress>) -> Self {
        let chunker = Arc::new(Chunker::new(intake.keys().cut_key()));
        let (intake, statistics) = (Arc::new(intake), Statistics::default());
        Self { intake, chunker, progress, statistics, maps: Vec::new() }
    }

    /// What was counted so far. Nothing counts as stored or sent.
    pub fn statistics(&self) -> Statistics {
        Statistics { changed: self.intake.changed(), ..self.statistics }
    }

    /// Reads a whole volume and compares it with what is stored.
    pub async fn volume(&mut self, volume: Volume) -> Result<StoredVolume, UploadError> {
        let stamps = Stamps::new(StampRule::at(settle(&volume)), &volume.tree);
        let (intake, chunker) = (Arc::clone(&self.intake), Arc::clone(&self.chunker));
        let progress = Arc::clone(&self.progress);
        let maps = volume.page_maps.as_deref().and_then(maps::open);
        let (runtime, large, cache) = (Handle::current(), Turnstile::default(), maps.clone());
        let blocks = file::blocks();
        let shared = Shared { chunker, intake, progress, stamps, maps, large, blocks, runtime };
        let (files, assembled) =
            blocking::run(move || read_volume(&volume, &Arc::new(shared))).await?;
        if let Some(cache) = cache {
            let (unchanged, new) = (assembled.unchanged, assembled.maps);
            self.maps.push(VolumeMaps { cache, unchanged, new });
        }
        self.statistics.files += files;
        self.statistics.scanned = self.statistics.scanned.saturating_add(assembled.bytes);
        self.statistics.read += assembled.read;
        Ok(StoredVolume {
            root: assembled.root.unwrap_or_default(),
            files,
            bytes: assembled.bytes,
            data: assembled.data,
            omissions: assembled.omissions,
        })
    }
}

// Until when what is on the disk is all there is: changes from then on leave other stamps.
fn settle(volume: &Volume) -> FileTime {
    let now = match volume.stillness {
        Stillness::Snapshot(since) => return since,
        Stillness::Live(now) => now,
    };
    // A store into a page that is dirty already leaves no trace, so what is dirty is written out.
    let written = File::open(&volume.tree.root).and_then(|root| Ok(rustix::fs::syncfs(root)?));
    // Where that fails no stamp can be relied on.
    written.map_or(FileTime { seconds: i64::MIN, nanoseconds: 0 }, |()| now)
}

fn read_volume(volume: &Volume, shared: &Arc<Shared>) -> Result<(u64, Assembled), UploadError> {
    let readers = Readers::start(shared).map_err(UploadError::Threads)?;
    let (teller, events) = event::channel();
    let walk = Walk::new(volume, shared, &readers, teller)?;
    let tree = Assembler::new(volume.name.clone(), &shared.chunker, &shared.intake);
    thread::scope(|scope| {
        let walking = scope.spawn(|| walk.run());
        // Takes the events with it, so that a walk whose tree cannot be stored ends too.
        let assembled = tree.run(events);
        let walked = walking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (walked, assembled) {
            (Ok(files), Ok(assembled)) => Ok((files, assembled)),
            // The walk stops because the other did.
            (Err(UploadError::Stopped) | Ok(_), Err(error)) | (Err(error), _) => Err(error),
        }
    })
}
