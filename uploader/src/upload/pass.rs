//! Once through all volumes, by one index.

use std::path::Path;
use std::sync::Arc;

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
use crate::volume::Volume;

/// A pass in progress.
pub(super) struct Pass {
    /// The generation that the index was loaded at.
    generation: u64,
    pipeline: Pipeline,
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
    ) -> Result<Self, UploadError> {
        let Known { chunks, generation } = writer.known(cache).await?;
        let (inlet, pipeline) = Pipeline::start(writer, progress)?;
        let intake = Intake::new(Arc::new(chunks), Some(inlet));
        let reading = Rehearsal::of(intake, Arc::clone(progress));
        Ok(Self { generation, pipeline, reading })
    }

    /// Whether the tree with this root can be found.
    pub(super) fn has(&self, root: &[Slice]) -> bool {
        self.reading.has(root)
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
                Err(self.pipeline.finish().await.err().unwrap_or(UploadError::Stopped))
            }
            Err(error) => Err(error),
        }
    }

    /// Waits until all is stored.
    pub(super) async fn end(self) -> Result<Ended, UploadError> {
        let Self { generation, pipeline, reading } = self;
        let (mut statistics, maps, intake) = reading.end()?;
        let finished = blocking::run(move || intake.finish()).await;
        let Sent { packs, index } = pipeline.finish().await?;
        finished?;
        statistics.stored = packs;
        statistics.sent = packs + index;
        Ok(Ended { generation, statistics, maps })
    }
}
