//! What can still be read of packs that are damaged.

use std::collections::BTreeSet;

use bytes::Bytes;
use format::frame::{ChunkKind, ChunkRecord};
use format::index::IndexSegment;
use format::keys::Keys;
use format::names::{ObjectName, PackName};
use format::pack::{self, PackRecord};
use futures::{StreamExt as _, stream};

use crate::error::RepositoryError;
use crate::reader::{FETCHES, Reader};
use crate::store::StoreError;

/// Tries every chunk of a pack, of which `bytes` are the stored bytes, by what `record` says about
/// it: `each` gets the plaintext, or nothing where that is lost.
pub(crate) fn try_chunks(
    keys: &Keys,
    record: &PackRecord,
    bytes: &[u8],
    mut each: impl FnMut(ChunkKind, ChunkRecord, Option<&[u8]>),
) {
    for (number, frame) in (0..).zip(&record.frames) {
        let opened = record.address(number).and_then(|address| {
            let start = usize::try_from(frame.offset).ok()?;
            let sealed = bytes.get(start..start.checked_add(frame.length as usize)?)?;
            pack::open_frame(keys, &address, sealed).ok()
        });
        let mut offset = 0_u32;
        for chunk in &frame.chunks {
            let found = opened.as_ref();
            let found = found.and_then(|f| f.chunk(keys, chunk.id, offset, chunk.length).ok());
            each(frame.kind, *chunk, found);
            offset = offset.saturating_add(chunk.length);
        }
    }
}

/// The bytes of a pack, of which these are the records: all of them, or where the store does not give
/// them at once, the frames that it gives one by one, with zeros between. `None` when it is gone.
pub(crate) async fn bytes_of(
    reader: &Reader,
    pack: PackName,
    records: &[PackRecord],
) -> Result<Option<Bytes>, StoreError> {
    let name = ObjectName::Pack(pack);
    match reader.store().get(name).await {
        Ok(bytes) => return Ok(Some(bytes)),
        Err(StoreError::Missing { .. }) => return Ok(None),
        Err(error @ StoreError::Failed { passing: true, .. }) => return Err(error),
        Err(_) => {}
    }
    let size = records.iter().map(|record| record.size).max().unwrap_or(0);
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    for frame in records.iter().flat_map(|record| &record.frames) {
        let end = frame.offset.saturating_add(frame.length.into());
        let Ok(part) = reader.store().get_range(name, frame.offset..end).await else { continue };
        let start = usize::try_from(frame.offset).unwrap_or(usize::MAX);
        let place = bytes.get_mut(start..start.saturating_add(part.len()));
        if let Some(place) = place {
            place.copy_from_slice(&part);
        }
    }
    Ok(Some(bytes.into()))
}

/// What is said about packs.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// By the segments, and by the packs themselves. A pack may come more than once, and one that
    /// nothing describes does not come.
    pub(crate) packs: Vec<PackRecord>,
    /// The segments that might say more, and cannot be read.
    pub(crate) unread: Vec<ObjectName>,
}

/// What is said about these packs by the segments that are listed, and by those that are `known`
/// to be there, for a list may be short.
pub(crate) async fn records_of(
    reader: &Reader,
    packs: &BTreeSet<PackName>,
    known: &BTreeSet<ObjectName>,
) -> Result<Records, RepositoryError> {
    let (mut records, mut unread) = (Vec::new(), Vec::new());
    if packs.is_empty() {
        return Ok(Records::default());
    }
    let listed = reader.segments().await?.into_iter().map(|listed| listed.name);
    let segments: BTreeSet<ObjectName> = listed.chain(known.iter().copied()).collect();
    let fetched =
        stream::iter(segments).map(|name| async move { (name, reader.store().get(name).await) });
    let mut fetched = std::pin::pin!(fetched.buffer_unordered(FETCHES));
    while let Some((name, bytes)) = fetched.next().await {
        let bytes = match bytes {
            Err(StoreError::Missing { .. }) => continue,
            bytes => bytes?,
        };
        match IndexSegment::open(reader.keys(), name, &bytes) {
            Ok(segment) => {
                let wanted = segment.packs.into_iter().filter(|pack| packs.contains(&pack.name));
                records.extend(wanted);
            }
            Err(_) => unread.push(name),
        }
    }
    let listing = reader.packs().await?;
    for pack in packs {
        let Some(size) = listing.size(*pack) else { continue };
        // One that cannot be read says nothing.
        let footer = reader.footer(*pack, size).await.ok();
        records.extend(footer.filter(|footer| !records.contains(footer)));
    }
    Ok(Records { packs: records, unread })
}
