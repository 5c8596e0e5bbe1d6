//! The data and the holes of a block, in order.

use std::iter;
use std::ops::Range;

use super::block::Block;

/// A run of a block, as positions in the file; never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Segment {
    /// Bytes that are there.
    Data(Range<u64>),
    /// Bytes that read as zero and take no space.
    Hole(Range<u64>),
}

impl Block {
    /// Where it lies in the file.
    pub(crate) fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.bytes.len() as u64
    }

    /// The bytes at these positions of the file, as far as they are in the block.
    pub(crate) fn bytes_at(&self, range: &Range<u64>) -> &[u8] {
        let place = |position: u64| {
            let place = usize::try_from(position.saturating_sub(self.offset));
            place.unwrap_or(usize::MAX).min(self.bytes.len())
        };
        self.bytes.get(place(range.start)..place(range.end)).unwrap_or_default()
    }

    /// Its data and its holes, from its first byte to its last.
    pub(crate) fn segments(&self) -> impl Iterator<Item = Segment> + '_ {
        segments(self.range(), &self.holes)
    }
}

/// The data and the holes of a range, from its first byte to its last.
pub(crate) fn segments(
    range: Range<u64>,
    holes: &[Range<u64>],
) -> impl Iterator<Item = Segment> + '_ {
    let Range { mut start, end } = range;
    holes.iter().cloned().chain(iter::once(end..end)).flat_map(move |hole| {
        let data = start..hole.start;
        start = hole.end;
        let data = (!data.is_empty()).then_some(Segment::Data(data));
        data.into_iter().chain((!hole.is_empty()).then_some(Segment::Hole(hole)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_and_holes_fill_the_block() {
        let segments = |holes: &[Range<u64>]| {
            let block =
                Block { offset: 100, bytes: [0; 10].as_slice().into(), holes: holes.to_vec() };
            block.segments().collect::<Vec<_>>()
        };
        assert_eq!(segments(&[]), [Segment::Data(100..110)]);
        let (first, last) = (Segment::Hole(100..102), Segment::Hole(109..110));
        assert_eq!(segments(&[100..102, 109..110]), [first, Segment::Data(102..109), last]);
        let parts = [Segment::Data(100..103), Segment::Hole(103..104), Segment::Data(104..110)];
        assert_eq!(segments(std::slice::from_ref(&(103..104))), parts);
    }

    #[test]
    fn bytes_are_found_by_their_position_in_the_file() {
        let block = Block {
            offset: 100,
            bytes: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].as_slice().into(),
            holes: Vec::new(),
        };
        assert_eq!(block.bytes_at(&(103..105)), [3, 4]);
        assert_eq!(block.bytes_at(&(108..120)), [8, 9]);
        assert_eq!(block.bytes_at(&(0..101)), [0]);
    }
}
