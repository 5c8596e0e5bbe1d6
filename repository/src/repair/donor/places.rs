//! What lies at the same places of the same file: chunks that are no run of it are found so, such as
//! those that collect the pages of a database that were changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use format::ids::ChunkId;
use format::tree::{Content, Extent, Slice};

use super::super::Healing;
use super::readable;
use crate::chunks::Chunks;
use crate::error::RepositoryError;
use crate::tree::ExtentReader;

/// The wanted chunks of a file, by where their bytes are in it.
#[derive(Debug, Default)]
pub(super) struct Wanted(BTreeMap<ChunkId, Vec<Piece>>);

/// Some bytes of a chunk.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Piece {
    /// Where they begin in the chunk.
    start: u32,
    length: u32,
    /// Where they begin in the file.
    offset: u64,
}

impl Wanted {
    /// Adds what is wanted of this content.
    pub(super) async fn add(
        &mut self,
        chunks: &Arc<Chunks>,
        content: Content,
        healing: &Healing,
    ) -> Result<(), RepositoryError> {
        let mut extents = ExtentReader::new(chunks, content);
        let mut offset = 0_u64;
        while let Some(extent) = readable(extents.next().await)?.flatten() {
            if let Some(slice) = extent.slice().filter(|slice| healing.wants(slice.chunk)) {
                let Slice { chunk, offset: start, length } = slice;
                self.0.entry(chunk).or_default().push(Piece { start, length, offset });
            }
            offset = offset.saturating_add(extent.length());
        }
        Ok(())
    }

    /// Whether nothing of it is wanted any more.
    pub(super) fn is_done(&self, healing: &Healing) -> bool {
        !self.0.keys().any(|chunk| healing.wants(*chunk))
    }

    /// Puts the chunks together from what this content has at the same places, and offers them.
    pub(super) async fn look(
        &self,
        chunks: &Arc<Chunks>,
        content: Content,
        healing: &mut Healing,
    ) -> Result<(), RepositoryError> {
        let file = Layout::of(chunks, content).await?;
        for (chunk, pieces) in &self.0 {
            if healing.wants(*chunk)
                && let Some(bytes) = assembled(chunks, &file, pieces).await?
            {
                healing.offer(&bytes).await?;
            }
        }
        Ok(())
    }
}

// The bytes of a chunk, if its pieces are all of it: whether they are shows when it is hashed.
async fn assembled(
    chunks: &Chunks,
    file: &Layout,
    pieces: &[Piece],
) -> Result<Option<Vec<u8>>, RepositoryError> {
    let mut pieces = pieces.to_vec();
    pieces.sort_unstable();
    let mut bytes = Vec::new();
    for Piece { start, length, offset } in pieces {
        let (start, end) = (start as usize, (start as usize).saturating_add(length as usize));
        // What several points have of it may overlap.
        let known = bytes.len();
        if start > known {
            return Ok(None);
        }
        if end > known {
            let skipped = (known - start) as u64;
            let missing = (end - known) as u64;
            match file.read(chunks, offset.saturating_add(skipped), missing).await? {
                Some(more) => bytes.extend_from_slice(&more),
                None => return Ok(None),
            }
        }
    }
    Ok(Some(bytes))
}

/// A file's extents, each with where it begins.
struct Layout(Vec<(u64, Extent)>);

impl Layout {
    async fn of(chunks: &Arc<Chunks>, content: Content) -> Result<Self, RepositoryError> {
        let mut extents = ExtentReader::new(chunks, content);
        let (mut layout, mut offset) = (Vec::new(), 0_u64);
        while let Some(extent) = readable(extents.next().await)?.flatten() {
            layout.push((offset, extent));
            offset = offset.saturating_add(extent.length());
        }
        Ok(Self(layout))
    }

    async fn read_range(
        &self,
        chunks: &Chunks,
        mut offset: u64,
        mut left: u64,
    ) -> Result<Vec<u8>, RepositoryError> {
        let mut bytes = Vec::new();
        let first = self.0.partition_point(|(start, _)| *start <= offset).saturating_sub(1);
        for (start, extent) in self.0.iter().skip(first) {
            if left == 0 {
                break;
            }
            let skipped = offset.saturating_sub(*start);
            let length = extent.length().saturating_sub(skipped).min(left);
            match extent.slice() {
                Some(slice) => {
                    // No extent with a slice is longer than a chunk, so these fit.
                    let skipped = u32::try_from(skipped).unwrap_or(u32::MAX);
                    let offset = slice.offset.saturating_add(skipped);
                    let length = u32::try_from(length).unwrap_or(u32::MAX);
                    let slice = Slice { chunk: slice.chunk, offset, length };
                    bytes.extend_from_slice(&chunks.read(slice).await?);
                }
                // Asked for by a piece, so it is no longer than a chunk.
                None => bytes.resize(bytes.len().saturating_add(to_usize(length)), 0),
            }
            offset = offset.saturating_add(length);
            left = left.saturating_sub(length);
        }
        Ok(bytes)
    }

    // So many bytes from here on; `None` when they are not all there.
    async fn read(
        &self,
        chunks: &Chunks,
        offset: u64,
        length: u64,
    ) -> Result<Option<Vec<u8>>, RepositoryError> {
        let bytes = readable(self.read_range(chunks, offset, length).await)?;
        Ok(bytes.filter(|bytes| bytes.len() as u64 == length))
    }
}

fn to_usize(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
