//! What is said about restore points after they were made: tags, holds, that they were verified.

use catalog::PointRow;
use format::annotation::{Annotation, Note};
use format::ids::PointId;
use repository::annotate;

use crate::engine::Engine;
use crate::error::ServiceError;
use crate::points::{PointName, choose};

impl Engine {
    /// Says this about the point that is meant, one note after the other; returns the point as it
    /// is then.
    pub async fn annotate(
        &self,
        name: &PointName,
        application: Option<&str>,
        notes: Vec<Note>,
    ) -> Result<PointRow, ServiceError> {
        let point = choose(self.points(application).await?, name)?.point;
        self.warn_of_store();
        for note in notes {
            self.note(point, note).await?;
        }
        choose(self.points(None).await?, &PointName::Prefix(point.to_string()))
    }

    /// Says one thing about a point.
    pub(crate) async fn note(&self, point: PointId, note: Note) -> Result<(), ServiceError> {
        let (who, when) = (self.host.as_str(), self.machine.clock.now());
        let written =
            annotate::annotate(self.store.as_ref(), &self.reader, point, (who, when), note.clone());
        let number = written.await?;
        let annotation = Annotation { who: who.to_owned(), when, note, previous: None };
        let annotations = vec![((point, number), annotation)];
        Ok(self.catalog.insert_annotations(self.reader.id(), annotations).await?)
    }

    /// The same about something that is done; that it cannot be written down is only a warning.
    pub(crate) async fn note_if_possible(&self, point: PointId, note: Note) {
        self.warn_of_store();
        if let Err(error) = self.note(point, note).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(%point, error, "this cannot be noted in the repository");
        }
    }
}
