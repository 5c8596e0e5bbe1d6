//! Forgetting restore points: from then on nobody sees them, and the next prune gives back the
//! space of what no other point needs.

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

use format::annotation::{Annotation, Summary};
use format::control::{self, Link};
use format::ids::PointId;
use format::names::ObjectName;
use format::prune::Forgotten;
use jiff::Timestamp;

use crate::annotate;
use crate::error::RepositoryError;
use crate::maintainer::Maintainer;
use crate::random;
use crate::reader::Reader;
use crate::store::{StoreError, create_own};

/// What is written down about the forgetting of a point.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who wants it gone: a person, a machine, a policy.
    pub who: String,
    /// When.
    pub when: Timestamp,
    /// Why, in a sentence.
    pub why: String,
}

/// Whether these points may be forgotten; nothing is written.
///
/// # Errors
/// [`RepositoryError::Held`] for the first one that is held, and
/// [`RepositoryError::UnknownPoint`] for one that is not there.
pub async fn look(reader: &Reader, points: &[PointId]) -> Result<(), RepositoryError> {
    newest_links(reader, points).await.map(|_| ())
}

/// Forgets these points; one that was forgotten before stays so. When one of them may not be
/// forgotten, none is.
///
/// # Errors
/// As [`look`] says. When the store fails, those before the failure are forgotten.
pub async fn forget(
    maintainer: &Maintainer,
    points: &[PointId],
    request: &Request,
) -> Result<(), RepositoryError> {
    let reader = maintainer.reader();
    let links = newest_links(&reader, points).await?;
    for (point, previous) in links {
        let Request { who, when, why } = request.clone();
        let name = ObjectName::Forgotten(point);
        let content = Forgotten { who, when, why, previous: Some(previous) };
        let bytes = control::seal(reader.keys(), name, &content, random::bytes())
            .map_err(|error| RepositoryError::damaged(name, error))?;
        match create_own(maintainer.store(), name, bytes.into()).await {
            // Somebody else wanted the same.
            Err(StoreError::Exists { .. }) => {}
            result => result?,
        }
    }
    Ok(())
}

// What the record of each point links to. Points that are forgotten already are left out.
async fn newest_links(
    reader: &Reader,
    points: &[PointId],
) -> Result<BTreeMap<PointId, Link>, RepositoryError> {
    let annotations = annotate::list(reader).await?;
    let forgotten = reader.forgotten().await?;
    let mut links = BTreeMap::new();
    for point in points.iter().filter(|point| !forgotten.contains(point)) {
        let outcome = annotate::outcome_link(reader, *point).await?;
        let of_point = annotations.range((*point, 0)..=(*point, u64::MAX));
        let numbers = of_point.map(|(_, number)| *number);
        links.insert(*point, not_held(reader, *point, numbers).await?.unwrap_or(outcome));
    }
    Ok(links)
}

// A link to the newest annotation, if there is one and they do not hold the point.
async fn not_held(
    reader: &Reader,
    point: PointId,
    numbers: impl Iterator<Item = u64>,
) -> Result<Option<Link>, RepositoryError> {
    let (mut summary, mut newest) = (Summary::default(), None);
    for number in numbers {
        let name = ObjectName::Annotation(point, number);
        let bytes = reader.store().get(name).await?;
        let annotation: Annotation = reader.open_control(name, &bytes)?;
        summary.add(&annotation);
        newest = Some(control::link(reader.keys(), name, &bytes));
    }
    match summary.held {
        Some(reason) => Err(RepositoryError::Held { point, reason }),
        None => Ok(newest),
    }
}
