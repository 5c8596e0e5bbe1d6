//! One backup, from registration to commit.

use std::sync::Arc;

use format::ids::PointId;
use format::manifest::{Manifest, Omission, Statistics};
use format::raw::RawPath;
use format::tree::Slice;
use platform::application::FileTree;
use repository::blocking;
use repository::chunks::Chunks;
use repository::reader::Reader;
use repository::store::Store;
use repository::writer::Writer;

use crate::content::ContentReader;
use crate::error::UploadError;
use crate::intake::Intake;
use crate::pipeline::Pipeline;
use crate::progress::Progress;
use crate::walk::{Walk, Walked};

/// An upload in progress. Dropped before [`Upload::commit`], it leaves no restore point.
pub struct Upload {
    writer: Writer,
    pipeline: Pipeline,
    progress: Arc<Progress>,
    state: Box<State>,
    statistics: Statistics,
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

// What a walk needs and changes; it moves to the thread that walks, and back.
struct State {
    intake: Intake,
    reader: ContentReader,
}

impl Upload {
    /// Registers a session and loads the index: everything slow that can be done before a freeze.
    ///
    /// `store` must be the one that `reader` reads; `host` is the name of this machine.
    pub async fn begin(
        store: Arc<dyn Store>,
        reader: &Reader,
        host: &str,
        progress: Arc<Progress>,
    ) -> Result<Self, UploadError> {
        let writer = Writer::register(store, reader, host).await?;
        // After the registration: from now on a prune leaves alone what is relied on here.
        let stored = Arc::new(Chunks::load(reader, None).await?);
        let (inlet, pipeline) = Pipeline::start(&writer, &progress)?;
        let intake = Intake::new(stored, writer.clone(), inlet);
        let reader = ContentReader::new(writer.keys().cut_key());
        let state = Box::new(State { intake, reader });
        Ok(Self { writer, pipeline, progress, state, statistics: Statistics::default() })
    }

    /// The id of the restore point to be.
    pub fn point(&self) -> PointId {
        self.writer.point()
    }

    /// Reads a whole volume and stores what is new of it.
    ///
    /// # Cancellation
    /// A dropped future leaves the upload unusable, and no restore point.
    pub async fn volume(
        mut self,
        name: RawPath,
        tree: FileTree,
    ) -> Result<(Self, StoredVolume), UploadError> {
        let (mut state, progress) = (self.state, Arc::clone(&self.progress));
        let walking = blocking::run(move || {
            let walk = Walk::new(name, tree, &mut state.intake, &mut state.reader, progress).run();
            (walk, state)
        });
        let (walked, state) = walking.await;
        self.state = state;
        match walked {
            // The pipeline knows why it does not take any more.
            Err(UploadError::Stopped) => {
                drop(self.state);
                Err(self.pipeline.finish().await.err().unwrap_or(UploadError::Stopped))
            }
            Err(error) => Err(error),
            Ok(Walked { root, files, bytes, read, omissions }) => {
                self.statistics.files += files;
                self.statistics.scanned = self.statistics.scanned.saturating_add(bytes);
                self.statistics.read += read;
                Ok((self, StoredVolume { root, files, bytes, data: read, omissions }))
            }
        }
    }

    /// Waits until all is stored, and makes the restore point exist.
    ///
    /// `manifest` gets the final counts and returns the record to commit.
    pub async fn commit(
        mut self,
        manifest: impl FnOnce(Statistics) -> Manifest,
    ) -> Result<Manifest, UploadError> {
        self.statistics.changed = self.state.intake.changed();
        let intake = self.state.intake;
        let finished = blocking::run(move || intake.finish()).await;
        let packs = self.pipeline.finish().await?;
        finished?;
        self.statistics.stored = packs.iter().map(|pack| pack.size).sum();
        self.statistics.sent = self.statistics.stored;
        if !packs.is_empty() {
            self.statistics.sent += self.writer.store_index(packs).await?;
        }
        let manifest = manifest(self.statistics);
        self.writer.commit(manifest.clone()).await?;
        Ok(manifest)
    }
}
