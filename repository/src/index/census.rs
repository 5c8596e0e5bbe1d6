//! Every chunk of the index with every place that it has, one chunk after another.

use std::collections::HashMap;
use std::io;

use format::ids::{ChunkId, Digest, ObjectId, PointId};
use format::names::{ObjectName, PackName};

use super::marks::Marks;
use super::row::{ChunkRow, NO_SEGMENT, Spot};
use super::rows::{LEFT_OUT, Merged, Rows};
use super::table::Table;
use super::{Index, unusable};
use crate::error::RepositoryError;
use crate::reader::PackListing;

/// The packs of an index by their numbers in a listing, each counted once, however many segments
/// name it.
#[derive(Debug)]
pub(crate) struct Census {
    /// For each table the number of each of its packs, or [`LEFT_OUT`].
    numbers: Vec<Vec<u32>>,
}

/// A segment, and a pack that it names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named {
    /// The number of the segment in [`Index::segments`].
    pub(crate) segment: usize,
    pub(crate) pack: PackName,
    pub(crate) size: u64,
}

impl Index {
    /// Counts the packs.
    ///
    /// # Errors
    /// When two segments say different things of one pack.
    pub(crate) fn census(&self, packs: &PackListing) -> Result<Census, RepositoryError> {
        let mut digests: Vec<Option<Digest>> = vec![None; packs.len()];
        let mut numbers = Vec::with_capacity(self.tables.len());
        for table in &self.tables {
            let mut of_table = Vec::new();
            for (row, stands) in table.packs() {
                let counts = stands && packs.size(row.name) == Some(row.size);
                let number = packs.number(row.name).filter(|_| counts);
                let known = number.and_then(|number| digests.get_mut(number as usize));
                let is_first = known.as_ref().is_some_and(|known| known.is_none());
                of_table.push(number.filter(|_| is_first).unwrap_or(LEFT_OUT));
                if known.is_some_and(|known| *known.get_or_insert(row.digest) != row.digest) {
                    let why = "two index segments say different things of it";
                    return Err(RepositoryError::damaged(ObjectName::Pack(row.name), why));
                }
            }
            numbers.push(of_table);
        }
        Ok(Census { numbers })
    }

    /// The segments that are listed, with a number for each.
    pub(crate) fn segments(&self) -> Vec<(PointId, ObjectId)> {
        let provided = self.tables.iter().flat_map(Table::provided);
        provided.map(|(_, name)| (name.point, name.id)).collect()
    }

    /// Which packs the segments name, in no particular order.
    pub(crate) fn named(&self) -> impl Iterator<Item = Named> {
        let mut first = 0;
        self.tables.iter().flat_map(move |table| {
            let provided: HashMap<u32, usize> =
                table.provided().map(|(number, _)| number).zip(first..).collect();
            first += provided.len();
            table.packs().filter_map(move |(row, stands)| {
                let known = stands && row.segment != NO_SEGMENT;
                let segment = *provided.get(&row.segment).filter(|_| known)?;
                Some(Named { segment, pack: row.name, size: row.size })
            })
        })
    }

    /// Shows every chunk that is marked, or every chunk, with all its places: the numbers of packs
    /// and what it is there. A chunk may lie in a pack more than once.
    pub(crate) fn each_chunk(
        &self,
        census: &Census,
        marks: &Marks,
        mut visit: impl FnMut(bool, &[(u32, Spot)]),
    ) -> Result<(), RepositoryError> {
        let path = self.tables.iter().find_map(Table::path);
        let path = path.map(|path| path.display().to_string()).unwrap_or_default();
        let unusable = |source| RepositoryError::Cache { path: path.clone(), source };
        let mut sources: Vec<Box<dyn Rows + '_>> = Vec::new();
        for table in &self.tables {
            sources.push(Box::new(table.rows()));
        }
        let rows = Merged::new(sources).map_err(unusable)?;
        let mut walk = Walk::new(rows, self.tables.len());
        while walk.next_chunk(census, marks).map_err(unusable)? {
            visit(walk.is_marked, &walk.places);
        }
        Ok(())
    }

    /// All places of one chunk.
    pub(crate) fn spots(
        &self,
        census: &Census,
        chunk: ChunkId,
    ) -> Result<Vec<(u32, Spot)>, RepositoryError> {
        let (mut places, mut rows) = (Vec::new(), Vec::new());
        for (table, numbers) in self.tables.iter().zip(&census.numbers) {
            rows.clear();
            table.all(chunk, &mut rows).map_err(|error| unusable(table, error))?;
            places.extend(rows.iter().filter_map(|row| place(numbers, row)));
        }
        Ok(places)
    }
}

fn place(numbers: &[u32], row: &ChunkRow) -> Option<(u32, Spot)> {
    let number = numbers.get(row.pack() as usize).copied().filter(|number| *number != LEFT_OUT)?;
    Some((number, row.spot()))
}

/// Goes through the rows of all tables, which have the order of the ids.
struct Walk<'a> {
    rows: Merged<'a>,
    /// How many rows of each table were read.
    read: Vec<u64>,
    ahead: Option<(ChunkRow, usize)>,
    is_marked: bool,
    places: Vec<(u32, Spot)>,
}

impl<'a> Walk<'a> {
    fn new(rows: Merged<'a>, tables: usize) -> Self {
        Self { rows, read: vec![0; tables], ahead: None, is_marked: false, places: Vec::new() }
    }

    // Gathers the rows of the next chunk; `false` at the end.
    fn next_chunk(&mut self, census: &Census, marks: &Marks) -> io::Result<bool> {
        self.places.clear();
        self.is_marked = false;
        let mut current = None;
        loop {
            let next = match self.ahead.take() {
                Some(next) => Some(next),
                None => self.rows.next_of()?,
            };
            let Some((row, table)) = next else { return Ok(current.is_some()) };
            if current.is_some_and(|current| current != row.id()) {
                self.ahead = Some((row, table));
                return Ok(true);
            }
            current = Some(row.id());
            let Some(read) = self.read.get_mut(table) else { continue };
            self.is_marked |= marks.get(table, *read);
            *read += 1;
            let numbers = census.numbers.get(table).map(Vec::as_slice).unwrap_or_default();
            self.places.extend(place(numbers, &row));
        }
    }
}
