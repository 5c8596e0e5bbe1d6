//! A new table from what segments and footers say.

use std::fs::File;
use std::io;
use std::sync::Arc;

use format::keys::Keys;
use format::pack::PackRecord;

use super::row::{ChunkRow, NO_SEGMENT, PACK_BYTES, PackRow, SegmentName};
use super::rows::Renumbered;
use super::sort::Sorter;
use super::write::{Contents, write};

/// Gathers the packs of many segments. It holds 100 bytes a pack and one run of chunks.
#[derive(Debug)]
pub(super) struct Builder {
    keys: Arc<Keys>,
    segments: Vec<SegmentName>,
    packs: Vec<[u8; PACK_BYTES]>,
    sorter: Sorter,
}

impl Builder {
    /// A builder that spools into `spool`, an empty file that nobody else can open.
    pub(super) fn new(keys: &Arc<Keys>, spool: File) -> Self {
        let (segments, packs) = (Vec::new(), Vec::new());
        Self { keys: Arc::clone(keys), segments, packs, sorter: Sorter::new(spool) }
    }

    #[cfg(test)]
    pub(super) fn with_runs_of(self, rows: usize) -> Self {
        Self { sorter: self.sorter.with_runs_of(rows), ..self }
    }

    /// The segments so far.
    pub(super) fn segments(&self) -> &[SegmentName] {
        &self.segments
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.packs.is_empty()
    }

    /// Adds a whole segment.
    pub(super) fn segment(&mut self, name: SegmentName, packs: &[PackRecord]) -> io::Result<()> {
        let number = u32::try_from(self.segments.len()).map_err(io::Error::other)?;
        self.segments.push(name);
        packs.iter().try_for_each(|pack| self.add(number, pack))
    }

    /// Adds a pack that its own footer describes.
    pub(super) fn footer(&mut self, pack: &PackRecord) -> io::Result<()> {
        self.add(NO_SEGMENT, pack)
    }

    fn add(&mut self, segment: u32, record: &PackRecord) -> io::Result<()> {
        let pack = u32::try_from(self.packs.len()).map_err(io::Error::other)?;
        self.packs.push(PackRow::of(&self.keys, record, segment).to_bytes());
        for (number, frame) in (0..).zip(&record.frames) {
            let mut offset: u32 = 0;
            for chunk in &frame.chunks {
                let row = ChunkRow::new(chunk, (pack, number, frame), offset);
                self.sorter.put(row.ok_or_else(|| io::Error::other("an impossible record"))?)?;
                offset = offset.saturating_add(chunk.length);
            }
        }
        Ok(())
    }

    /// Writes the table into `file`, which is empty.
    pub(super) fn finish(mut self, file: &File) -> io::Result<()> {
        let count = u32::try_from(self.packs.len()).map_err(io::Error::other)?;
        let pack = |number: &u32| self.packs.get(*number as usize);
        // The name is what a row begins with.
        let mut order: Vec<u32> = (0..count).collect();
        order.sort_unstable_by_key(|number| pack(number).and_then(|row| row.first_chunk::<32>()));
        let mut numbers = vec![0; self.packs.len()];
        for (new, old) in (0..).zip(&order) {
            if let Some(number) = numbers.get_mut(*old as usize) {
                *number = new;
            }
        }
        let chunks_max = self.sorter.len();
        let contents = Contents {
            segments: &self.segments,
            packs: count.into(),
            pack_rows: Box::new(order.iter().filter_map(|number| pack(number).copied())),
            chunks_max,
            chunk_rows: &mut Renumbered { rows: self.sorter.sorted()?, numbers: &numbers },
        };
        write(file, &self.keys, contents)
    }
}
