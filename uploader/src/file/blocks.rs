//! A large file, read ahead of those who work on it.

use std::io;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope};

use platform::files::direct::{AlignedBuffer, BlockFile, read_block};
use platform::files::{Segment, segments};

use crate::large::block::{BLOCK_BYTES, Block};
use crate::pool::Pool;

/// How many blocks wait, while one is being read and one worked on.
const BLOCKS_WAITING: usize = 2;

/// The blocks of a file as they come.
pub(super) struct Blocks<'a> {
    read: Receiver<io::Result<Block>>,
    memory: &'a Pool<AlignedBuffer>,
}

impl<'a> Blocks<'a> {
    /// Begins to read the first `size` bytes of a file.
    pub(super) fn begin<'scope>(
        scope: &'scope Scope<'scope, '_>,
        file: &'scope BlockFile,
        size: u64,
        memory: &'a Pool<AlignedBuffer>,
    ) -> io::Result<Self>
    where
        'a: 'scope,
    {
        let (send, read) = sync_channel(BLOCKS_WAITING);
        let reader = Reader { file, size, send, memory };
        thread::Builder::new().name("block".into()).spawn_scoped(scope, move || reader.run())?;
        Ok(Self { read, memory })
    }

    /// The next block; `None` at the end of the file, which may have become shorter.
    pub(super) fn next(&self) -> Option<io::Result<Block>> {
        self.read.recv().ok()
    }

    /// Gives the memory of a block back.
    pub(super) fn done(&self, block: Block) {
        self.memory.give(block.bytes);
    }
}

struct Reader<'a> {
    file: &'a BlockFile,
    size: u64,
    send: SyncSender<io::Result<Block>>,
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
            if !is_hole && !self.block(offset..end, inside)? {
                return Ok(());
            }
            offset = end;
        }
        Ok(())
    }

    // Reads one block; false when the file ends in it, or nobody wants more.
    fn block(&self, range: Range<u64>, holes: Vec<Range<u64>>) -> io::Result<bool> {
        let mut bytes = self.memory.take();
        let length = usize::try_from(range.end - range.start).unwrap_or(BLOCK_BYTES);
        let read = read_block(self.file, range.start, &mut bytes, length)?;
        let mut block = Block { offset: range.start, bytes, holes };
        let end = range.start + read as u64;
        block.holes.retain(|hole| hole.start < end);
        for hole in &mut block.holes {
            hole.end = hole.end.min(end);
            // Whatever was written there meanwhile: a hole is what will be restored.
            let place = |at: u64| usize::try_from(at - range.start).unwrap_or(usize::MAX);
            block.bytes.get_mut(place(hole.start)..place(hole.end)).unwrap_or_default().fill(0);
        }
        let whole = read == length;
        let wanted = read == 0 || self.send.send(Ok(block)).is_ok();
        Ok(whole && wanted)
    }
}

/// The holes of a file, asked for from its start to its end.
struct Holes<'a> {
    segments: platform::files::Segments<'a>,
    /// The hole that was found last.
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
                // No hole as far as that: a hole before it is not found again.
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

    #[test]
    fn every_hole_is_found_once() {
        const MIB: u64 = 1 << 20;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse");
        let file = File::create(&path).unwrap();
        for offset in [1, 3, 7] {
            file.write_all_at(&vec![1; 1 << 20], offset * MIB).unwrap();
        }
        file.set_len(10 * MIB).unwrap();
        let file = File::open(&path).unwrap();
        let mut holes = Holes { segments: segments(&file, 10 * MIB), last: 0..0 };
        let mut within = |start: u64, end: u64| {
            let found = holes.within(start * MIB..end * MIB).unwrap();
            found.iter().map(|hole| (hole.start / MIB, hole.end / MIB)).collect::<Vec<_>>()
        };
        assert_eq!(within(0, 4), [(0, 1), (2, 3)]);
        assert_eq!(within(4, 8), [(4, 7)]);
        assert_eq!(within(8, 10), [(8, 10)]);
    }
}
