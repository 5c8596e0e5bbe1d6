//! How fragmented a file may become.
//!
//! See docs/format.md#files-changed-in-place.

use std::collections::HashMap;

use format::ids::ChunkId;
use format::tree::Extent;

use super::block::Block;
use crate::error::UploadError;

/// A block that would have more slices for each MiB is cut anew. Pages of 8 KiB, 1 % of them
/// rewritten for each point, come to 57 after 30 points and pass this after some 70.
pub(crate) const SLICES_PER_MIB_MAX: usize = 96;
/// A file is cut anew when its slices are less than one part in this many of the chunks that they
/// lie in: a point then never keeps more than twice its bytes stored, and it takes as many changed
/// bytes as the file has to come to that.
pub(crate) const LIVE_SHARE_PARTS: u64 = 2;
/// How many chunks are looked at closely: some 4 MiB of memory.
const SAMPLE_MAX: usize = 32 << 10;

/// Whether a block with this many slices and holes is in too many pieces. Cutting anew cannot
/// join what holes keep apart, so those are allowed for.
pub(crate) fn is_scattered(block: &Block, slices: usize, holes: usize) -> bool {
    slices > block.bytes.len().div_ceil(1 << 20) * SLICES_PER_MIB_MAX + holes
}

/// Whether a file with these extents is better stored anew than revised, because most of the
/// chunks that it refers to is not needed any more.
///
/// `chunk_bytes` tells how long a stored chunk is, `None` if it is not stored; it is asked only
/// for chunks of which the file has no more than parts. Of a file with many chunks a sample is
/// looked at: their names are as good as random.
pub(crate) fn is_worn(
    extents: impl Iterator<Item = Result<Extent, UploadError>>,
    mut chunk_bytes: impl FnMut(ChunkId) -> Result<Option<u64>, UploadError>,
) -> Result<bool, UploadError> {
    let mut chunks: HashMap<ChunkId, Use> = HashMap::new();
    let mut halvings = 0;
    for extent in extents {
        let extent = extent?;
        let Some(slice) = extent.slice() else { continue };
        if !is_sampled(slice.chunk, halvings) {
            continue;
        }
        let known = chunks.entry(slice.chunk).or_default();
        known.live = known.live.saturating_add(u64::from(slice.length));
        if let Extent::Whole(_) = extent {
            known.length = Some(u64::from(slice.length));
        }
        while chunks.len() > SAMPLE_MAX && halvings < u64::BITS {
            halvings += 1;
            chunks.retain(|chunk, _| is_sampled(*chunk, halvings));
        }
    }
    let (mut live, mut stored) = (0_u64, 0_u64);
    for (chunk, known) in chunks {
        let length = match known.length {
            Some(length) => length,
            None => chunk_bytes(chunk)?.unwrap_or_default(),
        };
        // Slices of one chunk may repeat one another.
        live = live.saturating_add(known.live.min(length));
        stored = stored.saturating_add(length);
    }
    Ok(live.saturating_mul(LIVE_SHARE_PARTS) < stored)
}

#[derive(Default)]
struct Use {
    live: u64,
    length: Option<u64>,
}

fn is_sampled(chunk: ChunkId, halvings: u32) -> bool {
    let name = chunk.as_bytes().first_chunk().copied().unwrap_or_default();
    u64::from_le_bytes(name).trailing_zeros() >= halvings
}

#[cfg(test)]
mod tests {
    use format::ids::Digest;
    use format::tree::Slice;

    use super::*;

    fn part(chunk: u64, length: u32) -> Extent {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&chunk.to_le_bytes());
        let slice = Slice { chunk: ChunkId::new(id), offset: 0, length };
        Extent::Part { slice, digest: Digest::new([0; 16]) }
    }

    fn whole(chunk: u64, length: u32) -> Extent {
        part(chunk, length).slice().map(Extent::Whole).unwrap()
    }

    #[test]
    fn a_file_is_worn_when_less_than_half_of_its_chunks_is_live() {
        let worn = |extents: &[Extent], chunk_bytes: Option<u64>| {
            is_worn(extents.iter().copied().map(Ok), |_| Ok(chunk_bytes)).unwrap()
        };
        assert!(!worn(&[], None));
        assert!(!worn(&[whole(1, 100), Extent::Hole { length: 1000 }], None));
        assert!(!worn(&[part(1, 50)], Some(100)));
        assert!(worn(&[part(1, 49)], Some(100)));
        assert!(!worn(&[part(1, 25), part(2, 50), part(1, 25)], Some(100)));
        assert!(worn(&[part(1, 20), part(2, 50), part(1, 20)], Some(100)));
        assert!(!worn(&[whole(3, 100), part(1, 1)], Some(100)));
        // What is not stored any more is no reason to store the rest anew.
        assert!(!worn(&[part(1, 1)], None));
    }

    #[test]
    fn the_sample_of_a_large_file_is_representative() {
        let share = |percent: u32| {
            let extents = (0..200_000_u64).map(|chunk| {
                let name = chunk.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32);
                Ok(part(name, percent))
            });
            let mut asked = 0;
            let worn = is_worn(extents, |_| {
                asked += 1;
                Ok(Some(100))
            });
            assert!((SAMPLE_MAX / 4..=SAMPLE_MAX).contains(&asked), "{asked}");
            worn.unwrap()
        };
        assert!(share(49) && !share(51));
    }

    #[test]
    fn what_holes_keep_apart_is_not_scattered() {
        let block = |length| Block { bytes: vec![0; length].as_slice().into(), ..Block::default() };
        assert!(!is_scattered(&block(1 << 20), SLICES_PER_MIB_MAX, 0));
        assert!(is_scattered(&block(1 << 20), SLICES_PER_MIB_MAX + 1, 0));
        assert!(!is_scattered(&block(1 << 20), SLICES_PER_MIB_MAX + 1, 1));
        assert!(!is_scattered(&block(4096), SLICES_PER_MIB_MAX, 0));
    }
}
