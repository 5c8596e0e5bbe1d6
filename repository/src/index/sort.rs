//! Sorting more chunk rows than memory should hold: in runs, which are spooled and merged.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::row::{CHUNK_BYTES, ChunkRow};
use super::rows::{Merged, Rows};

/// How many rows are held and sorted at once: 30 MiB of them.
const RUN_ROWS: usize = 512 << 10;
/// How much memory the reading of all runs takes together, as far as runs are few enough.
const BUFFERS_BYTES: usize = 8 << 20;
const BUFFER_BYTES_MIN: usize = 4 << 10;

/// Takes chunk rows in any order.
#[derive(Debug)]
pub(super) struct Sorter {
    rows: Vec<ChunkRow>,
    run_rows: usize,
    /// Where each run ends in the spool, in rows.
    runs: Vec<u64>,
    spool: File,
}

impl Sorter {
    /// A sorter that spools into `spool`, an empty file that nobody else can open.
    pub(super) fn new(spool: File) -> Self {
        Self { rows: Vec::new(), run_rows: RUN_ROWS, runs: Vec::new(), spool }
    }

    #[cfg(test)]
    pub(super) fn with_runs_of(self, run_rows: usize) -> Self {
        Self { run_rows, ..self }
    }

    /// How many rows were put in.
    pub(super) fn len(&self) -> u64 {
        self.spooled() + self.rows.len() as u64
    }

    pub(super) fn put(&mut self, row: ChunkRow) -> io::Result<()> {
        if self.rows.len() >= self.run_rows {
            self.spool_run()?;
        }
        self.rows.push(row);
        Ok(())
    }

    /// All rows in order.
    pub(super) fn sorted(&mut self) -> io::Result<Merged<'_>> {
        self.rows.sort_unstable();
        let buffer = (BUFFERS_BYTES / self.runs.len().max(1)).max(BUFFER_BYTES_MIN);
        let mut sources: Vec<Box<dyn Rows + '_>> = Vec::new();
        let mut start = 0;
        for end in &self.runs {
            let rows = start..*end;
            sources.push(Box::new(Run { spool: &self.spool, rows, buffer, read: Vec::new() }));
            start = *end;
        }
        sources.push(Box::new(self.rows.iter()));
        Merged::new(sources)
    }

    fn spooled(&self) -> u64 {
        self.runs.last().copied().unwrap_or(0)
    }

    fn spool_run(&mut self) -> io::Result<()> {
        self.rows.sort_unstable();
        let mut at = self.spooled() * CHUNK_BYTES as u64;
        let mut bytes = Vec::with_capacity(BUFFERS_BYTES);
        for rows in self.rows.chunks(BUFFERS_BYTES / CHUNK_BYTES) {
            bytes.clear();
            bytes.extend(rows.iter().flat_map(|row| row.0));
            self.spool.write_all_at(&bytes, at)?;
            at += bytes.len() as u64;
        }
        self.runs.push(self.len());
        self.rows.clear();
        Ok(())
    }
}

impl Rows for std::slice::Iter<'_, ChunkRow> {
    fn next(&mut self) -> io::Result<Option<ChunkRow>> {
        Ok(Iterator::next(self).copied())
    }
}

/// One run, read bit by bit.
struct Run<'a> {
    spool: &'a File,
    /// Which rows of the spool are still to be read.
    rows: std::ops::Range<u64>,
    buffer: usize,
    /// Rows that were read, the next one last.
    read: Vec<ChunkRow>,
}

impl Rows for Run<'_> {
    fn next(&mut self) -> io::Result<Option<ChunkRow>> {
        if self.read.is_empty() && !self.rows.is_empty() {
            let count = (self.buffer / CHUNK_BYTES) as u64;
            let end = self.rows.end.min(self.rows.start.saturating_add(count));
            let count = usize::try_from(end - self.rows.start).unwrap_or(0);
            let mut bytes = vec![0; count * CHUNK_BYTES];
            self.spool.read_exact_at(&mut bytes, self.rows.start * CHUNK_BYTES as u64)?;
            let (rows, _) = bytes.as_chunks();
            self.read.extend(rows.iter().rev().map(|row| ChunkRow(*row)));
            self.rows.start = end;
        }
        Ok(self.read.pop())
    }
}
