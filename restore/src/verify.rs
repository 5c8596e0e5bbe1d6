//! A restore to nowhere: every byte of a point is read and checked as a restore would.

use std::sync::Arc;

use format::manifest::Manifest;
use repository::blocking;
use repository::chunks::Chunks;
use serde::Serialize;
use tokio::runtime::Handle;

use crate::error::RestoreError;
use crate::pipeline;
use crate::progress::Progress;
use crate::report::{Lost, RestoreReport};
use crate::site::Site;
use crate::walk::{Mode, Walker};

/// What was read of a point.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Verification {
    /// How many files of all kinds could be restored.
    pub files: u64,
    /// The sum of the sizes of the regular files.
    pub bytes: u64,
    /// How many bytes of content were read and checked; holes have none.
    pub read: u64,
    /// What a restore could not give back.
    pub lost: Vec<Lost>,
}

/// Reads every byte of the point through the pipeline of a restore, in its memory, and compares
/// each chunk with its name and each large file with its hash. Nothing is written.
///
/// # Cancellation
/// A dropped future leaves the threads that read at work until their volume is done.
pub async fn verify(
    manifest: Manifest,
    chunks: Arc<Chunks>,
    progress: Arc<Progress>,
) -> Result<Verification, RestoreError> {
    let runtime = Handle::current();
    blocking::run(move || {
        let mut report = RestoreReport::default();
        for volume in &manifest.volumes {
            let (chunks, progress) = (Arc::clone(&chunks), Arc::clone(&progress));
            let site = Site::new(volume.name.clone(), None, chunks, progress);
            let mode = Mode { in_place: false, delete: false };
            pipeline::run(&site, &runtime, |inlet| {
                Walker::new(&site, runtime.clone(), inlet, mode, volume.files)
                    .run(&volume.root, Vec::new());
            });
            let (read, ended) = site.end();
            ended?;
            report.add(read);
        }
        let RestoreReport { files, bytes, written: read, lost, .. } = report;
        Ok(Verification { files, bytes, read, lost })
    })
    .await
}
