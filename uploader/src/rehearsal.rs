//! The reading half of a backup: everything is read and compared.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use format::chunker::Chunker;
use format::manifest::{Omission, Statistics};
use format::tree::Slice;
use repository::blocking;
use repository::chunks::Chunks;
use repository::reader::Reader;
use tokio::runtime::Handle;

use crate::assemble::{Assembled, Assembler};
use crate::error::UploadError;
use crate::event;
use crate::file::{self, Readers, Shared, Turnstile};
use crate::intake::Intake;
use crate::maps::{self, VolumeMaps};
use crate::progress::Progress;
use crate::reach;
use crate::settled::Settled;
use crate::volume::{Stamps, Volume};
use crate::walk::Walk;

/// The reading half of an upload. By itself it stores nothing.
pub struct Rehearsal {
    intake: Arc<Intake>,
    chunker: Arc<Chunker>,
    progress: Arc<Progress>,
    settled: Settled,
    statistics: Statistics,
    maps: Vec<VolumeMaps>,
    /// When this becomes true, nothing more is read.
    abandoned: Arc<AtomicBool>,
    took: Duration,
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

impl Rehearsal {
    /// Loads the index, to read and compare without storing anything.
    pub async fn begin(
        reader: &Reader,
        cache: Option<&Path>,
        progress: Arc<Progress>,
    ) -> Result<Self, UploadError> {
        let stored = Arc::new(Chunks::load(reader, cache).await?);
        Ok(Self::of(Intake::new(stored, None), progress, Settled::default()))
    }

    /// Reads into `intake`, from devices that may be settled already.
    pub(crate) fn of(intake: Intake, progress: Arc<Progress>, settled: Settled) -> Self {
        let chunker = Arc::new(Chunker::new(intake.keys().cut_key()));
        let (intake, statistics) = (Arc::new(intake), Statistics::default());
        let abandoned = Arc::default();
        let (maps, took) = (Vec::new(), Duration::ZERO);
        Self { intake, chunker, progress, settled, statistics, maps, abandoned, took }
    }

    /// What was counted so far. Nothing counts as stored or sent.
    pub fn statistics(&self) -> Statistics {
        Statistics { changed: self.intake.changed(), ..self.statistics }
    }

    /// Whether a tree that was stored before can still be found.
    pub(crate) fn has(&self, root: &[Slice]) -> bool {
        // When in doubt everything is read.
        let index = self.intake.stored().index();
        !root.is_empty() && root.iter().all(|slice| index.holds(slice).unwrap_or(false))
    }

    /// Whether everything that a tree needs is stored, or on its way.
    pub(crate) async fn holds(&self, root: Vec<Slice>) -> Result<bool, UploadError> {
        let (intake, runtime) = (Arc::clone(&self.intake), Handle::current());
        blocking::run(move || reach::holds(&intake, &root, &runtime)).await
    }

    /// Counts a volume that was read in another pass.
    pub(crate) fn count(&mut self, stored: &StoredVolume) {
        self.statistics.files += stored.files;
        self.statistics.scanned = self.statistics.scanned.saturating_add(stored.bytes);
    }

    /// How long the reading took so far, without what came before and after it.
    pub(crate) fn took(&self) -> Duration {
        self.took
    }

    /// Reads on only as long as this is false.
    pub(crate) fn until(&mut self, abandoned: Arc<AtomicBool>) {
        self.abandoned = abandoned;
    }

    /// What was counted, the page maps, and the intake: no reader has it any more.
    pub(crate) fn end(self) -> Result<(Statistics, Vec<VolumeMaps>, Intake), UploadError> {
        let statistics = self.statistics();
        let intake = Arc::into_inner(self.intake).ok_or(UploadError::Stopped)?;
        Ok((statistics, self.maps, intake))
    }

    /// Reads a whole volume and compares it with what is stored.
    pub async fn volume(&mut self, volume: Volume) -> Result<StoredVolume, UploadError> {
        let stamps = Stamps::new(volume.stillness, self.settled.clone(), &volume.tree);
        let (intake, chunker) = (Arc::clone(&self.intake), Arc::clone(&self.chunker));
        let progress = Arc::clone(&self.progress);
        let maps = volume.page_maps.as_deref().and_then(maps::open);
        let (runtime, large, cache) = (Handle::current(), Turnstile::default(), maps.clone());
        let (blocks, abandoned) = (file::blocks(), Arc::clone(&self.abandoned));
        let shared =
            Shared { chunker, intake, progress, stamps, maps, large, blocks, runtime, abandoned };
        let begin = Instant::now();
        let (files, assembled) =
            blocking::run(move || read_volume(&volume, &Arc::new(shared))).await?;
        self.took += begin.elapsed();
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
