//! Which bytes of a file may have changed since its last restore point.
//!
//! Whoever finds changes (a map of page hashes, a comparison of a filesystem's extents) says so by
//! this set and nothing else; whoever stores them asks no more than this.

use std::iter;
use std::ops::Range;

/// A set of bytes, as ranges in the order of the file that neither touch nor are empty.
///
/// What is not in it has not changed; what is in it may have.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ChangedRanges(Vec<Range<u64>>);

impl ChangedRanges {
    /// Adds the bytes of a range, in any order; cheapest at the end. An empty one adds nothing.
    pub fn add(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let first = self.0.partition_point(|known| known.end < range.start);
        let after = self.0.partition_point(|known| known.start <= range.end);
        let touched = self.0.get(first..after).unwrap_or_default();
        let start = touched.first().map_or(range.start, |known| known.start.min(range.start));
        let end = touched.last().map_or(range.end, |known| known.end.max(range.end));
        drop(self.0.splice(first..after, iter::once(start..end)));
    }

    /// The ranges, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.0.iter().cloned()
    }

    /// Whether every byte of the range may have changed.
    pub fn contains_range(&self, range: &Range<u64>) -> bool {
        range.is_empty()
            || self
                .overlapping(range)
                .first()
                .is_some_and(|known| known.start <= range.start && range.end <= known.end)
    }

    /// Whether all of a file of `size` bytes may have changed.
    pub fn covers(&self, size: u64) -> bool {
        self.contains_range(&(0..size))
    }

    /// What of the range may have changed.
    #[must_use]
    pub fn within(&self, range: &Range<u64>) -> Self {
        let clipped = self.overlapping(range).iter();
        Self(clipped.map(|known| known.start.max(range.start)..known.end.min(range.end)).collect())
    }

    /// The parts of the range that have not changed, in order, none empty.
    pub fn unchanged(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let mut start = range.start;
        let changed = self.overlapping(&range).iter().cloned();
        changed.chain(iter::once(range.end..range.end)).filter_map(move |changed| {
            let before = start..changed.start;
            start = changed.end;
            (!before.is_empty()).then_some(before)
        })
    }

    /// How many bytes may have changed.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|range| range.end.saturating_sub(range.start)).sum()
    }

    fn overlapping(&self, range: &Range<u64>) -> &[Range<u64>] {
        let first = self.0.partition_point(|known| known.end <= range.start);
        let after = self.0.partition_point(|known| known.start < range.end);
        self.0.get(first..after).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[Range<u64>]) -> ChangedRanges {
        let mut set = ChangedRanges::default();
        ranges.iter().cloned().for_each(|range| set.add(range));
        set
    }

    #[test]
    fn ranges_are_in_order_and_apart_however_they_were_added() {
        let ranges = |added: &[Range<u64>]| {
            set(added).iter().map(|range| (range.start, range.end)).collect::<Vec<_>>()
        };
        assert_eq!(ranges(&[8..9, 2..4, 4..6, 0..1, 5..5]), [(0, 1), (2, 6), (8, 9)]);
        assert_eq!(ranges(&[0..2, 4..6, 8..10, 1..9]), [(0, 10)]);
        assert_eq!(ranges(&[4..6, 2..4]), [(2, 6)]);
        assert_eq!(ranges(&[0..9, 3..4]), [(0, 9)]);
    }

    /// Every set of ranges below 8, against bytes that are marked one by one.
    #[test]
    fn questions_are_answered_as_if_for_every_byte() {
        for bits in 0_u32..256 {
            let marked = |byte: u64| bits >> byte & 1 == 1;
            let mut set = ChangedRanges::default();
            (0..8).filter(|byte| marked(*byte)).for_each(|byte| set.add(byte..byte + 1));
            assert_eq!(set.total(), u64::from(bits.count_ones()));
            for (start, end) in (0..9).flat_map(|start| (start..9).map(move |end| (start, end))) {
                let all = (start..end).all(marked);
                assert_eq!(set.contains_range(&(start..end)), all, "{bits:b} {start}..{end}");
                let bytes = |ranges: Vec<Range<u64>>| ranges.into_iter().flatten();
                assert!(
                    bytes(set.within(&(start..end)).iter().collect())
                        .eq((start..end).filter(|byte| marked(*byte)))
                );
                assert!(
                    bytes(set.unchanged(start..end).collect())
                        .eq((start..end).filter(|byte| !marked(*byte)))
                );
            }
            assert_eq!(set.covers(8), bits == 255);
        }
    }
}
