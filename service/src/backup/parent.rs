//! The point before: what it holds need not be read again.

use std::collections::HashMap;

use consistency::local::LocalSnapshot;
use format::raw::RawPath;
use format::tree::Slice;
use jiff::Timestamp;
use repository::blocking;

use crate::engine::Engine;
use crate::error::ServiceError;

/// What is known of the newest point of an application on this host.
#[derive(Default)]
pub(super) struct Parent {
    /// The volumes, each with the stream of its root.
    pub(super) roots: HashMap<RawPath, Vec<Slice>>,
    /// The snapshot that it was read from, if that stayed on this host.
    pub(super) base: Option<LocalSnapshot>,
}

impl Engine {
    /// The newest point of an application on this host, by this moment. Only a help: without it everything is
    /// read.
    pub(super) async fn parent(&self, application: &str, by: Option<Timestamp>) -> Parent {
        self.newest_here(application, by).await.unwrap_or_else(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the last point cannot be read; everything is read again");
            Parent::default()
        })
    }

    async fn newest_here(
        &self,
        application: &str,
        by: Option<Timestamp>,
    ) -> Result<Parent, ServiceError> {
        let points = self.points(Some(application)).await?;
        let Some(newest) = points
            .into_iter()
            .find(|point| point.host == self.host && by.is_none_or(|by| point.taken <= by))
        else {
            return Ok(Parent::default());
        };
        let manifest = self.reader.point(newest.point).await?;
        let volumes = manifest.into_iter().flat_map(|manifest| manifest.volumes);
        let roots = volumes.map(|volume| (volume.name, volume.root)).collect();
        let (records, point) = (self.machine.shelf(), newest.point);
        let found = blocking::run(move || records.find(point)).await.unwrap_or_default();
        Ok(Parent { roots, base: found.map(|found| found.snapshot) })
    }
}
