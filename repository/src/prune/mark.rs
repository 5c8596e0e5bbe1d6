//! Which chunks are live: all that the live points reach.
//!
//! Some threads go through the trees at once, because most of the time is spent waiting for the
//! store. What is remembered is three bits a chunk: live, read as a listing, read as a list of
//! extents. So each listing is read once, however many points share it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use format::ids::{ChunkId, Digest, PointId};
use format::tree::{Content, Entry, Extents, Kind, Slice};
use tokio::runtime::Handle;

use super::progress::Progress;
use super::queue::Queue;
use crate::blocking;
use crate::chunks::Chunks;
use crate::error::RepositoryError;
use crate::index::Index;
use crate::index::marks::{Marks, Row};
use crate::reader::Reader;
use crate::tree::{self, EntryReader, ExtentReader};

/// How many threads go through the trees.
const THREADS: usize = 16;
/// How many directories wait for a thread; a thread that finds more goes into them itself.
const WAITING_MAX: usize = 1024;

/// What is still to be gone through.
#[derive(Debug)]
enum Task {
    Point(PointId),
    Listing(Vec<Slice>),
}

/// The chunks that points reach.
#[derive(Debug)]
pub(super) struct Mark {
    reader: Reader,
    chunks: Arc<Chunks>,
    /// The one whose rows are marked. `chunks` may read from a newer one meanwhile.
    index: Arc<Index>,
    live: Marks,
    listings: Visits,
    extents: Visits,
    committed: AtomicU64,
    progress: Arc<Progress>,
}

/// Goes through these points, and returns the live chunks of the index, and how many of the points
/// are restore points. Blocks.
///
/// # Errors
/// [`RepositoryError::MissingChunk`] when a live chunk is nowhere, and whatever keeps a tree from
/// being read: what cannot be read might need anything.
pub(super) fn mark(
    (reader, chunks, index): (&Reader, &Arc<Chunks>, Arc<Index>),
    points: Vec<PointId>,
    progress: &Arc<Progress>,
    runtime: &Handle,
) -> Result<(Marks, u64), RepositoryError> {
    let mark = Mark {
        reader: reader.clone(),
        chunks: Arc::clone(chunks),
        live: index.marks(),
        listings: Visits::new(&index),
        extents: Visits::new(&index),
        index,
        committed: AtomicU64::new(0),
        progress: Arc::clone(progress),
    };
    let queue = Queue::new(points.into_iter().map(Task::Point).collect());
    blocking::share(THREADS, || mark.work(&queue, runtime));
    queue.finish()?;
    Ok((mark.live, mark.committed.into_inner()))
}

impl Mark {
    fn work(&self, queue: &Queue<Task, RepositoryError>, runtime: &Handle) {
        queue.work(|task| match task {
            Task::Point(point) => self.point(point, queue, runtime),
            Task::Listing(listing) => self.listing(listing, queue, runtime),
        });
    }

    fn point(
        &self,
        point: PointId,
        queue: &Queue<Task, RepositoryError>,
        runtime: &Handle,
    ) -> Result<(), RepositoryError> {
        // A session that was fenced, or that repacked, has no tree.
        let Some(manifest) = runtime.block_on(self.reader.manifest(point))? else { return Ok(()) };
        self.committed.fetch_add(1, Relaxed);
        for volume in manifest.volumes {
            self.live(&volume.root)?;
            let root = runtime.block_on(tree::root(&self.chunks, &volume.root))?;
            if let Some(listing) = self.entry(root, runtime)? {
                queue.put(Task::Listing(listing));
            }
        }
        Ok(())
    }

    // A listing that was not visited before, with all below it that nobody else takes over.
    fn listing(
        &self,
        listing: Vec<Slice>,
        queue: &Queue<Task, RepositoryError>,
        runtime: &Handle,
    ) -> Result<(), RepositoryError> {
        let mut open = vec![EntryReader::new(&self.chunks, listing)];
        while let Some(entries) = open.last_mut() {
            let Some(entry) = entries.next_blocking(runtime)? else {
                open.pop();
                self.progress.add_directory();
                continue;
            };
            let Some(listing) = self.entry(entry, runtime)? else { continue };
            if queue.len() < WAITING_MAX {
                queue.put(Task::Listing(listing));
            } else {
                open.push(EntryReader::new(&self.chunks, listing));
            }
        }
        Ok(())
    }

    // Marks what an entry needs; returns its listing if that is still to be read.
    fn entry(&self, entry: Entry, runtime: &Handle) -> Result<Option<Vec<Slice>>, RepositoryError> {
        match entry.kind {
            Kind::File(content) => self.content(content, runtime).map(|()| None),
            Kind::Directory { listing } => {
                self.live(&listing)?;
                let is_new = self.listings.is_first(self, &listing)?;
                Ok(Some(listing).filter(|_| is_new))
            }
            _ => Ok(None),
        }
    }

    fn content(&self, content: Content, runtime: &Handle) -> Result<(), RepositoryError> {
        if let Extents::Stored(list) = &content.extents {
            self.live(list)?;
            if !self.extents.is_first(self, list)? {
                return Ok(());
            }
        }
        let mut extents = ExtentReader::new(&self.chunks, content);
        while let Some(extent) = extents.next_blocking(runtime)? {
            if let Some(slice) = extent.slice() {
                self.live(&[slice])?;
            }
        }
        Ok(())
    }

    fn live(&self, slices: &[Slice]) -> Result<(), RepositoryError> {
        let mut last: Option<ChunkId> = None;
        for slice in slices {
            // Slices beside one another are often of one chunk.
            if last.replace(slice.chunk) != Some(slice.chunk) {
                self.live.set(self.row(slice.chunk)?);
            }
        }
        Ok(())
    }

    fn row(&self, chunk: ChunkId) -> Result<Row, RepositoryError> {
        self.index.row(chunk)?.ok_or(RepositoryError::MissingChunk(chunk))
    }
}

/// Which streams were read.
#[derive(Debug)]
struct Visits {
    /// Those that are one whole chunk, which most are.
    chunks: Marks,
    /// The others.
    digests: Mutex<HashSet<Digest>>,
}

impl Visits {
    fn new(index: &Index) -> Self {
        Self { chunks: index.marks(), digests: Mutex::default() }
    }

    fn is_first(&self, mark: &Mark, stream: &[Slice]) -> Result<bool, RepositoryError> {
        if let [Slice { chunk, offset: 0, length }] = stream {
            let row = mark.row(*chunk)?;
            if row.length == *length {
                return Ok(self.chunks.set(row));
            }
        }
        let digest = tree::digest(mark.chunks.keys(), stream);
        let digests = self.digests.lock();
        Ok(digests.unwrap_or_else(PoisonError::into_inner).insert(digest))
    }
}
