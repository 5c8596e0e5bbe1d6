//! From what became of each part of a file to its new extents.

use std::ops::Range;

use format::chunker::{CHUNK_BYTES_AVERAGE, CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, Chunker};
use format::ids::Digest;
use format::keys::{Digester, Keys};
use format::tree::{Extent, Slice};

use super::parent::Placed;
use super::run::Run;
use crate::error::UploadError;
use crate::sink::ChunkSink;

/// Changed runs of this length and more are cut by content, as new data is: it is the shortest
/// chunk that cutting makes. Shorter ones share chunks.
const RUN_BYTES_MIN: usize = CHUNK_BYTES_MIN;
/// How many bytes of short runs share a chunk: the mean of what cutting makes.
const SHARED_BYTES_MAX: usize = CHUNK_BYTES_AVERAGE;
/// How many extents may wait for the name of the shared chunk: some 2 MiB of memory, and of a file
/// that is not in pieces yet some 32 GiB. Then the chunk is stored as full as it is.
const WAITING_MAX: usize = 32 << 10;

/// Takes the extents of a file in their order.
pub(crate) trait ExtentSink {
    /// The next extent of the file.
    fn extent(&mut self, extent: Extent) -> Result<(), UploadError>;
}

/// Reads a part of the file once more.
pub(crate) trait Reread {
    /// The bytes of this range, which is no longer than a chunk.
    fn reread(&mut self, range: Range<u64>) -> Result<Vec<u8>, UploadError>;
}

/// Takes all that a file becomes.
pub(crate) trait ContentSink: ChunkSink + ExtentSink + Reread {}

impl<S: ChunkSink + ExtentSink + Reread + ?Sized> ContentSink for S {}

/// Is told of a file from its start to its end, part by part, and puts its extents together.
pub(crate) struct Assembler<'a> {
    keys: &'a Keys,
    changed: Run,
    kept: Option<Kept>,
    queue: Queue,
}

impl<'a> Assembler<'a> {
    pub(crate) fn new(keys: &'a Keys, chunker: &'a Chunker) -> Self {
        Self { keys, changed: Run::new(chunker), kept: None, queue: Queue::default() }
    }

    /// The next `length` bytes are a hole.
    pub(crate) fn hole(
        &mut self,
        length: u64,
        sink: &mut dyn ContentSink,
    ) -> Result<(), UploadError> {
        if length == 0 {
            return Ok(());
        }
        self.end_part(sink)?;
        self.queue.put(Extent::Hole { length }, sink)
    }

    /// The next bytes are these, and the parent does not have them here.
    pub(crate) fn changed(
        &mut self,
        bytes: &[u8],
        sink: &mut dyn ContentSink,
    ) -> Result<(), UploadError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.end_kept(sink)?;
        let queue = &mut self.queue;
        self.changed.push(bytes, |chunk| queue.store(chunk, sink))
    }

    /// The next bytes are these, and the parent has them `skip` bytes from the start of one of
    /// its extents.
    pub(crate) fn kept(
        &mut self,
        placed: &Placed,
        skip: u32,
        bytes: &[u8],
        sink: &mut dyn ContentSink,
    ) -> Result<(), UploadError> {
        match u32::try_from(bytes.len()) {
            Ok(length) => self.keep(placed, (skip, length), Some(bytes), sink),
            Err(_) => self.changed(bytes, sink),
        }
    }

    /// The same for bytes that were not read: so many of them.
    pub(crate) fn kept_unread(
        &mut self,
        placed: &Placed,
        (skip, length): (u32, u32),
        sink: &mut dyn ContentSink,
    ) -> Result<(), UploadError> {
        self.keep(placed, (skip, length), None, sink)
    }

    fn keep(
        &mut self,
        placed: &Placed,
        (skip, length): (u32, u32),
        bytes: Option<&[u8]>,
        sink: &mut dyn ContentSink,
    ) -> Result<(), UploadError> {
        if let Some(kept) = &mut self.kept
            && kept.placed.number == placed.number
            && kept.skip + kept.length == skip
        {
            kept.length += length;
            kept.digester = kept.digester.take().zip(bytes).map(updated);
            return Ok(());
        }
        self.end_part(sink)?;
        if skip == 0 && length == placed.slice.length {
            return self.queue.put(placed.extent, sink);
        }
        let digester = bytes.map(|bytes| updated((self.keys.digester(), bytes)));
        self.kept = Some(Kept { placed: *placed, skip, length, digester });
        Ok(())
    }

    /// Ends the file.
    pub(crate) fn finish(mut self, sink: &mut dyn ContentSink) -> Result<(), UploadError> {
        self.end_part(sink)?;
        self.queue.finish(sink)
    }

    fn end_part(&mut self, sink: &mut dyn ContentSink) -> Result<(), UploadError> {
        self.end_kept(sink)?;
        let queue = &mut self.queue;
        match self.changed.uncut() {
            Some([]) => Ok(()),
            Some(short) if short.len() < RUN_BYTES_MIN => {
                queue.collect(short, self.keys.digest(short), sink)?;
                self.changed.clear();
                Ok(())
            }
            _ => self.changed.end(|chunk| queue.store(chunk, sink)),
        }
    }

    fn end_kept(&mut self, sink: &mut dyn ContentSink) -> Result<(), UploadError> {
        let Some(kept) = self.kept.take() else { return Ok(()) };
        let whole = kept.placed.slice;
        if (kept.skip, kept.length) == (0, whole.length) {
            return self.queue.put(kept.placed.extent, sink);
        }
        let slice = Slice { offset: whole.offset + kept.skip, length: kept.length, ..whole };
        let digest = match kept.digester {
            Some(digester) => digester.finish(),
            None => self.keys.digest(&sink.reread(kept.range())?),
        };
        self.queue.put(Extent::Part { slice, digest }, sink)
    }
}

fn updated((mut digester, bytes): (Digester, &[u8])) -> Digester {
    digester.update(bytes);
    digester
}

/// What is kept of one extent of the parent, as far as it is known; more may follow with the next
/// block.
struct Kept {
    placed: Placed,
    skip: u32,
    length: u32,
    /// Absent when not all of it was read.
    digester: Option<Digester>,
}

impl Kept {
    fn range(&self) -> Range<u64> {
        let start = self.placed.start + u64::from(self.skip);
        start..start + u64::from(self.length)
    }
}

/// The chunk that short runs share, and the extents that wait until its name is known.
#[derive(Default)]
struct Queue {
    shared: Vec<u8>,
    waiting: Vec<Waiting>,
    hole: u64,
}

enum Waiting {
    Known(Extent),
    Shared { offset: u32, length: u32, digest: Digest },
}

impl Queue {
    fn put(&mut self, extent: Extent, sink: &mut dyn ContentSink) -> Result<(), UploadError> {
        if self.shared.is_empty() {
            return self.emit(extent, sink);
        }
        self.wait(Waiting::Known(extent), sink)
    }

    fn store(&mut self, chunk: &[u8], sink: &mut dyn ContentSink) -> Result<(), UploadError> {
        let slice = sink.chunk(chunk)?;
        self.put(Extent::Whole(slice), sink)
    }

    fn collect(
        &mut self,
        run: &[u8],
        digest: Digest,
        sink: &mut dyn ContentSink,
    ) -> Result<(), UploadError> {
        if self.shared.len() + run.len() > SHARED_BYTES_MAX {
            self.flush(sink)?;
        }
        let numbers = (u32::try_from(self.shared.len()), u32::try_from(run.len()));
        let (Ok(offset), Ok(length)) = numbers else { return Err(UploadError::Stopped) };
        self.shared.extend_from_slice(run);
        self.wait(Waiting::Shared { offset, length, digest }, sink)
    }

    fn wait(&mut self, waiting: Waiting, sink: &mut dyn ContentSink) -> Result<(), UploadError> {
        self.waiting.push(waiting);
        if self.waiting.len() >= WAITING_MAX { self.flush(sink) } else { Ok(()) }
    }

    fn flush(&mut self, sink: &mut dyn ContentSink) -> Result<(), UploadError> {
        if self.shared.is_empty() {
            return Ok(());
        }
        let whole = sink.chunk(&self.shared)?;
        self.shared.clear();
        let mut waiting = std::mem::take(&mut self.waiting);
        for extent in waiting.drain(..) {
            let extent = match extent {
                Waiting::Known(extent) => extent,
                Waiting::Shared { length, .. } if length == whole.length => Extent::Whole(whole),
                Waiting::Shared { offset, length, digest } => {
                    Extent::Part { slice: Slice { offset, length, ..whole }, digest }
                }
            };
            self.emit(extent, sink)?;
        }
        // Empty again, but with its memory.
        self.waiting = waiting;
        Ok(())
    }

    // Holes that touch become one.
    fn emit(&mut self, extent: Extent, sink: &mut dyn ContentSink) -> Result<(), UploadError> {
        if let Extent::Hole { length } = extent {
            self.hole = self.hole.saturating_add(length);
            return Ok(());
        }
        self.emit_hole(sink)?;
        sink.extent(extent)
    }

    fn emit_hole(&mut self, sink: &mut dyn ContentSink) -> Result<(), UploadError> {
        let length = std::mem::take(&mut self.hole);
        if length == 0 { Ok(()) } else { sink.extent(Extent::Hole { length }) }
    }

    fn finish(mut self, sink: &mut dyn ContentSink) -> Result<(), UploadError> {
        self.flush(sink)?;
        self.emit_hole(sink)
    }
}

// A short run always fits into a shared chunk, and that is never too long.
const _: () = assert!(RUN_BYTES_MIN <= SHARED_BYTES_MAX && SHARED_BYTES_MAX <= CHUNK_BYTES_MAX);
