//! How packs are shared out among index segments.

use format::pack::PackRecord;

/// How many packs one index segment names.
pub(super) const SEGMENT_PACKS: usize = 512;
/// How many chunks one index segment names, if more than one pack: 7 MiB of them, for whoever
/// reads the index holds a whole segment.
pub(super) const SEGMENT_CHUNKS: usize = 200_000;

/// Packs in their order, in groups that are not too large.
pub(super) fn segments(packs: Vec<PackRecord>) -> impl Iterator<Item = Vec<PackRecord>> {
    let chunks = |pack: &PackRecord| pack.frames.iter().map(|frame| frame.chunks.len()).sum();
    let mut packs = packs.into_iter().peekable();
    std::iter::from_fn(move || {
        let first = packs.next()?;
        let mut left = SEGMENT_CHUNKS.saturating_sub(chunks(&first));
        let mut segment = vec![first];
        while segment.len() < SEGMENT_PACKS {
            let Some(next) = packs.next_if(|next| chunks(next) <= left) else { break };
            left -= chunks(&next);
            segment.push(next);
        }
        Some(segment)
    })
}
