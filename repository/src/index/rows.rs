//! Chunk rows in order, and many such streams made one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

use super::row::ChunkRow;

/// Chunk rows in ascending order of their ids.
pub(super) trait Rows: Send {
    /// The next row; `None` at the end.
    fn next(&mut self) -> io::Result<Option<ChunkRow>>;
}

/// The rows of several streams, merged. Equal ids are all kept.
pub(super) struct Merged<'a> {
    sources: Vec<Box<dyn Rows + 'a>>,
    heads: BinaryHeap<Reverse<(ChunkRow, usize)>>,
}

impl<'a> Merged<'a> {
    pub(super) fn new(mut sources: Vec<Box<dyn Rows + 'a>>) -> io::Result<Self> {
        let mut heads = BinaryHeap::new();
        for (number, source) in sources.iter_mut().enumerate() {
            heads.extend(source.next()?.map(|row| Reverse((row, number))));
        }
        Ok(Self { sources, heads })
    }
}

impl Merged<'_> {
    /// The next row, and which of the streams it comes from.
    pub(super) fn next_of(&mut self) -> io::Result<Option<(ChunkRow, usize)>> {
        let Some(mut head) = self.heads.peek_mut() else { return Ok(None) };
        let Reverse((row, number)) = *head;
        let next = match self.sources.get_mut(number) {
            Some(source) => source.next()?,
            None => None,
        };
        match next {
            // The heap sifts once, when the changed head is let go.
            Some(next) => *head = Reverse((next, number)),
            None => drop(std::collections::binary_heap::PeekMut::pop(head)),
        }
        Ok(Some((row, number)))
    }
}

impl Rows for Merged<'_> {
    fn next(&mut self) -> io::Result<Option<ChunkRow>> {
        Ok(self.next_of()?.map(|(row, _)| row))
    }
}

/// Stands for a pack whose rows are left out.
pub(super) const LEFT_OUT: u32 = u32::MAX;

/// Rows whose packs get other numbers, or are left out.
pub(super) struct Renumbered<'a, R> {
    pub(super) rows: R,
    /// The new number of every pack, or [`LEFT_OUT`].
    pub(super) numbers: &'a [u32],
}

impl<R: Rows> Rows for Renumbered<'_, R> {
    fn next(&mut self) -> io::Result<Option<ChunkRow>> {
        while let Some(row) = self.rows.next()? {
            match self.numbers.get(row.pack() as usize) {
                Some(&LEFT_OUT) | None => {}
                Some(&number) => return Ok(Some(row.with_pack(number))),
            }
        }
        Ok(None)
    }
}
