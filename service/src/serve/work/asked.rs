//! A run that somebody asked for.

use std::path::Path;
use std::sync::Arc;

use catalog::{PointRow, Request, RunOutcome, Wanted};
use format::annotation::Note;
use format::manifest::Level;
use restore::progress::Progress;

use super::{Done, Work};
use crate::backup::{BackupReport, BackupRequest, Errand, Subject};
use crate::check::{CheckRequest, ReadData};
use crate::deadline::Deadline;
use crate::engine::{Engine, FREEZE_DEADLINE, Settings};
use crate::error::ServiceError;
use crate::pins::Pinning;
use crate::points::PointName;

impl Work {
    pub(super) async fn as_asked(&self, request: &Request) -> Result<Done, ServiceError> {
        self.admit_attempt()?;
        let settings = self.setup.settings_at(request.at.as_deref()).await?;
        match &request.wanted {
            Wanted::Backup { tags, full } => {
                Box::pin(self.back_up_once(settings, tags, *full)).await
            }
            Wanted::Prune => self.prune(settings).await,
            Wanted::Check { read_data } => {
                let data = if *read_data { ReadData::All } else { ReadData::Nothing };
                self.check(settings, CheckRequest::of(data)).await
            }
            Wanted::Verify => self.verify(settings).await,
            Wanted::Restore { point, to, in_place, delete } => {
                let Ok(point) = point.parse();
                let in_place = in_place.then_some(*delete);
                Box::pin(self.restore(settings, &point, to, in_place)).await
            }
        }
    }

    async fn back_up_once(
        &self,
        settings: Settings,
        tags: &[String],
        full: bool,
    ) -> Result<Done, ServiceError> {
        let engine = Engine::open(settings).await?;
        let made = Box::pin(self.make_asked(&engine, tags, full)).await;
        engine.close().await;
        made
    }

    async fn make_asked(
        &self,
        engine: &Engine,
        tags: &[String],
        full: bool,
    ) -> Result<Done, ServiceError> {
        let name = self.run.application.clone().unwrap_or_default();
        if let Some(row) = self.made_before(engine, &name, full).await? {
            for tag in tags.iter().filter(|tag| !row.annotations.tags.contains(*tag)) {
                engine.note_if_possible(row.point, Note::Tag { tag: tag.clone() }).await;
            }
            let manifest = engine.reader.point(row.point).await?;
            let report = manifest.map(|manifest| BackupReport::of(&manifest, Vec::new()));
            return Ok(Done::point(row.point, row.omissions).with(&report));
        }
        let deadline = Deadline::at_most(FREEZE_DEADLINE);
        let subject = Subject::Application { name, freeze: true, hooks: true, deadline };
        let (tags, errand) = (tags.to_owned(), Errand::of(&self.run));
        let pending = engine.pending(&errand).await;
        let errand = Some(errand);
        let request = BackupRequest { full, tags, errand, ..BackupRequest::of(subject) };
        let report = match pending {
            Some(pending) => Box::pin(engine.resume(pending, request, &self.progress)).await?,
            None => Box::pin(engine.make(request, &self.progress)).await?,
        };
        self.metrics.backed_up(&report);
        Ok(Done::backed_up(&report))
    }

    // Whoever was cut off may have made it before. One that another has made since is as good; but not where
    // nothing was frozen, or every file is to be read.
    async fn made_before(
        &self,
        engine: &Engine,
        name: &str,
        full: bool,
    ) -> Result<Option<PointRow>, ServiceError> {
        if self.run.attempts == 0 || full {
            return Ok(None);
        }
        let is_as_good = |row: &PointRow| {
            let is_asked = row.occasion.is_none() && row.level != Level::Fuzzy;
            is_asked && row.host == engine.host && row.taken >= self.run.queued
        };
        Ok(engine.points(Some(name)).await?.into_iter().find(is_as_good))
    }

    // In place, what is not of the point is removed or stays.
    async fn restore(
        &self,
        settings: Settings,
        point: &PointName,
        to: &Path,
        in_place: Option<bool>,
    ) -> Result<Done, ServiceError> {
        let engine = Engine::open(settings).await?;
        let restored = async {
            let point = self.point_meant(&engine, point).await?;
            let manifest = engine.manifest(&point, self.run.application.as_deref()).await?;
            let plan = match in_place {
                Some(delete) => engine.plan_restore_in_place(&manifest, to, delete).await?,
                None => engine.plan_restore(&manifest, to).await?,
            };
            let (point, omissions) = (manifest.point, plan.omissions);
            let progress = Arc::new(Progress::default());
            let report = engine.restore(manifest, plan, Pinning::Pin, progress).await?;
            let is_whole = report.lost.is_empty() && report.unset.is_empty() && omissions == 0;
            let outcome = if is_whole { RunOutcome::Succeeded } else { RunOutcome::Partial };
            Ok(Done { outcome, point: Some(point), report: None }.with(&report))
        };
        let restored = Box::pin(restored).await;
        engine.close().await;
        restored
    }

    // The latest was that of the moment when it was asked for.
    async fn point_meant(
        &self,
        engine: &Engine,
        name: &PointName,
    ) -> Result<PointName, ServiceError> {
        let application = self.run.application.as_deref();
        let points = match name {
            PointName::Prefix(_) => return Ok(name.clone()),
            PointName::Latest => engine.points(application).await?,
        };
        let mut earlier = points.into_iter().filter(|row| row.taken <= self.run.queued);
        let meant = earlier.next().ok_or_else(|| ServiceError::UnknownPoint(name.to_string()))?;
        Ok(PointName::Prefix(meant.point.to_string()))
    }
}
