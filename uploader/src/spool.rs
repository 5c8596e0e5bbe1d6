//! Where things wait on this machine while an application stands still: then nothing is sent, and
//! nothing is fetched.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use format::pack::{PackRecord, SealedPack};
use repository::blocking;
use repository::nearby::Nearby;
use tokio::sync::watch;

use crate::error::UploadError;

/// What may lie in the directory at a time, beside the trees.
const BYTES_MAX: u64 = 4 << 30;

/// What a pass needs beside the store.
#[derive(Clone, Debug)]
pub(crate) struct Spool {
    directory: Option<PathBuf>,
    nearby: Option<Arc<Nearby>>,
    held: Arc<watch::Sender<bool>>,
    /// How many bytes of packs lie here.
    bytes: Arc<AtomicU64>,
}

impl Spool {
    /// None: everything is sent at once.
    pub(crate) fn none() -> Self {
        let held = Arc::new(watch::Sender::new(false));
        Self { directory: None, nearby: None, held, bytes: Arc::default() }
    }

    /// One in a directory, in files without names.
    pub(crate) fn inside(directory: &Path) -> Result<Self, UploadError> {
        let nearby = std::fs::create_dir_all(directory)
            .and_then(|()| tempfile::tempfile_in(directory))
            .map_err(|source| UploadError::Spool { directory: directory.to_owned(), source })?;
        let nearby = Some(Arc::new(Nearby::new(nearby)));
        Ok(Self { directory: Some(directory.to_owned()), nearby, ..Self::none() })
    }

    /// The trees that were made so far.
    pub(crate) fn nearby(&self) -> Option<&Arc<Nearby>> {
        self.nearby.as_ref()
    }

    /// Fails when a tree could not be kept: it would be fetched when nothing must be.
    pub(crate) fn is_whole(&self) -> Result<(), UploadError> {
        let (Some(nearby), Some(directory)) = (&self.nearby, &self.directory) else {
            return Ok(());
        };
        let failure = nearby.failure();
        failure.map_or(Ok(()), |source| {
            Err(UploadError::Spool { directory: directory.clone(), source })
        })
    }

    /// From now on, or no more, packs wait here. Without a directory none ever does.
    pub(crate) fn hold(&self, held: bool) {
        self.held.send_replace(held && self.directory.is_some());
    }

    /// Whether packs wait here.
    pub(crate) fn is_held(&self) -> bool {
        *self.held.borrow()
    }

    /// Takes a pack. Where packs wait, it lies in a file from then on.
    pub(crate) async fn put(&self, pack: SealedPack) -> Result<Waiting, UploadError> {
        match self.directory.clone() {
            Some(directory) if self.is_held() => {
                let length = pack.record.size;
                if self.bytes.fetch_add(length, Relaxed) + length > BYTES_MAX {
                    let source = io::ErrorKind::QuotaExceeded.into();
                    return Err(UploadError::Spool { directory, source });
                }
                blocking::run(move || Waiting::put(pack, directory)).await
            }
            _ => Ok(Waiting::Here(pack)),
        }
    }

    /// Returns when packs need not wait; then this many bytes do not lie here any more.
    pub(crate) async fn released(&self, length: u64) {
        // The sender lives as long as this.
        let _ = self.held.subscribe().wait_for(|held| !held).await;
        self.bytes.fetch_sub(length, Relaxed);
    }
}

/// A pack that may have to wait.
pub(crate) enum Waiting {
    Here(SealedPack),
    InFile(PackRecord, File, PathBuf),
}

impl Waiting {
    fn put(pack: SealedPack, directory: PathBuf) -> Result<Self, UploadError> {
        let write = |mut file: File| file.write_all(&pack.bytes).map(|()| file);
        match tempfile::tempfile_in(&directory).and_then(write) {
            Ok(file) => Ok(Self::InFile(pack.record, file, directory)),
            Err(source) => Err(UploadError::Spool { directory, source }),
        }
    }

    /// How long it is.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Here(pack) => pack.record.size,
            Self::InFile(record, ..) => record.size,
        }
    }

    /// The pack.
    pub(crate) async fn take(self) -> Result<SealedPack, UploadError> {
        match self {
            Self::Here(pack) => Ok(pack),
            Self::InFile(record, file, directory) => {
                let bytes = blocking::run(move || read(file)).await;
                let bytes = bytes.map_err(|source| UploadError::Spool { directory, source })?;
                Ok(SealedPack { bytes, record })
            }
        }
    }
}

fn read(mut file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
