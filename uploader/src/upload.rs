//! One backup, from registration to commit.
//!
//! While it runs a prune may condemn what it relies on. The session moves on to that prune's
//! generation by itself, and before the commit everything is looked up again: quickly, because the
//! tree just made says which files need not be read.

mod pass;
mod still;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use format::ids::PointId;
use format::manifest::{Manifest, Statistics};
use format::raw::RawPath;
use format::tree::Slice;
use repository::blocking;
use repository::error::RepositoryError;
use repository::reader::Reader;
use repository::store::Store;
use repository::writer::Writer;

use self::pass::{Ended, Pass};
pub use self::still::Exit;
use crate::error::UploadError;
use crate::maps::{Lent, VolumeMaps};
use crate::progress::Progress;
use crate::rehearsal::StoredVolume;
use crate::settled::Settled;
use crate::spool::Spool;
use crate::volume::{Stillness, Volume};

/// How often an upload begins a new session because a prune has ended the one before.
const RESTARTS_MAX: u32 = 3;

/// An upload in progress. Dropped before [`Upload::commit`], it leaves no restore point.
pub struct Upload {
    door: Door,
    book: Book,
    writer: Writer,
    pass: Pass,
}

/// An upload of which everything is stored, as the record of its restore point needs it.
#[derive(Clone, Debug)]
pub struct Uploaded<'a> {
    /// The id of the restore point to be.
    pub point: PointId,
    /// What was counted.
    pub statistics: Statistics,
    /// What the volumes became, by their names.
    pub volumes: BTreeMap<&'a RawPath, &'a StoredVolume>,
    /// How often it began again because a prune had ended its session.
    pub restarts: u32,
}

/// Where an upload keeps things on this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Directories<'a> {
    /// For what is read of the index, from one upload to the next.
    pub cache: Option<&'a Path>,
    /// For what has to wait while volumes stand still; without it none can be read ahead.
    pub spool: Option<&'a Path>,
}

/// What sessions are begun with.
struct Door {
    store: Arc<dyn Store>,
    reader: Reader,
    host: String,
    cache: Option<PathBuf>,
    progress: Arc<Progress>,
    spool: Spool,
    settled: Settled,
}

/// What became of the passes so far.
#[derive(Default)]
struct Book {
    volumes: Vec<(Volume, StoredVolume)>,
    /// The trees of volumes that were read ahead, by their names.
    ahead: HashMap<RawPath, Vec<Slice>>,
    statistics: Statistics,
    maps: Vec<VolumeMaps>,
    lent: Lent,
    restarts: u32,
}

impl Upload {
    /// Registers a session and loads the index: everything slow that can be done before a freeze.
    ///
    /// `store` must be the one that `reader` reads; `host` is the name of this machine.
    pub async fn begin(
        store: Arc<dyn Store>,
        reader: &Reader,
        host: &str,
        directories: Directories<'_>,
        progress: Arc<Progress>,
    ) -> Result<Self, UploadError> {
        let (reader, host, settled) = (reader.clone(), host.to_owned(), Settled::default());
        let cache = directories.cache.map(Path::to_owned);
        let spool = directories.spool.map_or_else(|| Ok(Spool::none()), Spool::inside)?;
        let door = Door { store, reader, host, cache, progress, spool, settled };
        let writer = door.register().await?;
        // After the registration: from now on a prune leaves alone what is relied on here.
        let pass = door.pass(&writer).await?;
        Ok(Self { door, book: Book::default(), writer, pass })
    }

    /// The id of the session. The restore point will have it too, unless a prune ends the session
    /// and the upload begins another one.
    pub fn session(&self) -> PointId {
        self.writer.point()
    }

    /// Reads a whole volume and stores what is new of it. What it is read from must stay until the
    /// commit, for it may be looked at once more.
    ///
    /// # Cancellation
    /// A dropped future leaves the upload unusable, and no restore point.
    pub async fn volume(mut self, volume: Volume) -> Result<Self, UploadError> {
        let (pass, stored) = self.pass.volume(volume.clone()).await?;
        self.pass = pass;
        self.book.volumes.push((volume, stored));
        Ok(self)
    }

    /// Waits until all is stored, and makes the restore point exist.
    ///
    /// `manifest` gets what was stored and returns the record to commit. It is asked again when a
    /// prune has ended the session, for another session then stores what is missing, from the same
    /// volumes.
    pub async fn commit(
        self,
        manifest: impl Fn(Uploaded<'_>) -> Manifest,
    ) -> Result<Manifest, UploadError> {
        let Self { door, mut book, mut writer, mut pass } = self;
        loop {
            (writer, pass) = match door.attempt(&mut book, (writer, pass), &manifest).await? {
                Attempt::Again(again) => *again,
                Attempt::Committed(manifest) => {
                    let keep = || {
                        book.lent.keep();
                        book.maps.into_iter().for_each(VolumeMaps::keep);
                    };
                    blocking::run(keep).await;
                    return Ok(*manifest);
                }
            };
        }
    }
}

/// What became of an attempt to commit.
enum Attempt {
    Committed(Box<Manifest>),
    /// What is relied on was looked up again, and another attempt may do.
    Again(Box<(Writer, Pass)>),
}

impl Door {
    // When it fails the session stays open: packs of an ended one that no index names are found amiss.
    async fn attempt(
        &self,
        book: &mut Book,
        (writer, pass): (Writer, Pass),
        manifest: &impl Fn(Uploaded<'_>) -> Manifest,
    ) -> Result<Attempt, UploadError> {
        let generation = book.add(pass.end().await?);
        let writer = match writer.stand(generation).await {
            Ok(standing) => {
                let manifest = manifest(book.uploaded(standing.point()));
                match standing.commit(manifest.clone()).await {
                    Ok(()) => return Ok(Attempt::Committed(Box::new(manifest))),
                    Err(RepositoryError::Fenced(point)) if book.restarts < RESTARTS_MAX => {
                        tracing::warn!(%point, "a prune has ended the session; another begins");
                        book.restarts += 1;
                        self.register().await?
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            Err(moved) => {
                tracing::info!("a prune is at work; what is relied on is looked up again");
                moved
            }
        };
        let pass = book.walk_again(self.pass(&writer).await?).await?;
        Ok(Attempt::Again(Box::new((writer, pass))))
    }

    async fn register(&self) -> Result<Writer, UploadError> {
        Ok(Writer::register(Arc::clone(&self.store), &self.reader, &self.host).await?)
    }

    async fn pass(&self, writer: &Writer) -> Result<Pass, UploadError> {
        let machine = (&self.spool, &self.settled);
        Pass::begin(writer, self.cache.as_deref(), &self.progress, machine).await
    }
}

impl Book {
    // Returns the generation that what the pass relies on was looked up at.
    fn add(&mut self, pass: Ended) -> u64 {
        let Ended { generation, statistics, mut maps } = pass;
        let before = self.statistics;
        self.statistics = Statistics {
            read: before.read + statistics.read,
            changed: before.changed + statistics.changed,
            stored: before.stored + statistics.stored,
            sent: before.sent + statistics.sent,
            // What there is does not grow by being looked at again.
            ..statistics
        };
        self.maps.append(&mut maps);
        generation
    }

    fn uploaded(&self, point: PointId) -> Uploaded<'_> {
        let volumes = self.volumes.iter().map(|(volume, stored)| (&volume.name, stored)).collect();
        Uploaded { point, statistics: self.statistics, volumes, restarts: self.restarts }
    }

    // The trees just made take the place of the parent's: what is stored is not read again, and
    // what is condemned now counts as not stored.
    async fn walk_again(&mut self, mut pass: Pass) -> Result<Pass, UploadError> {
        for (volume, stored) in &mut self.volumes {
            if let Stillness::Still(_) = volume.stillness {
                if !pass.holds(&stored.root).await? {
                    return Err(UploadError::Condemned { volume: volume.name.clone() });
                }
                pass.count(stored);
                continue;
            }
            let mut again = volume.clone();
            if pass.has(&stored.root) {
                again.parent = Some(stored.root.clone());
                // This backup has read it already, whatever its stamps say.
                again.full = false;
            }
            (pass, *stored) = pass.volume(again).await?;
        }
        Ok(pass)
    }
}
