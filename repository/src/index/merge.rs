//! Several tables made one, so that a look-up has few places to look in.

use std::fs::File;
use std::io;
use std::sync::Arc;

use format::keys::Keys;
use format::names::PackName;

use super::row::{NO_SEGMENT, PackRow, SegmentName};
use super::rows::{LEFT_OUT, Merged, Renumbered, Rows};
use super::table::Table;
use super::write::{Contents, write};

/// How many tables there may be before some are merged.
const TABLES_MAX: usize = 8;
/// A table is left alone that has more than so many times the chunks of all smaller ones
/// together: thus a chunk is written again a few times only, however many backups there are.
const RATIO: u64 = 2;

/// Which of the tables to merge, by their numbers.
///
/// Those that are small beside the others, when there are too many tables; and one that has lost
/// most of its segments.
pub(super) fn choose(tables: &[Table]) -> Vec<usize> {
    if tables.len() <= TABLES_MAX {
        let faded = |table: &Table| table.provided().count() * 2 < table.segments();
        let faded = tables.iter().enumerate().filter(|(_, table)| faded(table));
        return faded.map(|(number, _)| number).collect();
    }
    let mut order: Vec<usize> = (0..tables.len()).collect();
    let chunks = |number: &usize| tables.get(*number).map_or(0, Table::chunks);
    order.sort_by_key(chunks);
    // From the smallest on, as long as the next one is not much larger than all before it.
    let mut sum: u64 = 0;
    let count = order.iter().enumerate().take_while(|(at, number)| {
        let left = order.len() - at;
        let small = chunks(number) <= sum.saturating_mul(RATIO);
        sum = sum.saturating_add(chunks(number));
        small || left > TABLES_MAX / 2
    });
    let count = count.count();
    order.truncate(count);
    order
}

/// The segments that a merged table covers: those that its sources provide.
pub(super) fn segments(sources: &[Table]) -> Vec<SegmentName> {
    sources.iter().flat_map(|table| table.provided().map(|(_, name)| name)).collect()
}

/// Writes what the sources provide into `file`, which is empty, as one table.
///
/// What comes from segments that are not listed any more is left out.
pub(super) fn merge(file: &File, keys: &Arc<Keys>, sources: &[Table]) -> io::Result<()> {
    let mut plan = Plan { numbers: Vec::new(), packs: Vec::new() };
    let mut first_segment = 0;
    for (source, table) in (0..).zip(sources) {
        first_segment = plan.add(source, table, first_segment)?;
    }
    let numbers = plan.number()?;
    let mut rows: Vec<Box<dyn Rows + '_>> = Vec::new();
    for (table, numbers) in sources.iter().zip(&numbers) {
        rows.push(Box::new(Renumbered { rows: table.rows(), numbers }));
    }
    let pack = |kept: &Kept| {
        let row = sources.get(kept.source as usize)?.pack(kept.old)?;
        Some(PackRow { segment: kept.segment, ..row }.to_bytes())
    };
    let contents = Contents {
        segments: &segments(sources),
        packs: plan.packs.len() as u64,
        pack_rows: Box::new(plan.packs.iter().filter_map(pack)),
        chunks_max: sources.iter().map(Table::chunks).sum(),
        chunk_rows: &mut Merged::new(rows)?,
    };
    write(file, keys, contents)
}

/// Which packs go into a merged table, and under which numbers.
struct Plan {
    /// For each source the new number of each of its packs.
    numbers: Vec<Vec<u32>>,
    packs: Vec<Kept>,
}

/// A pack that is kept.
struct Kept {
    name: PackName,
    source: u32,
    old: u32,
    /// Its segment, as the merged table numbers them.
    segment: u32,
}

impl Plan {
    // Returns the number of the next source's first segment.
    fn add(&mut self, source: u32, table: &Table, first_segment: u32) -> io::Result<u32> {
        let mut segments = vec![NO_SEGMENT; table.segments()];
        let mut next = first_segment;
        for (old, _) in table.provided() {
            if let Some(segment) = segments.get_mut(old as usize) {
                *segment = next;
            }
            next = next.checked_add(1).ok_or_else(|| io::Error::other("too many segments"))?;
        }
        let mut count: usize = 0;
        for (old, (row, stands)) in (0..).zip(table.packs()) {
            if stands {
                let segment = segments.get(row.segment as usize).copied().unwrap_or(NO_SEGMENT);
                self.packs.push(Kept { name: row.name, source, old, segment });
            }
            count += 1;
        }
        self.numbers.push(vec![LEFT_OUT; count]);
        Ok(next)
    }

    // Puts the packs in order, and tells the sources their new numbers.
    fn number(&mut self) -> io::Result<Vec<Vec<u32>>> {
        u32::try_from(self.packs.len()).map_err(io::Error::other)?;
        self.packs.sort_unstable_by_key(|kept| (kept.name, kept.source, kept.old));
        let mut numbers = std::mem::take(&mut self.numbers);
        for (new, kept) in (0..).zip(&self.packs) {
            let numbers = numbers.get_mut(kept.source as usize);
            if let Some(number) = numbers.and_then(|numbers| numbers.get_mut(kept.old as usize)) {
                *number = new;
            }
        }
        Ok(numbers)
    }
}
