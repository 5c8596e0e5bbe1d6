//! Forgetting restore points: from then on nobody sees them, and the next prune gives back the
//! space of what no other point needs.

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

use format::annotation::{Annotation, Summary};
use format::control::{self, Link};
use format::ids::PointId;
use format::names::{Folder, ObjectName};
use format::prune::Forgotten;
use jiff::Timestamp;

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
    let mut annotations: BTreeMap<PointId, Vec<u64>> = BTreeMap::new();
    for listed in reader.store().list(Folder::Annotations).await? {
        if let ObjectName::Annotation(point, number) = listed.name {
            annotations.entry(point).or_default().push(number);
        }
    }
    let forgotten = reader.forgotten().await?;
    let mut links = BTreeMap::new();
    for point in points.iter().filter(|point| !forgotten.contains(point)) {
        let outcome = newest_of_point(reader, *point).await?;
        let mut numbers = annotations.remove(point).unwrap_or_default();
        numbers.sort_unstable();
        links.insert(*point, not_held(reader, *point, numbers).await?.unwrap_or(outcome));
    }
    Ok(links)
}

async fn newest_of_point(reader: &Reader, point: PointId) -> Result<Link, RepositoryError> {
    let name = ObjectName::Outcome(point);
    let bytes = match reader.store().get(name).await {
        Err(StoreError::Missing { .. }) => return Err(RepositoryError::UnknownPoint(point)),
        bytes => bytes?,
    };
    match reader.committed(point, &bytes)? {
        Some(_) => Ok(control::link(reader.keys(), name, &bytes)),
        None => Err(RepositoryError::UnknownPoint(point)),
    }
}

// A link to the newest annotation, if there is one and they do not hold the point.
async fn not_held(
    reader: &Reader,
    point: PointId,
    numbers: Vec<u64>,
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
