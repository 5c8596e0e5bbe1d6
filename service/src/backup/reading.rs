//! Volumes that no snapshot can be made of: read while they are used, until that does not make the
//! next reading any shorter, and then once more inside the freeze.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use consistency::{StillReader, another_round_helps};
use format::raw::RawPath;
use format::tree::FileTime;
use platform::application::FileTree;
use tokio::runtime::Handle;
use uploader::error::UploadError;
use uploader::upload::Upload;
use uploader::volume::{Stillness, Volume};

use super::How;
use crate::clock;
use crate::error::ServiceError;

/// An upload in the hands of a freeze.
pub(crate) struct Reading {
    runtime: Handle,
    how: Arc<How>,
    /// Before anything was read for good.
    since: FileTime,
    /// The volumes that no snapshot can be made of, as they lie there.
    volumes: Vec<(RawPath, FileTree)>,
    /// Absent while it is at work, and after a failure.
    upload: Mutex<Option<Upload>>,
    /// The volumes that were read inside the freeze.
    read: Mutex<BTreeSet<RawPath>>,
}

impl Reading {
    /// To be called on a runtime.
    pub(super) fn new(upload: Upload, how: Arc<How>, volumes: Vec<(RawPath, FileTree)>) -> Self {
        Self {
            runtime: Handle::current(),
            how,
            since: clock::file_time(clock::now()),
            volumes,
            upload: Mutex::new(Some(upload)),
            read: Mutex::default(),
        }
    }

    /// Whether there is anything to read.
    pub(crate) fn is_needed(&self) -> bool {
        !self.volumes.is_empty()
    }

    /// Reads the volumes of an application while they are used, as often as that makes the next
    /// reading shorter.
    ///
    /// # Errors
    /// [`ServiceError::Restless`] when the last one took longer than this limit all the same.
    pub(crate) async fn approach(&self, name: &str, limit: Duration) -> Result<(), ServiceError> {
        let mut took = Vec::new();
        while another_round_helps(&took) {
            took.push(self.ahead(None).await?);
        }
        let took = took.last().copied().unwrap_or_default();
        if took <= limit {
            return Ok(());
        }
        // It may have waited for the store, which the last reading does not.
        match self.ahead(Some(limit)).await {
            Ok(trial) if trial <= limit => Ok(()),
            Ok(_)
            | Err(ServiceError::Upload(UploadError::Abandoned | UploadError::Spool { .. })) => {
                Err(ServiceError::Restless { name: name.to_owned(), took, limit })
            }
            Err(error) => Err(error),
        }
    }

    // Reads the volumes once while they are used; or on trial, for no longer than that.
    async fn ahead(&self, trial: Option<Duration>) -> Result<Duration, ServiceError> {
        let now = Stillness::Live(clock::file_time(clock::now()));
        let volumes = self.volumes.iter().map(|(name, tree)| self.volume(name, tree.clone(), now));
        let (volumes, upload) = (volumes.collect(), self.take_out()?);
        let (upload, took) = match trial {
            None => upload.ahead(volumes).await?,
            Some(limit) => upload.on_trial(volumes, limit).await?,
        };
        *self.upload.lock().unwrap_or_else(PoisonError::into_inner) = Some(upload);
        Ok(took)
    }

    /// The upload, and which volumes it has read already.
    pub(super) fn end(&self) -> Result<(Upload, BTreeSet<RawPath>), ServiceError> {
        let upload = self.take_out()?;
        upload.resume();
        let read = std::mem::take(&mut *self.read.lock().unwrap_or_else(PoisonError::into_inner));
        Ok((upload, read))
    }

    fn take_out(&self) -> Result<Upload, UploadError> {
        let upload = self.upload.lock().unwrap_or_else(PoisonError::into_inner).take();
        upload.ok_or(UploadError::Stopped)
    }

    fn volume(&self, name: &RawPath, mut tree: FileTree, stillness: Stillness) -> Volume {
        // What is ours inside a volume was found before.
        let known = self.volumes.iter().find(|(known, _)| known == name);
        let hidden: Vec<PathBuf> = known.iter().flat_map(|(_, tree)| tree.hidden.clone()).collect();
        tree.hidden.extend(hidden);
        self.how.volume(name, tree, stillness)
    }
}

impl StillReader for Reading {
    fn read(
        &self,
        volumes: Vec<(RawPath, FileTree)>,
        abandoned: &Arc<AtomicBool>,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let is_known = |name: &RawPath| self.volumes.iter().any(|(known, _)| known == name);
        if let Some((name, _)) = volumes.iter().find(|(name, _)| !is_known(name)) {
            return Err(format!("`{name}` had a snapshot driver when the backup began").into());
        }
        let still = Stillness::Still(self.since);
        let names: Vec<_> = volumes.iter().map(|(name, _)| name.clone()).collect();
        let volumes =
            volumes.into_iter().map(|(name, tree)| self.volume(&name, tree, still)).collect();
        let reading = self.take_out()?.still(volumes, Arc::clone(abandoned));
        let upload = self.runtime.block_on(reading)?;
        *self.upload.lock().unwrap_or_else(PoisonError::into_inner) = Some(upload);
        self.read.lock().unwrap_or_else(PoisonError::into_inner).extend(names);
        Ok(())
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("volumes", &self.volumes).finish_non_exhaustive()
    }
}
