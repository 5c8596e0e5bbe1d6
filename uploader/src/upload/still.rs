//! Volumes that no snapshot can be made of: read while they are used, as often as that helps, and then
//! once more while they stand still.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use repository::blocking;
use repository::writer::Writer;

use super::Upload;
use crate::error::UploadError;
use crate::volume::Volume;

/// How a reading of volumes in use went.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// How long the reading took: about as long as the next takes at the most, if as much changes
    /// meanwhile and, unless it was on trial, if the store is no faster then.
    pub took: Duration,
    /// How many bytes were new.
    pub changed: u64,
    /// Whether what was new waited on this machine.
    pub trial: bool,
}

/// The way out of an upload that will have no restore point.
pub struct Exit(Writer);

impl Upload {
    /// Reads volumes that are in use, and stores what is new of them, so that little is left to read
    /// when they stand still. It may be done again.
    ///
    /// On trial, what is new waits on this machine until all is read, as it does when they stand
    /// still. Everything that the next reading needs is on this machine then.
    pub async fn ahead(
        mut self,
        volumes: Vec<Volume>,
        trial: bool,
    ) -> Result<(Self, Round), UploadError> {
        self.door.spool.hold(trial);
        for volume in volumes {
            let volume = self.after_its_last_reading(volume);
            let (pass, stored) = self.pass.volume(volume.clone()).await?;
            self.pass = pass;
            self.book.ahead.insert(volume.name, stored.root);
        }
        self.door.spool.hold(false);
        let round = Round { took: self.pass.took(), changed: self.pass.changed(), trial };
        self.book.add(self.pass.end().await?);
        let (maps, mut lent) =
            (std::mem::take(&mut self.book.maps), std::mem::take(&mut self.book.lent));
        self.book.lent = blocking::run(move || {
            lent.lend(maps);
            lent
        })
        .await;
        self.pass = self.door.pass(&self.writer).await?;
        Ok((self, round))
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
