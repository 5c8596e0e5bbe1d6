//! Reading segments and footers, and making a table of them.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use format::control::{ControlError, Link};
use format::ids::Digest;
use format::index::IndexSegment;
use format::keys::Keys;
use format::names::{ObjectName, PackName};
use futures::{Stream, StreamExt as _, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::build::Builder;
use super::row::SegmentName;
use super::shelf::Shelf;
use super::table::Table;
use crate::blocking;
use crate::error::RepositoryError;
use crate::reader::{FETCHES, Reader};
use crate::store::{Listed, StoreError};

/// How many KiB of segments are fetched at once; a longer one is fetched alone.
const FETCH_KIB: u32 = 16 << 10;

/// A segment as it is stored, and what it links to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentRecord {
    pub(crate) name: ObjectName,
    pub(crate) digest: Digest,
    pub(crate) previous: Option<Link>,
}

/// What became of the segments that no table provided.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) table: Option<Table>,
    pub(super) read: Vec<SegmentRecord>,
    pub(super) damaged: Vec<(ObjectName, RepositoryError)>,
    pub(super) vanished: Option<StoreError>,
}

/// A table of these segments, kept on the shelf.
pub(super) async fn gather_segments(
    reader: &Reader,
    shelf: &Shelf,
    segments: &[Listed],
) -> Result<Gathered, RepositoryError> {
    let mut gathered = Gathered::default();
    if segments.is_empty() {
        return Ok(gathered);
    }
    let mut builder = builder(reader, shelf)?;
    let mut fetched = std::pin::pin!(fetch(reader, segments));
    while let Some((name, bytes, permit)) = fetched.next().await {
        let bytes = match bytes {
            Err(error @ StoreError::Missing { .. }) => {
                gathered.vanished = Some(error);
                continue;
            }
            bytes => bytes?,
        };
        let keys = Arc::clone(reader.keys());
        // Opening a segment takes milliseconds of computing, and a run is spooled now and then.
        let adding = blocking::run(move || {
            let added = add_segment(&keys, &mut builder, name, &bytes);
            drop(permit);
            (builder, added)
        });
        let added;
        (builder, added) = adding.await;
        match added {
            Err(Refused::Spool(error)) => return Err(unusable(shelf, error)),
            Err(Refused::Damaged(error)) => {
                let error = RepositoryError::damaged(name, error);
                tracing::warn!(%name, error = &error as &dyn std::error::Error, "damaged index");
                gathered.damaged.push((name, error));
            }
            Ok(read) => gathered.read.extend(read),
        }
    }
    gathered.table = finish(shelf, builder).await?;
    Ok(gathered)
}

enum Refused {
    Damaged(ControlError),
    Spool(io::Error),
}

fn add_segment(
    keys: &Keys,
    builder: &mut Builder,
    name: ObjectName,
    bytes: &Bytes,
) -> Result<Option<SegmentRecord>, Refused> {
    let ObjectName::Index(point, id) = name else { return Ok(None) };
    let segment = IndexSegment::open(keys, name, bytes).map_err(Refused::Damaged)?;
    builder.segment(SegmentName { point, id }, &segment.packs).map_err(Refused::Spool)?;
    Ok(Some(SegmentRecord { name, digest: keys.digest(bytes), previous: segment.previous }))
}

// Several at a time, and never more than a few MiB that nobody has looked at yet.
fn fetch(
    reader: &Reader,
    segments: &[Listed],
) -> impl Stream<Item = (ObjectName, Result<Bytes, StoreError>, Option<OwnedSemaphorePermit>)> {
    let room = Arc::new(Semaphore::new(FETCH_KIB as usize));
    stream::iter(segments)
        .map(move |listed| {
            let room = Arc::clone(&room);
            async move {
                let kib = u32::try_from(listed.size.div_ceil(1024)).unwrap_or(FETCH_KIB);
                // The semaphore is never closed, so there is always a permit in the end.
                let permit = room.acquire_many_owned(kib.min(FETCH_KIB)).await.ok();
                (listed.name, reader.store().get(listed.name).await, permit)
            }
        })
        .buffer_unordered(FETCHES)
}

/// A table of what these packs say about themselves; one that is damaged is passed over.
pub(super) async fn gather_footers(
    reader: &Reader,
    shelf: &Shelf,
    packs: Vec<(PackName, u64)>,
) -> Result<Option<Table>, RepositoryError> {
    let mut builder = builder(reader, shelf)?;
    let footers = stream::iter(packs)
        .map(|(pack, size)| async move { (pack, reader.footer(pack, size).await) });
    let mut footers = std::pin::pin!(footers.buffer_unordered(FETCHES));
    while let Some((pack, footer)) = footers.next().await {
        let record = match footer {
            Ok(record) => record,
            Err(
                error @ (RepositoryError::Damaged { .. }
                | RepositoryError::Store(
                    StoreError::Missing { .. } | StoreError::Short { .. },
                )),
            ) => {
                tracing::warn!(%pack, error = &error as &dyn std::error::Error, "damaged pack");
                continue;
            }
            Err(error) => return Err(error),
        };
        builder.footer(&record).map_err(|error| unusable(shelf, error))?;
    }
    finish(shelf, builder).await
}

fn builder(reader: &Reader, shelf: &Shelf) -> Result<Builder, RepositoryError> {
    let spool = shelf.spool().map_err(|error| unusable(shelf, error))?;
    Ok(Builder::new(reader.keys(), spool))
}

async fn finish(shelf: &Shelf, builder: Builder) -> Result<Option<Table>, RepositoryError> {
    if builder.is_empty() {
        return Ok(None);
    }
    let making = shelf.clone();
    let table = blocking::run(move || {
        let segments = builder.segments().to_vec();
        let mut table = making.make(&segments, |file| builder.finish(file))?;
        table.adopt(&mut segments.into_iter().collect());
        Ok(table)
    });
    table.await.map(Some).map_err(|error| unusable(shelf, error))
}

fn unusable(shelf: &Shelf, source: io::Error) -> RepositoryError {
    RepositoryError::Cache { path: shelf.path().display().to_string(), source }
}
