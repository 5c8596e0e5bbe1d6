//! The filter in front of a table: it says at once that most absent chunks are absent.
//!
//! A Bloom filter whose bits for one chunk lie in one cache line. Ids are keyed hashes, so their
//! bytes serve as the hash functions.

use format::ids::ChunkId;

use super::row::Fields;

/// One cache line.
const LINE_BYTES: usize = 64;
/// How many bits the filter spends on a chunk: about one absent chunk in 80 passes.
const CHUNK_BITS: u64 = 10;
/// How many bits are set for a chunk.
const PROBES: u32 = 6;
/// How many bits of the id choose a bit in a line.
const PROBE_BITS: u32 = 9;
const _: () = assert!(1 << PROBE_BITS == LINE_BYTES * 8 && PROBES * PROBE_BITS <= 64);

/// Which chunks may be in a table.
#[derive(Debug)]
pub(super) struct Filter {
    lines: Vec<u8>,
}

impl Filter {
    /// An empty filter for so many chunks.
    pub(super) fn new(chunks: u64) -> Self {
        let bytes = usize::try_from(Self::bytes_for(chunks)).unwrap_or(LINE_BYTES);
        Self { lines: vec![0; bytes] }
    }

    /// How many bytes the filter for so many chunks has.
    pub(super) fn bytes_for(chunks: u64) -> u64 {
        let line = LINE_BYTES as u64;
        chunks.saturating_mul(CHUNK_BITS).div_ceil(line * 8).max(1).saturating_mul(line)
    }

    /// The filter with these bytes.
    pub(super) fn from_bytes(lines: Vec<u8>) -> Self {
        Self { lines }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.lines
    }

    pub(super) fn insert(&mut self, chunk: ChunkId) {
        let (line, bits) = self.choose(chunk);
        let (lines, _) = self.lines.as_chunks_mut::<LINE_BYTES>();
        let Some(line) = lines.get_mut(line) else { return };
        for (byte, mask) in probes(bits) {
            if let Some(byte) = line.get_mut(byte) {
                *byte |= mask;
            }
        }
    }

    /// Whether the chunk may be there; `false` is certain.
    pub(super) fn may_have(&self, chunk: ChunkId) -> bool {
        let (line, bits) = self.choose(chunk);
        let (lines, _) = self.lines.as_chunks::<LINE_BYTES>();
        lines.get(line).is_some_and(|line| {
            probes(bits).all(|(byte, mask)| line.get(byte).is_some_and(|byte| byte & mask != 0))
        })
    }

    // The first 8 bytes of the id decide its place in the table, the next ones its bits here.
    fn choose(&self, chunk: ChunkId) -> (usize, u64) {
        let mut fields = Fields(chunk.as_bytes());
        fields.take::<8>();
        let lines = (self.lines.len() / LINE_BYTES) as u128;
        let line = (u128::from(fields.long()) * lines) >> 64;
        (usize::try_from(line).unwrap_or(0), fields.long())
    }
}

fn probes(bits: u64) -> impl Iterator<Item = (usize, u8)> {
    (0..PROBES).map(move |probe| {
        let [low, high, ..] = (bits >> (probe * PROBE_BITS)).to_le_bytes();
        let bit = usize::from(u16::from_le_bytes([low, high])) % (LINE_BYTES * 8);
        (bit / 8, 1 << (bit % 8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::world::chunk_id;

    #[test]
    fn what_was_put_in_may_be_there_and_little_else() {
        let mut filter = Filter::new(20_000);
        (0..20_000).for_each(|n| filter.insert(chunk_id(n)));
        assert!((0..20_000).all(|n| filter.may_have(chunk_id(n))));
        let wrong = (20_000..60_000).filter(|n| filter.may_have(chunk_id(*n))).count();
        assert!(wrong < 40_000 / 50, "{wrong}");
    }
}
