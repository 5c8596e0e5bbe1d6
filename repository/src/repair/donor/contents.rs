//! Files of the other repository, cut as a backup would cut them here.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use format::chunker::Chunker;
use format::ids::Digest;
use format::tree::{Content, Extent, Extents, Slice};
use futures::{StreamExt as _, stream};

use super::super::{Cutter, Healing};
use super::readable;
use crate::chunks::Chunks;
use crate::error::RepositoryError;
use crate::tree::{self, ExtentReader};

/// How many slices are read ahead.
const SLICES_AHEAD: usize = 8;
/// Files from this length on are remembered, and not read twice; shorter ones are cheap, and many.
const REMEMBERED_BYTES_MIN: u64 = 64 << 10;

/// What the other repository has, each content once.
pub(super) struct Contents<'a> {
    chunks: &'a Arc<Chunks>,
    chunker: &'a Chunker,
    seen: HashSet<(u64, Digest)>,
}

impl<'a> Contents<'a> {
    pub(super) fn new(chunks: &'a Arc<Chunks>, chunker: &'a Chunker) -> Self {
        Self { chunks, chunker, seen: HashSet::new() }
    }

    /// Whether this content was not looked at before.
    pub(super) fn is_new(&mut self, content: &Content) -> bool {
        if content.size < REMEMBERED_BYTES_MIN {
            return true;
        }
        let slices: Vec<Slice> = match &content.extents {
            Extents::Here(extents) => extents.iter().filter_map(Extent::slice).collect(),
            Extents::Stored(slices) => slices.clone(),
        };
        self.seen.insert((content.size, tree::digest(self.chunks.keys(), &slices)))
    }

    /// Offers every chunk that a backup would make of this content. Ends where it cannot be read.
    pub(super) async fn offer(
        &self,
        content: Content,
        healing: &mut Healing,
    ) -> Result<(), RepositoryError> {
        let mut cutter = Cutter::new(self.chunker);
        let extents = ExtentReader::new(self.chunks, content);
        let extents = stream::unfold(Some(extents), |extents| async {
            let mut extents = extents?;
            match extents.next().await {
                Ok(extent) => Some((Ok(extent?), Some(extents))),
                Err(error) => Some((Err(error), None)),
            }
        });
        let parts = extents.map(|extent| async { self.part(extent?).await });
        let mut parts = std::pin::pin!(parts.buffered(SLICES_AHEAD));
        while let Some(part) = parts.next().await {
            // What follows something unreadable is cut as if it began there: cuts find one another.
            match readable(part)?.flatten() {
                Some(bytes) => {
                    cutter.push(&bytes);
                    offer_all(healing, || cutter.cut()).await?;
                }
                None => offer_all(healing, || cutter.end()).await?,
            }
            if healing.is_done() {
                return Ok(());
            }
        }
        offer_all(healing, || cutter.end()).await
    }

    // Nothing for a hole, which is no part of any chunk.
    async fn part(&self, extent: Extent) -> Result<Option<Bytes>, RepositoryError> {
        match extent.slice() {
            Some(slice) => self.chunks.read(slice).await.map(Some),
            None => Ok(None),
        }
    }
}

async fn offer_all(
    healing: &mut Healing,
    mut next: impl FnMut() -> Option<Vec<u8>>,
) -> Result<(), RepositoryError> {
    while let Some(chunk) = next() {
        healing.offer(&chunk).await?;
    }
    Ok(())
}
