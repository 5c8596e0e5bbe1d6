//! Restore points: listed, chosen, shown.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use catalog::{PointFilter, PointRow};
use format::manifest::{Manifest, Occasion};
use repository::error::RepositoryError;

use crate::engine::Engine;
use crate::error::ServiceError;

/// How a user names a restore point.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PointName {
    /// The newest one.
    Latest,
    /// The one whose id starts so.
    Prefix(String),
}

impl fmt::Display for PointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Latest => "latest",
            Self::Prefix(prefix) => prefix,
        })
    }
}

impl FromStr for PointName {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "latest" { Self::Latest } else { Self::Prefix(text.to_ascii_lowercase()) })
    }
}

impl Engine {
    /// The points of the repository, newest first; of one application, if one is named. One that
    /// vanished without having been forgotten is not among them.
    pub async fn points(&self, application: Option<&str>) -> Result<Vec<PointRow>, ServiceError> {
        let filter = PointFilter {
            repository: Some(self.reader.id()),
            application: application.map(ToOwned::to_owned),
        };
        let mut points = self.catalog.points(&filter).await?;
        points.retain(|row| !self.missing.contains(&row.point));
        Ok(points)
    }

    /// The points that were made on this host for this occasion.
    pub(crate) async fn made_for(
        &self,
        application: &str,
        occasion: &Occasion,
    ) -> Result<Vec<PointRow>, ServiceError> {
        let is_it = |row: &PointRow| {
            let made_for = row.occasion.as_ref();
            let same = |it: &Occasion| it.policy == occasion.policy && it.due == occasion.due;
            row.host == self.host && made_for.is_some_and(same)
        };
        let mut points = self.points(Some(application)).await?;
        points.retain(is_it);
        Ok(points)
    }

    /// The manifest of the point that is meant. It contains secrets: see [`redact`].
    pub async fn manifest(
        &self,
        name: &PointName,
        application: Option<&str>,
    ) -> Result<Manifest, ServiceError> {
        let row = choose(self.points(application).await?, name)?;
        let manifest = self.reader.point(row.point).await?;
        Ok(manifest.ok_or(RepositoryError::UnknownPoint(row.point))?)
    }
}

/// The manifest without what only a restore may see.
#[must_use]
pub fn redact(mut manifest: Manifest) -> serde_json::Value {
    manifest.definition = serde_json::Value::Null;
    let mut shown = serde_json::to_value(manifest).unwrap_or_default();
    if let Some(fields) = shown.as_object_mut() {
        fields.remove("definition");
    }
    shown
}

pub(crate) fn choose(points: Vec<PointRow>, name: &PointName) -> Result<PointRow, ServiceError> {
    match name {
        PointName::Latest => {
            let names: BTreeSet<&str> = points.iter().map(|p| p.application.as_str()).collect();
            if names.len() > 1 {
                let names = names.into_iter().map(ToOwned::to_owned).collect();
                return Err(ServiceError::WhichApplication { names });
            }
            let newest = points.into_iter().next();
            newest.ok_or_else(|| ServiceError::UnknownPoint("latest".into()))
        }
        PointName::Prefix(prefix) => {
            let fits = |p: &PointRow| !prefix.is_empty() && p.point.to_string().starts_with(prefix);
            let mut fitting: Vec<_> = points.into_iter().filter(fits).collect();
            match (fitting.pop(), fitting.len()) {
                (Some(point), 0) => Ok(point),
                (None, _) => Err(ServiceError::UnknownPoint(prefix.clone())),
                (Some(_), others) => {
                    Err(ServiceError::AmbiguousPoint { prefix: prefix.clone(), count: others + 1 })
                }
            }
        }
    }
}
