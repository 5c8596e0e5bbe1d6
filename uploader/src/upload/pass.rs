//! Once through all volumes, by one index.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use format::manifest::Statistics;
use format::tree::Slice;
use repository::blocking;
use repository::writer::{Known, Writer};

use crate::error::UploadError;
use crate::intake::Intake;
use crate::maps::VolumeMaps;
use crate::pipeline::{Pipeline, Sent};
use crate::progress::Progress;
use crate::rehearsal::{Rehearsal, StoredVolume};
use crate::settled::Settled;
use crate::spool::Spool;
use crate::volume::Volume;

/// A pass in progress.
pub(super) struct Pass {
    /// The generation that the index was loaded at.
    generation: u64,
    pipeline: Pipeline,
    spool: Spool,
    reading: Rehearsal,
}

/// A pass that has ended: all of it is stored, and named in the index.
pub(super) struct Ended {
    pub(super) generation: u64,
    pub(super) statistics: Statistics,
    pub(super) maps: Vec<VolumeMaps>,
}

impl Pass {
    /// Loads the index of what the session may rely on now.
    pub(super) async fn begin(
        writer: &Writer,
        cache: Option<&Path>,
        progress: &Arc<Progress>,
        (spool, settled): (&Spool, &Settled),
    ) -> Result<Self, UploadError> {
        let Known { chunks, generation } = writer.known(cache).await?;
        let (inlet, pipeline) = Pipeline::start(writer, progress, spool)?;
        let chunks = Arc::new(chunks.with_nearby(spool.nearby().cloned()));
        let intake = Intake::new(chunks, Some(inlet)).with_nearby(spool.nearby().cloned());
        let reading = Rehearsal::of(intake, Arc::clone(progress), settled.clone());
        Ok(Self { generation, pipeline, spool: spool.clone(), reading })
    }

    /// Whether the tree with this root can be found.
    pub(super) fn has(&self, root: &[Slice]) -> bool {
        self.reading.has(root)
    }

    /// Whether everything that a tree needs is stored, or on its way.
    pub(super) async fn holds(&self, root: &[Slice]) -> Result<bool, UploadError> {
        self.reading.holds(root.to_vec()).await
    }

    /// Counts a volume that was read in another pass.
    pub(super) fn count(&mut self, stored: &StoredVolume) {
        self.reading.count(stored);
    }

    /// Reads on only as long as this is false.
    pub(super) fn until(&mut self, abandoned: Arc<AtomicBool>) {
        self.reading.until(abandoned);
    }

    /// How long the reading took so far.
    pub(super) fn took(&self) -> Duration {
        self.reading.took()
    }

    /// Reads a whole volume and stores what is new of it.
    pub(super) async fn volume(
        mut self,
        volume: Volume,
    ) -> Result<(Self, StoredVolume), UploadError> {
        match self.reading.volume(volume).await {
            Ok(stored) => Ok((self, stored)),
            // The pipeline knows why it does not take any more.
            Err(UploadError::Stopped) => {
                drop(self.reading);
                let failure = if self.spool.is_held() {
                    // Nobody waits for what is held back.
                    self.pipeline.failure().await
                } else {
                    self.pipeline.finish().await.err()
                };
                Err(failure.unwrap_or(UploadError::Stopped))
            }
            Err(error) => Err(error),
        }
    }

    /// Waits until all is stored.
    pub(super) async fn end(self) -> Result<Ended, UploadError> {
        let Self { generation, pipeline, spool: _, reading } = self;
        let (mut statistics, maps, intake) = reading.end()?;
        let finished = blocking::run(move || intake.finish()).await;
        let Sent { packs, index } = pipeline.finish().await?;
        finished?;
        statistics.stored = packs;
        statistics.sent = packs + index;
        Ok(Ended { generation, statistics, maps })
    }
}
