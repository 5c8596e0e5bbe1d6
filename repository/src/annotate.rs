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
use crate::store::{Store, StoreError, create_own};

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
    let read =
        async |(point, number)| match reader.control(ObjectName::Annotation(point, number)).await {
            Err(RepositoryError::Store(StoreError::Missing { .. })) => Ok(None),
            Err(error @ RepositoryError::Damaged { .. }) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(%point, number, error, "unreadable annotation");
                Ok(None)
            }
            read => read.map(|annotation| Some(((point, number), annotation))),
        };
    let read: Vec<_> = stream::iter(names).map(read).buffered(FETCHES).try_collect().await?;
    Ok(read.into_iter().flatten().collect())
}

// The number after the point's newest annotation, and a link to that, or to the outcome.
async fn newest(reader: &Reader, point: PointId) -> Result<(u64, Link), RepositoryError> {
    if reader.point(point).await?.is_none() {
        return Err(RepositoryError::UnknownPoint(point));
    }
    let listed = reader.store().list(Folder::Annotations).await?;
    let numbers = listed.into_iter().filter_map(|listed| match listed.name {
        ObjectName::Annotation(of, number) if of == point => Some(number),
        _ => None,
    });
    let newest = numbers.max();
    let name = match newest {
        Some(number) => ObjectName::Annotation(point, number),
        None => ObjectName::Outcome(point),
    };
    let link = control::link(reader.keys(), name, &reader.store().get(name).await?);
    Ok((newest.map_or(0, |number| number.saturating_add(1)), link))
}
