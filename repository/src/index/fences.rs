//! The fences of a table: how the first id of every block begins.

use std::ops::RangeInclusive;

/// How many bytes a fence has.
pub(super) const FENCE_BYTES: usize = 8;
/// How many fences a search has left, on average, when the directory has spoken.
const FENCES_LEFT: usize = 8;

/// Tells which blocks may hold an id.
#[derive(Debug)]
pub(super) struct Fences {
    /// Big-endian numbers in ascending order.
    numbers: Vec<u8>,
    /// For every value of the first bits of an id, and one more: the first fence that is not
    /// below it.
    directory: Vec<u32>,
    /// How far an id's prefix is shifted to leave those first bits.
    shift: u32,
}

impl Fences {
    /// The fences in these bytes: big-endian numbers, in ascending order.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let (numbers, _) = bytes.as_chunks::<FENCE_BYTES>();
        let bits = (numbers.len() / FENCES_LEFT).max(2).ilog2();
        let shift = 64 - bits;
        let mut directory = Vec::with_capacity((1 << bits) + 1);
        for (at, number) in (0..).zip(numbers) {
            let value = usize::try_from(u64::from_be_bytes(*number) >> shift).unwrap_or(0);
            if directory.len() <= value {
                directory.resize(value + 1, at);
            }
        }
        let count = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        directory.resize((1 << bits) + 1, count);
        Self { numbers: bytes, directory, shift }
    }

    /// The blocks that may hold ids that begin with `prefix`; `None` where there are no blocks.
    ///
    /// Usually it is one. It is more when equal prefixes fill blocks.
    pub(super) fn blocks(&self, prefix: u64) -> Option<RangeInclusive<u64>> {
        let (fences, _) = self.numbers.as_chunks::<FENCE_BYTES>();
        let value = usize::try_from(prefix >> self.shift).ok()?;
        let start = *self.directory.get(value)? as usize;
        let end = *self.directory.get(value + 1)? as usize;
        let near = fences.get(start..end)?;
        let below = start + near.partition_point(|fence| u64::from_be_bytes(*fence) < prefix);
        let equal = fences.get(below..)?.iter().take_while(|f| u64::from_be_bytes(**f) == prefix);
        // Ids below the first fence that is not below the prefix are in the block before it.
        let last = (below + equal.count()).checked_sub(1)? as u64;
        Some(below.saturating_sub(1) as u64..=last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fences(numbers: &[u64]) -> Fences {
        Fences::new(numbers.iter().flat_map(|n| n.to_be_bytes()).collect())
    }

    #[test]
    fn every_block_that_may_hold_a_prefix_is_named() {
        let many: Vec<u64> = (0..5000u64).map(|n| n.wrapping_mul(n) << 39 | n).collect();
        let mut many = many;
        many.sort_unstable();
        for numbers in
            [vec![5], vec![0, 0, 7, 7, 7, 9, u64::MAX, u64::MAX], vec![3 << 60; 50], many]
        {
            let fences = fences(&numbers);
            for probe in numbers.iter().flat_map(|n| [n.saturating_sub(1), *n, n.saturating_add(1)])
            {
                let wanted: Vec<u64> = (0..numbers.len())
                    .filter(|at| {
                        numbers[*at] <= probe && numbers.get(at + 1).is_none_or(|n| *n >= probe)
                    })
                    .map(|at| at as u64)
                    .collect();
                let found = fences.blocks(probe).into_iter().flatten().collect::<Vec<_>>();
                assert!(wanted.iter().all(|at| found.contains(at)), "{probe}: {found:?}");
                assert!(found.len() <= wanted.len() + 1, "{probe}: {found:?} for {wanted:?}");
            }
        }
    }

    #[test]
    fn without_blocks_there_is_nothing_to_name() {
        assert_eq!(fences(&[]).blocks(7), None);
    }
}
