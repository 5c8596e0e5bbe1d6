//! The files of a tree, of which parts may not be readable.

use std::collections::HashSet;
use std::sync::Arc;

use format::ids::Digest;
use format::manifest::{Manifest, VolumeRecord};
use format::tree::{Content, Entry, Extents, Kind, Slice};

use super::{FileName, readable};
use crate::chunks::Chunks;
use crate::error::RepositoryError;
use crate::tree::{self, EntryReader};

/// Directories that were gone through.
pub(super) type Seen = HashSet<Digest>;

/// Goes through all entries of a volume, and into no directory twice.
pub(super) struct Walk<'a> {
    chunks: &'a Arc<Chunks>,
    seen: &'a mut Seen,
    open: Vec<EntryReader>,
    first: Option<Found>,
}

/// An entry.
#[derive(Debug)]
pub(super) struct Found {
    /// Where its directory or its list of extents is stored.
    pub(super) stored: Vec<Slice>,
    /// What is in it, if it is a file.
    pub(super) content: Option<Content>,
}

impl<'a> Walk<'a> {
    /// Begins at the root that lies in these slices. One that cannot be read has no entries.
    pub(super) async fn begin(
        chunks: &'a Arc<Chunks>,
        root: &[Slice],
        seen: &'a mut Seen,
    ) -> Result<Self, RepositoryError> {
        let entry = readable(tree::root(chunks, root).await)?;
        let mut walk = Self { chunks, seen, open: Vec::new(), first: None };
        walk.first = entry.map(|entry| walk.enter(entry));
        Ok(walk)
    }

    /// The next entry. What cannot be read of a directory is passed over.
    pub(super) async fn next(&mut self) -> Result<Option<Found>, RepositoryError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        while let Some(directory) = self.open.last_mut() {
            match readable(directory.next().await)?.flatten() {
                Some(entry) => return Ok(Some(self.enter(entry))),
                None => drop(self.open.pop()),
            }
        }
        Ok(None)
    }

    fn enter(&mut self, entry: Entry) -> Found {
        match entry.kind {
            Kind::Directory { listing } => {
                if self.seen.insert(tree::digest(self.chunks.keys(), &listing)) {
                    self.open.push(EntryReader::new(self.chunks, listing.clone()));
                }
                Found { stored: listing, content: None }
            }
            Kind::File(content) => {
                let stored = match &content.extents {
                    Extents::Stored(slices) => slices.clone(),
                    Extents::Here(_) => Vec::new(),
                };
                Found { stored, content: Some(content) }
            }
            _ => Found { stored: Vec::new(), content: None },
        }
    }
}

/// What a point has of this file: in the volume of that name, or in another one that has such a path.
pub(super) async fn find(
    chunks: &Arc<Chunks>,
    manifest: &Manifest,
    (volume, path): &FileName,
) -> Result<Option<Content>, RepositoryError> {
    let (same, others): (Vec<_>, Vec<_>) =
        manifest.volumes.iter().partition(|found| found.name == *volume);
    for volume in same.into_iter().chain(others) {
        let found = find_in(chunks, volume, path.as_bytes()).await;
        if let Some(content) = readable(found)?.flatten() {
            return Ok(Some(content));
        }
    }
    Ok(None)
}

async fn find_in(
    chunks: &Arc<Chunks>,
    volume: &VolumeRecord,
    path: &[u8],
) -> Result<Option<Content>, RepositoryError> {
    let mut kind = tree::root(chunks, &volume.root).await?.kind;
    for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
        let Kind::Directory { listing } = kind else { return Ok(None) };
        let mut entries = EntryReader::new(chunks, listing);
        kind = loop {
            match entries.next().await? {
                Some(entry) if entry.name.as_bytes() == name => break entry.kind,
                Some(_) => {}
                None => return Ok(None),
            }
        };
    }
    Ok(match kind {
        Kind::File(content) => Some(content),
        _ => None,
    })
}
