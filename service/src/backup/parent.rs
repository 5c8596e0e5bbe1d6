//! The point before: what it holds need not be read again.

use std::collections::HashMap;

use format::raw::RawPath;
use format::tree::Slice;

use crate::engine::Engine;
use crate::error::ServiceError;

/// The volumes of a point, each with the stream of its root.
pub(super) type Roots = HashMap<RawPath, Vec<Slice>>;

impl Engine {
    /// The volumes of the newest point of an application on this host. Only a help: without it
    /// everything is read.
    pub(super) async fn parent(&self, application: &str) -> Roots {
        self.newest_here(application).await.unwrap_or_else(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the last point cannot be read; everything is read again");
            Roots::new()
        })
    }

    async fn newest_here(&self, application: &str) -> Result<Roots, ServiceError> {
        let points = self.points(Some(application)).await?;
        let Some(newest) = points.into_iter().find(|point| point.host == self.host) else {
            return Ok(Roots::new());
        };
        let manifest = self.reader.point(newest.point).await?;
        let volumes = manifest.into_iter().flat_map(|manifest| manifest.volumes);
        Ok(volumes.map(|volume| (volume.name, volume.root)).collect())
    }
}
