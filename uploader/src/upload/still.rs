//! Volumes that no snapshot can be made of: read while they are used, as often as that helps, and then
//! once more while they stand still.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use repository::blocking;
use repository::writer::Writer;

use super::Upload;
use crate::error::UploadError;
use crate::volume::Volume;

/// The way out of an upload that will have no restore point.
pub struct Exit(Writer);

impl Upload {
    /// Reads volumes that are in use, and stores what is new of them, so that little is left to read
    /// when they stand still. It may be done again.
    ///
    /// Everything that the next reading needs is on this machine then. Returns how long the reading
    /// took: about as long as the next takes at the most, if as much changes meanwhile and if the
    /// store is no faster then.
    pub async fn ahead(self, volumes: Vec<Volume>) -> Result<(Self, Duration), UploadError> {
        self.ahead_of(volumes).await?.turn().await
    }

    /// The same as it would be done while they stand still: what is new waits on this machine until
    /// all is read.
    ///
    /// # Errors
    /// [`UploadError::Abandoned`] when it takes longer than this limit.
    pub async fn on_trial(
        mut self,
        volumes: Vec<Volume>,
        limit: Duration,
    ) -> Result<(Self, Duration), UploadError> {
        let over = Arc::new(AtomicBool::new(false));
        self.pass.until(Arc::clone(&over));
        self.door.spool.hold(true);
        let spool = self.door.spool.clone();
        let mut reading = Box::pin(self.ahead_of(volumes));
        let read = tokio::select! {
            read = &mut reading => read,
            () = tokio::time::sleep(limit) => {
                over.store(true, Relaxed);
                reading.await
            }
        };
        spool.hold(false);
        let mut upload = read?;
        upload.pass.until(Arc::default());
        upload.turn().await
    }

    async fn ahead_of(mut self, volumes: Vec<Volume>) -> Result<Self, UploadError> {
        for volume in volumes {
            let volume = self.after_its_last_reading(volume);
            let (pass, stored) = self.pass.volume(volume.clone()).await?;
            self.pass = pass;
            self.book.ahead.insert(volume.name, stored.root);
        }
        Ok(self)
    }

    // On to the next pass, which has this one's trees at hand.
    async fn turn(mut self) -> Result<(Self, Duration), UploadError> {
        let took = self.pass.took();
        self.book.add(self.pass.end().await?);
        self.door.spool.is_whole()?;
        let (maps, mut lent) =
            (std::mem::take(&mut self.book.maps), std::mem::take(&mut self.book.lent));
        self.book.lent = blocking::run(move || {
            lent.lend(maps);
            lent
        })
        .await;
        self.pass = self.door.pass(&self.writer).await?;
        Ok((self, took))
    }

    /// Reads volumes for good while they stand still. What is new of them waits on this machine until
    /// [`Upload::resume`]. Ends soon when `abandoned` becomes true.
    pub async fn still(
        mut self,
        volumes: Vec<Volume>,
        abandoned: Arc<AtomicBool>,
    ) -> Result<Self, UploadError> {
        self.door.spool.hold(true);
        self.pass.until(abandoned);
        for volume in volumes {
            let volume = self.after_its_last_reading(volume);
            self = self.volume(volume).await?;
        }
        self.pass.until(Arc::default());
        Ok(self)
    }

    /// Sends what waited.
    pub fn resume(&self) {
        self.door.spool.hold(false);
    }

    /// What ends the session when the upload is given up: no prune need wait for it then.
    pub fn exit(&self) -> Exit {
        Exit(self.writer.clone())
    }

    fn after_its_last_reading(&self, mut volume: Volume) -> Volume {
        if let Some(root) = self.book.ahead.get(&volume.name) {
            volume.parent = Some(root.clone());
            // That is of the point before, and not of this reading.
            volume.base = None;
            // It was read already, whatever its stamps say.
            volume.full = false;
        }
        volume
    }
}

impl Exit {
    /// Ends the session without a restore point.
    pub async fn leave(self) {
        if let Err(error) = self.0.resolve().await {
            // A prune ends it when it was silent for half an hour.
            tracing::warn!(error = &error as &dyn std::error::Error, "the session was left open");
        }
    }
}
