//! A large file, read ahead of those who work on it.

use std::io;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope};

use format::changed_ranges::ChangedRanges;
use platform::files::direct::{AlignedBuffer, BlockFile, read_block};
use platform::files::{Segment, segments};
use repository::pool::Pool;

use crate::large::block::{BLOCK_BYTES, Block, Same};

/// How many blocks wait, while one is being read and one worked on.
const BLOCKS_WAITING: usize = 2;

/// The blocks of a file as they come.
pub(super) struct Blocks<'a> {
    read: Receiver<io::Result<Part>>,
    file: &'a BlockFile,
    memory: &'a Pool<AlignedBuffer>,
}

/// What comes next of a file.
pub(super) enum Part {
    Block(Block),
    /// It was known not to have changed, and not read.
    Same(Same),
}

impl<'a> Blocks<'a> {
    /// Begins to read the first `size` bytes of a file; only blocks of which something `changed`, where
    /// that is known.
    pub(super) fn begin<'scope>(
        scope: &'scope Scope<'scope, '_>,
        file: &'a BlockFile,
        (size, changed): (u64, Option<&'a ChangedRanges>),
        memory: &'a Pool<AlignedBuffer>,
    ) -> io::Result<Self>
    where
        'a: 'scope,
    {
        let (send, read) = sync_channel(BLOCKS_WAITING);
        let reader = Reader { file, size, changed, send, memory };
        thread::Builder::new().name("block".into()).spawn_scoped(scope, move || reader.run())?;
        Ok(Self { read, file, memory })
    }

    /// The next part; `None` at the end of the file, which may have become shorter.
    pub(super) fn next(&self) -> Option<io::Result<Part>> {
        self.read.recv().ok()
    }

    /// The bytes of a part that was not read.
    pub(super) fn read(&self, same: Same) -> io::Result<Block> {
        let length = same.range.end - same.range.start;
        let block = read(self.file, same, self.memory.take())?;
        // Nobody changes it.
        if block.bytes.len() as u64 == length {
            Ok(block)
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Gives the memory of a block back.
    pub(super) fn done(&self, block: Block) {
        self.memory.give(block.bytes);
    }
}

struct Reader<'a> {
    file: &'a BlockFile,
    size: u64,
    changed: Option<&'a ChangedRanges>,
    send: SyncSender<io::Result<Part>>,
    memory: &'a Pool<AlignedBuffer>,
}

impl Reader<'_> {
    fn run(self) {
        if let Err(error) = self.blocks() {
            // Whoever is gone does not want to know.
            let _ = self.send.send(Err(error));
        }
    }

    fn blocks(&self) -> io::Result<()> {
        let mut holes = Holes { segments: segments(self.file.file(), self.size), last: 0..0 };
        let mut offset = 0;
        while offset < self.size {
            let end = self.size.min(offset + BLOCK_BYTES as u64);
            let inside = holes.within(offset..end)?;
            let is_hole = inside.first().is_some_and(|hole| *hole == (offset..end));
            if !is_hole && !self.part(Same { range: offset..end, holes: inside })? {
                return Ok(());
            }
            offset = end;
        }
        Ok(())
    }

    // False when the file ends in it, or nobody wants more.
    fn part(&self, part: Same) -> io::Result<bool> {
        let is_same = |changed: &ChangedRanges| changed.within(&part.range).iter().next().is_none();
        if self.changed.is_some_and(is_same) {
            return Ok(self.send.send(Ok(Part::Same(part))).is_ok());
        }
        let length = part.range.end - part.range.start;
        let block = read(self.file, part, self.memory.take())?;
        let read = block.bytes.len() as u64;
        let wanted = read == 0 || self.send.send(Ok(Part::Block(block))).is_ok();
        Ok(read == length && wanted)
    }
}

fn read(file: &BlockFile, part: Same, mut bytes: AlignedBuffer) -> io::Result<Block> {
    let Same { range, holes } = part;
    let length = usize::try_from(range.end - range.start).unwrap_or(BLOCK_BYTES);
    let read = read_block(file, range.start, &mut bytes, length)?;
    let mut block = Block { offset: range.start, bytes, holes };
    let end = range.start + read as u64;
    block.holes.retain(|hole| hole.start < end);
    for hole in &mut block.holes {
        hole.end = hole.end.min(end);
        // Whatever was written there meanwhile: a hole is what will be restored.
        let place = |at: u64| usize::try_from(at - range.start).unwrap_or(usize::MAX);
        block.bytes.get_mut(place(hole.start)..place(hole.end)).unwrap_or_default().fill(0);
    }
    Ok(block)
}

/// The holes of a file, asked for from its start to its end.
struct Holes<'a> {
    segments: platform::files::Segments<'a>,
    /// The hole that was found last; an empty one stands for data until there.
    last: Range<u64>,
}

impl Holes<'_> {
    fn within(&mut self, range: Range<u64>) -> io::Result<Vec<Range<u64>>> {
        let mut found = Vec::new();
        loop {
            let inside = self.last.start.max(range.start)..self.last.end.min(range.end);
            if !inside.is_empty() {
                found.push(inside);
            }
            if self.last.end > range.end {
                return Ok(found);
            }
            self.last = match self.segments.next().transpose()? {
                Some(Segment::Hole { offset, length }) => offset..offset + length,
                // No hole before its end.
                Some(Segment::Data { offset, length }) => offset + length..offset + length,
                None => return Ok(found),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt as _;

    use super::*;

    fn read(file: &File, size: u64) -> Vec<Block> {
        let (file, memory) = (BlockFile::new(file.try_clone().unwrap()), Pool::new(2));
        thread::scope(|scope| {
            let blocks = Blocks::begin(scope, &file, (size, None), &memory).unwrap();
            let block = |part| match part {
                Part::Block(block) => block,
                Part::Same(same) => panic!("{same:?} was to be read"),
            };
            std::iter::from_fn(|| Some(blocks.next()?.map(block)))
                .collect::<io::Result<_>>()
                .unwrap()
        })
    }

    #[test]
    fn holes_and_data_come_as_they_lie() {
        const MIB: u64 = 1 << 20;
        let file = tempfile::tempfile().unwrap();
        file.set_len(14 * MIB + 5).unwrap();
        // Two runs in the first block, the second block all hole, data across a border, a tail.
        for place in [MIB, 2 * MIB, 11 * MIB + MIB / 2] {
            file.write_all_at(&vec![7; 1 << 20], place).unwrap();
        }
        let blocks = read(&file, 14 * MIB + 5);
        let found: Vec<_> = blocks.iter().map(|b| (b.offset, b.bytes.len(), &b.holes)).collect();
        let first = vec![0..MIB, 3 * MIB..4 * MIB];
        let one = |hole: Range<u64>| std::iter::once(hole).collect::<Vec<_>>();
        let third = one(8 * MIB..11 * MIB + MIB / 2);
        let last = one(12 * MIB + MIB / 2..14 * MIB + 5);
        let expected =
            [(0, 4 << 20, &first), (8 * MIB, 4 << 20, &third), (12 * MIB, (2 << 20) + 5, &last)];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_file_that_became_shorter_ends_where_it_ends() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&vec![7; 5 << 20], 0).unwrap();
        let blocks = read(&file, 40 << 20);
        assert_eq!(blocks.iter().map(|block| block.bytes.len()).sum::<usize>(), 5 << 20);
    }
}
