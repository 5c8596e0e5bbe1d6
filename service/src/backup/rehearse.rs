//! A backup that stores nothing: what would be read, and how much of it is new.

use format::manifest::{Omission, Statistics};
use format::raw::RawPath;
use repository::writer::Writer;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use uploader::rehearsal::Rehearsal;

use super::draft::Draft;
use super::taken::Taken;
use super::{BackupProgress, BackupRequest, How, Stage, Subject, VolumeReport};
use crate::deadline::Deadline;
use crate::engine::Engine;
use crate::error::ServiceError;

/// What a backup would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RehearsalReport {
    /// The application, or the name given to the paths.
    pub application: String,
    /// What would be left out, and why.
    pub remarks: Vec<String>,
    /// Every volume.
    pub volumes: Vec<VolumeReport>,
    /// What was counted; nothing was stored or sent.
    pub statistics: Statistics,
    /// What cannot be read.
    pub omissions: Vec<Omission>,
}

impl Engine {
    /// Reads everything and compares it with the repository, in place: nothing is frozen,
    /// snapshotted or stored.
    pub async fn rehearse(
        &self,
        request: BackupRequest,
        progress: &BackupProgress,
    ) -> Result<RehearsalReport, ServiceError> {
        let BackupRequest { subject, selection, full, .. } = request;
        let upload = Arc::clone(&progress.upload);
        let mut rehearsal = Rehearsal::begin(&self.reader, self.cache.as_deref(), upload).await?;
        let parent = self.parent(subject.name(), None).await;
        // What is not stored is not worth remembering.
        let how = How { parent, selection, full, page_maps: None };
        let subject = match subject {
            Subject::Application { name, .. } => Subject::Application {
                name,
                freeze: false,
                hooks: false,
                deadline: Deadline::at_most(Duration::ZERO),
            },
            paths @ Subject::Paths { .. } => paths,
        };
        let taken = self.find(subject, Writer::unused_point(), None, progress).await?;
        let Taken { draft, stillness, .. } = taken;
        let Draft { application, remarks, missing, sources, .. } = draft;
        let (mut volumes, mut omissions) = (Vec::new(), missing);
        for source in sources {
            let (name, driver): (RawPath, _) = (source.name.clone(), source.driver.clone());
            progress.enter(Stage::Uploading(name.clone()));
            let found = rehearsal.volume(how.volume(&name, source.tree, stillness)).await?;
            omissions.extend(found.omissions);
            volumes.push(VolumeReport { name, driver, files: found.files, bytes: found.bytes });
        }
        let statistics = rehearsal.statistics();
        Ok(RehearsalReport { application, remarks, volumes, statistics, omissions })
    }
}
