//! Files that are read block by block.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use format::changed_ranges::ChangedRanges;
use format::chunker::Chunker;
use format::frame::ChunkKind;
use format::tree::{Content, Extent, Slice};
use platform::files::direct::{AlignedBuffer, BlockFile};
use platform::files::{self, Inspected};
use repository::pool::Pool;
use repository::tree::ExtentReader;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use tokio::runtime::Handle;

use super::blocks::{Blocks, Part};
use super::{ContentError, Reading, Shared, StoredFile};
use crate::error::UploadError;
use crate::intake::Intake;
use crate::large::assemble::{ExtentSink, Reread};
use crate::large::block::{BLOCK_BYTES, Block, Same};
use crate::large::cutting::Cutting;
use crate::large::page_map::PageMapWriter;
use crate::large::pages::Digested;
use crate::large::parent::Parent;
use crate::large::revise::Reviser;
use crate::large::wear::is_worn;
use crate::sink::ChunkSink;
use crate::stream::{ExtentWriter, WrittenExtents};

/// How many large files are read at the same time: each takes some 30 MiB.
const LARGE_MAX: usize = 2;
/// How many blocks they have between them.
const BLOCKS_KEPT: usize = LARGE_MAX * 4;

/// Memory for the blocks of large files.
pub(crate) fn blocks() -> Pool<AlignedBuffer> {
    Pool::new(BLOCKS_KEPT)
}

impl Reading<'_> {
    /// Stores a file of which the parent point may have an earlier content, which may lie at `base`.
    pub(super) fn large(
        &mut self,
        file: File,
        found: &Inspected,
        (parent, base): (Option<Content>, Option<&Path>),
    ) -> Result<StoredFile, ContentError> {
        let shared = self.shared;
        let _permit = shared.large.permit();
        let size_before = parent.as_ref().map(|parent| parent.size);
        let mut work = work(shared, parent)?;
        let base = base.filter(|_| work.knows_pages()).zip(size_before);
        let changed = base.and_then(|base| changed_since(base, &file));
        let file = BlockFile::new(file);
        let mut sink = Sink {
            intake: &shared.intake,
            extents: ExtentWriter::new(&shared.chunker, &shared.intake),
            file: file.file(),
            unreadable: None,
        };
        let whole = (found.size, changed.as_ref());
        let end = self.blocks(&file, whole, &mut work, &mut sink).and_then(|end| {
            let size = end.settle(found.size, || Ok(file.file().metadata()?.len()))?;
            Ok(work.finish(size, &mut sink)?)
        });
        let Digested { size, hash, map } = match sink.unreadable.take() {
            Some(error) => return Err(error.into()),
            None => end?,
        };
        let WrittenExtents { extents, size: covered, data } = sink.extents.finish()?;
        if covered != size {
            // Rather missing than there and of no use.
            let what = format!("{covered} of its {size} bytes were accounted for");
            return Err(io::Error::other(what).into());
        }
        Ok(StoredFile { content: Content { size, extents, hash }, data, map })
    }

    fn blocks(
        &mut self,
        file: &BlockFile,
        (size, changed): (u64, Option<&ChangedRanges>),
        work: &mut Work<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<End, ContentError> {
        let shared = self.shared;
        thread::scope(|scope| {
            let blocks = Blocks::begin(scope, file, (size, changed), &shared.blocks)?;
            let mut end = End::default();
            while let Some(part) = blocks.next().transpose()? {
                shared.go_on()?;
                let block = match part {
                    Part::Block(block) => block,
                    Part::Same(same) if work.same(&same, sink)? => {
                        end = End { at: same.range.end, early: false };
                        continue;
                    }
                    Part::Same(same) => blocks.read(same)?,
                };
                self.count(block.bytes.len());
                end = End::of(&block, size);
                work.block(&block, sink)?;
                blocks.done(block);
            }
            Ok(end)
        })
    }
}

// What of it may differ from what lies there; nothing when that cannot be told.
fn changed_since((base, size): (&Path, u64), file: &File) -> Option<ChangedRanges> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    // No link is followed: it would lead to something else.
    let base = openat2(CWD, base, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS).ok()?;
    let base = File::from(base);
    // Of another size it is another file.
    let is_it = base.metadata().is_ok_and(|found| found.len() == size);
    is_it.then(|| files::changed_since(&base, file).ok()).flatten()
}

/// Where the last block ended that there was.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct End {
    at: u64,
    /// Whether the file ended there when it was read, earlier than it should have.
    early: bool,
}

impl End {
    fn of(block: &Block, size: u64) -> Self {
        let at = block.range().end;
        Self { at, early: at < size.min(block.offset + BLOCK_BYTES as u64) }
    }

    // A file that became shorter while it was read ends where nothing more was found, although it may
    // have grown again: its last page was hashed as it was. One that ends in a hole is as long as it
    // says, now that it was read.
    fn settle(self, size: u64, now: impl FnOnce() -> io::Result<u64>) -> io::Result<u64> {
        if self.early { Ok(self.at) } else { Ok(now()?.clamp(self.at.min(size), size)) }
    }
}

/// What is done with the blocks of a file.
enum Work<'a> {
    Cut(Box<Cutting<'a>>),
    Revise(Box<Reviser<'a>>),
}

impl Work<'_> {
    // Whether bytes that are as the parent has them need not be read.
    fn knows_pages(&self) -> bool {
        match self {
            Self::Cut(_) => false,
            Self::Revise(reviser) => reviser.knows_pages(),
        }
    }

    fn same(&mut self, same: &Same, sink: &mut Sink<'_>) -> Result<bool, UploadError> {
        match self {
            Self::Cut(_) => Ok(false),
            Self::Revise(reviser) => reviser.same(same, sink),
        }
    }

    fn block(&mut self, block: &Block, sink: &mut Sink<'_>) -> Result<(), UploadError> {
        match self {
            Self::Cut(cutting) => cutting.block(block, sink),
            Self::Revise(reviser) => reviser.block(block, sink),
        }
    }

    fn finish(self, size: u64, sink: &mut Sink<'_>) -> Result<Digested, UploadError> {
        match self {
            Self::Cut(cutting) => cutting.finish(size, sink),
            Self::Revise(reviser) => reviser.finish(size, sink),
        }
    }
}

fn work(shared: &Shared, parent: Option<Content>) -> Result<Work<'_>, UploadError> {
    let (intake, chunker): (&Intake, &Chunker) = (&shared.intake, &shared.chunker);
    let new_map = shared.maps.as_ref().and_then(|maps| new_map(maps.writer()));
    let Some((hash, content)) = parent.and_then(|content| Some((content.hash?, content))) else {
        return Ok(Work::Cut(Box::new(Cutting::new(intake.keys(), chunker, new_map))));
    };
    if is_worn(extents(shared, content.clone()), |chunk| intake.length(chunk))? {
        return Ok(Work::Cut(Box::new(Cutting::new(intake.keys(), chunker, new_map))));
    }
    let map = shared.maps.as_ref().and_then(|maps| maps.verified(hash, intake.keys()));
    let parent = Parent::new(extents(shared, content), |slice| intake.holds(slice));
    Ok(Work::Revise(Box::new(Reviser::new(parent, map, intake.keys(), chunker, new_map))))
}

// Without a map the next backup compares slice by slice.
fn new_map(made: io::Result<PageMapWriter>) -> Option<PageMapWriter> {
    made.inspect_err(|error| tracing::warn!(%error, "a list of page digests cannot be kept")).ok()
}

// The parent's extents; when they cannot be read to their end, the rest of the file is new.
fn extents(
    shared: &Shared,
    content: Content,
) -> impl Iterator<Item = Result<Extent, UploadError>> + '_ {
    let mut reader = ExtentReader::new(shared.intake.stored(), content);
    std::iter::from_fn(move || next(&mut reader, &shared.runtime).map(Ok))
}

fn next(reader: &mut ExtentReader, runtime: &Handle) -> Option<Extent> {
    reader.next_blocking(runtime).unwrap_or_else(|error| {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "what a file held last time cannot be read; it is stored anew");
        None
    })
}

/// Takes what a file becomes.
struct Sink<'a> {
    intake: &'a Intake,
    extents: ExtentWriter<'a>,
    file: &'a File,
    /// Why it could not be read once more.
    unreadable: Option<io::Error>,
}

impl Reread for Sink<'_> {
    fn reread(&mut self, range: Range<u64>) -> Result<Vec<u8>, UploadError> {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or_default()];
        match self.file.read_exact_at(&mut bytes, range.start) {
            Ok(()) => Ok(bytes),
            Err(error) => {
                self.unreadable = Some(error);
                Err(UploadError::Stopped)
            }
        }
    }
}

impl ChunkSink for Sink<'_> {
    fn chunk(&mut self, bytes: &[u8]) -> Result<Slice, UploadError> {
        self.intake.take(ChunkKind::Data, bytes)
    }
}

impl ExtentSink for Sink<'_> {
    fn extent(&mut self, extent: Extent) -> Result<(), UploadError> {
        self.extents.push(extent)
    }
}

/// Lets a few large files be read at a time.
#[derive(Debug, Default)]
pub(crate) struct Turnstile {
    inside: Mutex<usize>,
    left: Condvar,
}

struct Permit<'a>(&'a Turnstile);

impl Turnstile {
    fn permit(&self) -> Permit<'_> {
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.left.wait_while(inside, |inside| *inside >= LARGE_MAX);
        *waited.unwrap_or_else(PoisonError::into_inner) += 1;
        Permit(self)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.inside.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_ends_where_it_ended_when_it_was_read() {
        const BLOCK: u64 = BLOCK_BYTES as u64;
        let block = |offset, length: usize| Block {
            offset,
            bytes: vec![0; length].as_slice().into(),
            holes: Vec::new(),
        };
        let size = 2 * BLOCK + 500;
        for (block, now, expected) in [
            // Whole, as it was found.
            (block(2 * BLOCK, 500), size, size),
            // It ended in the middle of a page, and grew again before anybody asked.
            (block(BLOCK, 5000), size, BLOCK + 5000),
            (block(2 * BLOCK, 499), size + 7, 2 * BLOCK + 499),
            // The rest is a hole, and there still; or it is gone.
            (block(0, BLOCK_BYTES), size, size),
            (block(0, BLOCK_BYTES), BLOCK + 9, BLOCK + 9),
            (block(0, BLOCK_BYTES), 3, BLOCK),
            // What was added later is not of this file.
            (block(2 * BLOCK, 500), 9 * BLOCK, size),
        ] {
            let end = End::of(&block, size);
            assert_eq!(end.settle(size, || Ok(now)).unwrap(), expected, "{end:?}");
        }
        assert_eq!(End::default().settle(size, || Ok(size)).unwrap(), size);
    }
}
