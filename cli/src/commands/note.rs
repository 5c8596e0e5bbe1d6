//! The verbs that say something about restore points.

use service::Note;
use service::error::ServiceError;
use service::points::PointName;

use super::Context;
use crate::arguments::{PointArguments, TagArguments};
use crate::exit::Exit;

impl Context {
    pub(super) async fn tag(&self, tag: &TagArguments) -> Result<Exit, ServiceError> {
        self.note(&tag.points, tag.app.as_deref(), tag.notes()).await
    }

    pub(super) async fn hold(&self, chosen: &PointArguments) -> Result<Exit, ServiceError> {
        let PointArguments { point, app } = chosen;
        // For whoever wants to forget it.
        let reason = self.arguments.reason.clone();
        let note = Note::Hold { reason: reason.unwrap_or_else(|| "asked for by name".to_owned()) };
        self.note(std::slice::from_ref(point), app.as_deref(), vec![note]).await
    }

    pub(super) async fn release(&self, chosen: &PointArguments) -> Result<Exit, ServiceError> {
        let PointArguments { point, app } = chosen;
        self.note(std::slice::from_ref(point), app.as_deref(), vec![Note::Release]).await
    }

    // The answer are the points as they are then.
    async fn note(
        &self,
        points: &[PointName],
        app: Option<&str>,
        notes: Vec<Note>,
    ) -> Result<Exit, ServiceError> {
        let engine = self.open().await?;
        let mut rows = Vec::new();
        for point in points {
            rows.push(engine.annotate(point, app, notes.clone()).await?);
        }
        engine.close().await;
        Ok(self.answer(&rows, Exit::Success))
    }
}
