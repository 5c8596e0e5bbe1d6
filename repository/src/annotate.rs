//! Annotations: what is said about a restore point after it was made. See
//! docs/format.md#annotations.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use format::annotation::{Annotation, Note};
use format::control::{self, Link};
use format::ids::PointId;
use format::names::{Folder, ObjectName};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use crate::error::RepositoryError;
use crate::random;
use crate::reader::{FETCHES, Reader};
use crate::store::{Listed, Store, StoreError, create_own};

/// How often somebody else may be first with a number.
const ATTEMPTS: u64 = 100;

/// Says something about a restore point; returns the annotation's number.
///
/// # Errors
/// [`RepositoryError::UnknownPoint`] or [`RepositoryError::Forgotten`] when there is no such point,
/// also when it was forgotten while this was written.
pub async fn annotate(
    store: &dyn Store,
    reader: &Reader,
    point: PointId,
    (who, when): (&str, Timestamp),
    note: Note,
) -> Result<u64, RepositoryError> {
    let (mut next, mut previous) = newest(reader, point).await?;
    for _ in 0..ATTEMPTS {
        let name = ObjectName::Annotation(point, next);
        let content =
            Annotation { who: who.to_owned(), when, note: note.clone(), previous: Some(previous) };
        let bytes = control::seal(reader.keys(), name, &content, random::bytes())
            .map_err(|error| RepositoryError::damaged(name, error))?;
        match create_own(store, name, bytes.into()).await {
            // Somebody else was first.
            Err(StoreError::Exists { .. }) => {
                previous = control::link(reader.keys(), name, &reader.store().get(name).await?);
                next += 1;
            }
            created => {
                created?;
                let is_gone = reader.is_forgotten(point).await?;
                return if is_gone { Err(RepositoryError::Forgotten(point)) } else { Ok(next) };
            }
        }
    }
    let name = ObjectName::Annotation(point, next);
    Err(StoreError::Exists { name, location: reader.store().location() }.into())
}

/// These annotations, in the order of their names; those that are gone with their point are left
/// out, and so are damaged ones, of which a warning is logged: [`crate::check`] reports them.
pub async fn read(
    reader: &Reader,
    names: BTreeSet<(PointId, u64)>,
) -> Result<Vec<((PointId, u64), Annotation)>, RepositoryError> {
    let read = async |(point, number)| match reader
        .control_if_there(ObjectName::Annotation(point, number))
        .await
    {
        Err(error @ RepositoryError::Damaged { .. }) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(%point, number, error, "unreadable annotation");
            Ok::<_, RepositoryError>(None)
        }
        read => Ok(read?.map(|annotation| ((point, number), annotation))),
    };
    let read: Vec<_> = stream::iter(names).map(read).buffered(FETCHES).try_collect().await?;
    Ok(read.into_iter().flatten().collect())
}

/// The annotations that are there, by their points and numbers.
pub(crate) async fn list(reader: &Reader) -> Result<BTreeSet<(PointId, u64)>, RepositoryError> {
    let listed = reader.store().list(Folder::Annotations).await?;
    let annotation = |listed: Listed| match listed.name {
        ObjectName::Annotation(point, number) => Some((point, number)),
        _ => None,
    };
    Ok(listed.into_iter().filter_map(annotation).collect())
}

/// What the first thing said about a point links to: its outcome.
pub(crate) async fn outcome_link(reader: &Reader, point: PointId) -> Result<Link, RepositoryError> {
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

// The number after the point's newest annotation, and a link to that, or to the outcome.
async fn newest(reader: &Reader, point: PointId) -> Result<(u64, Link), RepositoryError> {
    let outcome = outcome_link(reader, point).await;
    // After the outcome, which a prune removes only when the record is there.
    if reader.is_forgotten(point).await? {
        return Err(RepositoryError::Forgotten(point));
    }
    let outcome = outcome?;
    let annotations = list(reader).await?;
    let Some((_, newest)) = annotations.range((point, 0)..=(point, u64::MAX)).next_back() else {
        return Ok((0, outcome));
    };
    let name = ObjectName::Annotation(point, *newest);
    let link = control::link(reader.keys(), name, &reader.store().get(name).await?);
    Ok((newest.saturating_add(1), link))
}
