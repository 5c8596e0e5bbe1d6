//! Copying what is live to new packs: every frame decoded, every chunk hashed again, framed anew.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use format::frame::ChunkRecord;
use format::index::IndexSegment;
use format::names::{ObjectName, PackName};
use format::pack::PackRecord;
use futures::{StreamExt as _, stream};

use super::choose::home_of;
use super::plan::Orders;
use super::progress::Progress;
use super::survey::Survey;
use crate::blocking;
use crate::chunks::open_frame;
use crate::error::RepositoryError;
use crate::packer::Packer;
use crate::protocol::choice::Home;
use crate::reader::Reader;
use crate::salvage;
use crate::writer::Writer;

/// Frames beside one another are fetched together up to this many bytes.
const RUN_BYTES_MAX: u64 = 4 << 20;
/// How many runs are fetched at once.
const RUNS_FETCHED: usize = 4;
/// How many chunks the packs of one index segment have, about; see [`Writer::store_index`].
const SEGMENT_CHUNKS: usize = 200_000;

/// A frame that has something to copy.
#[derive(Debug)]
struct Source {
    number: u32,
    /// The chunks, and where each begins in the frame's plaintext.
    chunks: Vec<(ChunkRecord, u32)>,
}

/// Frames that are fetched together.
#[derive(Debug)]
struct Run {
    range: Range<u64>,
    frames: Vec<Source>,
}

/// Copies what the orders say, in the session of `writer`; index segments name all of it when this
/// returns.
pub(super) async fn repack(
    reader: &Reader,
    writer: &Writer,
    survey: &Arc<Survey>,
    orders: &Orders,
    progress: &Arc<Progress>,
) -> Result<(), RepositoryError> {
    let mut index = Pending { writer, packs: Vec::new(), chunks: 0 };
    let mut packer = Packer::new(writer.clone())?;
    for number in &orders.copy {
        let Some((pack, size)) = survey.packs.get(*number) else { continue };
        let record = Arc::new(described(reader, pack, size).await?);
        let (known, described, number) = (Arc::clone(survey), Arc::clone(&record), *number);
        let runs = blocking::run(move || runs(&known, number, &described)).await?;
        let fetches = stream::iter(runs).map(|run| async move {
            let range = run.range.clone();
            (run, reader.store().get_range(ObjectName::Pack(pack), range).await)
        });
        let mut fetches = std::pin::pin!(fetches.buffered(RUNS_FETCHED));
        while let Some((run, bytes)) = fetches.next().await {
            let (keys, record, bytes) = (Arc::clone(reader.keys()), Arc::clone(&record), bytes?);
            let (taken, copied) = blocking::run(move || {
                let copied = take_run(&mut packer, &keys, &record, &run, &bytes);
                (packer, copied)
            })
            .await;
            packer = taken;
            progress.add_copied(copied?);
            index.add(packer.store_full().await?).await?;
        }
    }
    index.add(packer.finish().await?).await?;
    rewrite(reader, survey, orders, &mut index).await?;
    index.flush().await
}

// What a pack says about itself. One that a repair condemned may have lost its footer, and its chunks
// can be read all the same, with what a segment says about it.
async fn described(
    reader: &Reader,
    pack: PackName,
    size: u64,
) -> Result<PackRecord, RepositoryError> {
    match reader.footer(pack, size).await {
        Err(error @ RepositoryError::Damaged { .. }) => {
            let packs = BTreeSet::from([pack]);
            let records = salvage::records_of(reader, &packs, &BTreeSet::new()).await?;
            records.packs.into_iter().find(|record| record.size == size).ok_or(error)
        }
        described => described,
    }
}

// What is to be copied of a pack, in the order in which it lies there.
fn runs(survey: &Survey, number: u32, record: &PackRecord) -> Result<Vec<Run>, RepositoryError> {
    let mut copied = HashSet::new();
    let mut runs: Vec<Run> = Vec::new();
    for (at, frame) in (0_u32..).zip(&record.frames) {
        let (mut chunks, mut offset) = (Vec::new(), 0_u32);
        for chunk in &frame.chunks {
            if is_copied(survey, number, chunk)? && copied.insert(chunk.id) {
                chunks.push((*chunk, offset));
            }
            offset = offset.saturating_add(chunk.length);
        }
        if chunks.is_empty() {
            continue;
        }
        let source = Source { number: at, chunks };
        let end = frame.offset.saturating_add(u64::from(frame.length));
        match runs.last_mut() {
            Some(run)
                if run.range.end == frame.offset && end - run.range.start <= RUN_BYTES_MAX =>
            {
                run.range.end = end;
                run.frames.push(source);
            }
            _ => runs.push(Run { range: frame.offset..end, frames: vec![source] }),
        }
    }
    Ok(runs)
}

// Whether a chunk is live, and this pack is where it is copied from.
fn is_copied(survey: &Survey, pack: u32, chunk: &ChunkRecord) -> Result<bool, RepositoryError> {
    let index = &survey.index;
    let Some(row) = index.row(chunk.id)?.filter(|row| survey.live.has(*row)) else {
        return Ok(false);
    };
    debug_assert!(row.length > 0);
    let places = index.spots(&survey.census, chunk.id)?;
    let home = home_of(&survey.tallies, places.iter().map(|(pack, _)| *pack));
    Ok(matches!(home, Home::In(home) | Home::Rescue(home) if home == pack))
}

fn take_run(
    packer: &mut Packer,
    keys: &format::keys::Keys,
    record: &PackRecord,
    run: &Run,
    bytes: &Bytes,
) -> Result<u64, RepositoryError> {
    let damaged = |error| RepositoryError::damaged(ObjectName::Pack(record.name), error);
    let malformed = || damaged(format::pack::PackError::Malformed);
    let mut copied = 0;
    for source in &run.frames {
        let address = record.address(source.number).ok_or_else(malformed)?;
        let start = address.offset.checked_sub(run.range.start).ok_or_else(malformed)?;
        let start = usize::try_from(start).map_err(|_| malformed())?;
        let end = start.saturating_add(address.length as usize);
        let sealed = bytes.get(start..end).ok_or_else(malformed)?;
        let frame = open_frame(keys, &address, sealed)?;
        for (chunk, offset) in &source.chunks {
            let plaintext = frame.chunk(keys, chunk.id, *offset, chunk.length).map_err(damaged)?;
            packer.add(address.kind, *chunk, plaintext);
            copied += u64::from(chunk.length);
        }
    }
    Ok(copied)
}

// Writes what still stands of old segments into new ones.
async fn rewrite(
    reader: &Reader,
    survey: &Survey,
    orders: &Orders,
    index: &mut Pending<'_>,
) -> Result<(), RepositoryError> {
    let mut done: HashSet<PackName> = HashSet::new();
    for name in &orders.rewrite {
        let bytes = reader.store().get(*name).await?;
        let segment = IndexSegment::open(reader.keys(), *name, &bytes)
            .map_err(|error| RepositoryError::damaged(*name, error))?;
        let mut packs = segment.packs;
        packs.retain(|pack| {
            survey.stands(pack.name, pack.size, &orders.condemn) && done.insert(pack.name)
        });
        index.add(packs).await?;
    }
    Ok(())
}

/// Packs that no segment names yet.
struct Pending<'a> {
    writer: &'a Writer,
    packs: Vec<PackRecord>,
    chunks: usize,
}

impl Pending<'_> {
    async fn add(&mut self, packs: Vec<PackRecord>) -> Result<(), RepositoryError> {
        let frames = packs.iter().flat_map(|pack| &pack.frames);
        self.chunks += frames.map(|frame| frame.chunks.len()).sum::<usize>();
        self.packs.extend(packs);
        if self.chunks >= SEGMENT_CHUNKS { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), RepositoryError> {
        self.chunks = 0;
        let packs = std::mem::take(&mut self.packs);
        self.writer.store_index(packs).await.map(|_| ())
    }
}
