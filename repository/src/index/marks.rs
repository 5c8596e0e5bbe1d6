//! A mark for every chunk of the index, in a bit each.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use format::ids::ChunkId;

use super::{Index, unusable};
use crate::error::RepositoryError;

/// Which chunks of an index are marked. Any number of threads may mark at once.
#[derive(Debug)]
pub(crate) struct Marks {
    /// For each table a bit a row; the bit of a chunk is that of its first row that counts.
    tables: Vec<Vec<AtomicU64>>,
}

/// The chunk as the index knows it: its first row that counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    table: usize,
    number: u64,
    /// The length of the chunk.
    pub(crate) length: u32,
}

impl Index {
    /// No chunk marked yet.
    pub(crate) fn marks(&self) -> Marks {
        let bits = |rows: u64| {
            let words = usize::try_from(rows.div_ceil(64)).unwrap_or(usize::MAX);
            std::iter::repeat_with(AtomicU64::default).take(words).collect()
        };
        Marks { tables: self.tables.iter().map(|table| bits(table.chunks())).collect() }
    }

    /// The row of a chunk; `None` when it is not stored.
    pub(crate) fn row(&self, chunk: ChunkId) -> Result<Option<Row>, RepositoryError> {
        for (at, table) in self.tables.iter().enumerate() {
            let found = table.first(chunk).map_err(|error| unusable(table, error))?;
            if let Some((number, row)) = found {
                return Ok(Some(Row { table: at, number, length: row.spot().length }));
            }
        }
        Ok(None)
    }
}

impl Marks {
    /// Marks a chunk; `false` when it was marked before.
    pub(crate) fn set(&self, row: Row) -> bool {
        let Some((word, mask)) = self.bit(row.table, row.number) else { return false };
        word.fetch_or(mask, Relaxed) & mask == 0
    }

    /// Whether a chunk is marked.
    pub(crate) fn has(&self, row: Row) -> bool {
        self.get(row.table, row.number)
    }

    pub(super) fn get(&self, table: usize, number: u64) -> bool {
        self.bit(table, number).is_some_and(|(word, mask)| word.load(Relaxed) & mask != 0)
    }

    fn bit(&self, table: usize, number: u64) -> Option<(&AtomicU64, u64)> {
        let word = usize::try_from(number / 64).ok()?;
        Some((self.tables.get(table)?.get(word)?, 1 << (number % 64)))
    }
}
