//! Opening the index: tables that are there already, and a new one for what they lack.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use format::names::{ObjectName, PackName};

use super::gather::{Gathered, SegmentRecord, gather_footers, gather_segments};
use super::row::SegmentName;
use super::shelf::{self, Shelf};
use super::table::Table;
use super::{Index, merge};
use crate::blocking;
use crate::error::RepositoryError;
use crate::protocol::condemned::Condemned;
use crate::reader::{PackListing, Reader};
use crate::store::Listed;

/// How often the segments are listed, when some vanish before they are read: then a prune has
/// replaced them.
const ROUNDS: usize = 3;

/// What an opening found.
pub(crate) struct Opened {
    pub(crate) index: Index,
    /// The packs that are listed.
    pub(crate) packs: PackListing,
    /// Segments that cannot be read, and why.
    pub(crate) damaged: Vec<(ObjectName, RepositoryError)>,
    /// The segments that were read now and not provided by a table of an earlier time.
    pub(crate) read: Vec<SegmentRecord>,
}

impl Opened {
    /// The listed packs that nothing in the index describes, in the order of their names.
    pub(crate) fn undescribed(&mut self) -> Vec<(PackName, u64)> {
        let known = self.index.settle(&self.packs);
        let unknown = self.packs.iter().enumerate().filter(|(at, _)| !known.get(*at));
        unknown.map(|(_, pack)| pack).collect()
    }

    /// The packs that no segment describes although their sessions have ended: a segment was lost.
    pub(crate) async fn orphaned(
        &mut self,
        reader: &Reader,
    ) -> Result<Vec<(PackName, u64)>, RepositoryError> {
        let mut orphans = self.undescribed();
        if !orphans.is_empty() && self.damaged.is_empty() {
            // Of a writer at work, or one that died, nobody needs them.
            let ended = reader.ended().await?;
            orphans.retain(|(pack, _)| ended.contains(&pack.session));
        }
        Ok(orphans)
    }
}

/// Reads the index. Tables of it are kept below `cache`, if there is one. Packs that are condemned
/// count as not listed; the tables have them all the same, and are good for everybody.
pub(crate) async fn open(
    reader: &Reader,
    cache: Option<&Path>,
    condemned: &Condemned,
) -> Result<Opened, RepositoryError> {
    let mut opening = Opening {
        reader,
        shelf: Shelf::new(reader.keys(), cache),
        tables: Vec::new(),
        damaged: Vec::new(),
        read: Vec::new(),
    };
    // Segments first: the packs of a segment were stored before it, so none is too new to list.
    opening.read_segments().await?;
    opening.merge().await;
    let packs = reader.packs().await?.without(condemned);
    let mut index = Index { tables: opening.tables, chunks: 0 };
    index.settle(&packs);
    Ok(Opened { index, packs, damaged: opening.damaged, read: opening.read })
}

/// Adds these packs, as far as they describe themselves.
pub(crate) async fn add_footers(
    reader: &Reader,
    opened: &mut Opened,
    packs: Vec<(PackName, u64)>,
) -> Result<(), RepositoryError> {
    if packs.is_empty() {
        return Ok(());
    }
    let shelf = Shelf::new(reader.keys(), None);
    let table = gather_footers(reader, &shelf, packs).await?;
    opened.index.tables.extend(table);
    opened.index.settle(&opened.packs);
    Ok(())
}

struct Opening<'a> {
    reader: &'a Reader,
    shelf: Shelf,
    tables: Vec<Table>,
    damaged: Vec<(ObjectName, RepositoryError)>,
    read: Vec<SegmentRecord>,
}

impl Opening<'_> {
    async fn read_segments(&mut self) -> Result<(), RepositoryError> {
        for round in 1.. {
            let listed = self.reader.segments().await?;
            let missing = self.adopt(&listed, round == 1).await;
            let found = self.gather(&missing).await?;
            self.damaged = found.damaged;
            self.read.extend(found.read);
            self.tables.extend(found.table);
            match found.vanished {
                Some(error) if round >= ROUNDS => return Err(error.into()),
                Some(_) => {}
                None => break,
            }
        }
        Ok(())
    }

    // Lets the tables provide what is listed; returns the segments that none provides.
    async fn adopt(&mut self, listed: &[Listed], first: bool) -> Vec<Listed> {
        let mut wanted: HashSet<SegmentName> = listed.iter().filter_map(segment_name).collect();
        if first {
            let (kept, listed) = (self.shelf.clone(), wanted.clone());
            self.tables = blocking::run(move || kept.tables(&listed)).await;
        }
        self.tables.iter_mut().for_each(|table| table.adopt(&mut wanted));
        self.tables.retain(|table| table.provided().next().is_some());
        let missing = |listed: &&Listed| segment_name(listed).is_some_and(|n| wanted.contains(&n));
        listed.iter().filter(missing).copied().collect()
    }

    async fn gather(&self, segments: &[Listed]) -> Result<Gathered, RepositoryError> {
        match gather_segments(self.reader, &self.shelf, segments).await {
            Err(RepositoryError::Cache { path, source }) if self.shelf.has_folder() => {
                unkept(&path, &source);
                gather_segments(self.reader, &self.shelf.without_folder(), segments).await
            }
            gathered => gathered,
        }
    }

    // Only saves time later: when it fails, the tables stay as they are.
    async fn merge(&mut self) {
        let chosen = merge::choose(&self.tables);
        if chosen.is_empty() || !self.shelf.has_folder() {
            return;
        }
        let (mut sources, mut rest) = (Vec::new(), Vec::new());
        for (number, table) in std::mem::take(&mut self.tables).into_iter().enumerate() {
            if chosen.contains(&number) { sources.push(table) } else { rest.push(table) }
        }
        let making = self.shelf.clone();
        let merged = blocking::run(move || {
            let segments = merge::segments(&sources);
            let write = |file: &std::fs::File| merge::merge(file, making.keys(), &sources);
            match making.make(&segments, write) {
                Ok(mut merged) => {
                    merged.adopt(&mut segments.into_iter().collect());
                    let old = sources.iter().filter_map(Table::path);
                    old.filter(|old| Some(*old) != merged.path()).for_each(shelf::remove);
                    vec![merged]
                }
                Err(error) => {
                    unkept(&making.path().display().to_string(), &error);
                    sources
                }
            }
        });
        rest.extend(merged.await);
        self.tables = rest;
    }
}

fn segment_name(listed: &Listed) -> Option<SegmentName> {
    match listed.name {
        ObjectName::Index(point, id) => Some(SegmentName { point, id }),
        _ => None,
    }
}

fn unkept(path: &str, error: &io::Error) {
    tracing::warn!(path, %error, "the index is not kept for the next time");
}
