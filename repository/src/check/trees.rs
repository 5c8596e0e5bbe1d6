//! The files of the restore points: every chunk that one needs is in a pack.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use format::ids::{ChunkId, Digest, PointId};
use format::manifest::{Manifest, VolumeRecord};
use format::names::{ObjectName, PackName};
use format::raw::RawPath;
use format::tree::{Content, Entry, Kind, Slice};

use super::finding::Finding;
use super::spoiled::Spoiled;
use crate::chunks::Chunks;
use crate::error::{RepositoryError, chain};
use crate::tree::{self, EntryReader, ExtentReader};

/// How many lost files are named; a repository without packs has lost them all.
const NAMED_MAX: usize = 100_000;

/// What is lost.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    /// The files, by point and volume.
    pub(crate) files: Vec<Finding>,
    /// How many more there are.
    pub(crate) unnamed: u64,
    /// Chunks of files that are lost.
    pub(crate) chunks: BTreeSet<ChunkId>,
}

/// Goes through the trees of many points. What they share is looked at once.
pub(crate) struct Trees<'a> {
    chunks: &'a Arc<Chunks>,
    spoiled: &'a Spoiled,
    condemned: &'a HashSet<ObjectName>,
    /// Directories of which nothing is lost.
    whole: HashSet<Digest>,
    losses: Losses,
    suspects: BTreeSet<PackName>,
}

/// A directory that is being read.
struct Open {
    path: RawPath,
    listing: Digest,
    entries: EntryReader,
    /// How much was lost before it.
    before: u64,
}

impl<'a> Trees<'a> {
    pub(crate) fn new(
        chunks: &'a Arc<Chunks>,
        spoiled: &'a Spoiled,
        condemned: &'a HashSet<ObjectName>,
    ) -> Self {
        let (whole, losses, suspects) = (HashSet::new(), Losses::default(), BTreeSet::new());
        Self { chunks, spoiled, condemned, whole, losses, suspects }
    }

    /// What was lost of all points; and the condemned packs that alone have something that is
    /// needed, of which nobody knows yet whether they can be read. A repair condemns what is damaged.
    pub(crate) fn end(self) -> (Losses, BTreeSet<PackName>) {
        (self.losses, self.suspects)
    }

    /// Goes through all volumes of a point.
    pub(crate) async fn point(&mut self, manifest: &Manifest) {
        for volume in &manifest.volumes {
            Walk { trees: self, point: manifest.point, volume }.run().await;
        }
    }

    /// A point cannot be read at all.
    pub(crate) fn lose_point(&mut self, point: PointId, reason: String) {
        self.losses.files.push(Finding::DamagedPoint { point, reason });
    }

    // Whether all bytes of a slice can be read from some pack.
    fn has(&mut self, slice: &Slice) -> Result<bool, RepositoryError> {
        let index = self.chunks.index();
        if self.spoiled.is_empty() && self.condemned.is_empty() {
            return index.holds(slice);
        }
        let end = u64::from(slice.offset).saturating_add(u64::from(slice.length));
        let mut places = index.places(slice.chunk)?;
        places.retain(|place| {
            end <= u64::from(place.length) && !self.spoiled.spoils(place.frame.pack, slice.chunk)
        });
        let packs = places.iter().map(|place| place.frame.pack);
        let doubtful = |pack: &PackName| {
            self.condemned.contains(&ObjectName::Pack(*pack)) && !self.spoiled.knows(*pack)
        };
        if packs.clone().all(|pack| doubtful(&pack)) {
            self.suspects.extend(packs);
        }
        Ok(!places.is_empty())
    }

    fn lost_so_far(&self) -> u64 {
        (self.losses.files.len() as u64).saturating_add(self.losses.unnamed)
    }
}

/// One volume of one point, from its root down.
struct Walk<'a, 'b> {
    trees: &'a mut Trees<'b>,
    point: PointId,
    volume: &'a VolumeRecord,
}

impl Walk<'_, '_> {
    async fn run(&mut self) {
        let root = match tree::root(self.trees.chunks, &self.volume.root).await {
            Ok(root) => root,
            Err(error) => return self.lost(RawPath::default(), chain(&error)),
        };
        let mut open: Vec<Open> = Vec::new();
        let first = self.visit(RawPath::default(), root, &open).await;
        open.extend(first);
        while let Some(directory) = open.last_mut() {
            match directory.entries.next().await {
                Ok(Some(entry)) => {
                    let path = directory.path.join(entry.name.as_bytes());
                    let inner = self.visit(path, entry, &open).await;
                    open.extend(inner);
                }
                Ok(None) => {
                    if directory.before == self.trees.lost_so_far() {
                        self.trees.whole.insert(directory.listing);
                    }
                    open.pop();
                }
                Err(error) => {
                    let path = directory.path.clone();
                    open.pop();
                    self.lost(path, chain(&error));
                }
            }
        }
    }

    // Checks one entry, and returns what is in it when it is a directory not known to be whole.
    async fn visit(&mut self, path: RawPath, entry: Entry, open: &[Open]) -> Option<Open> {
        match entry.kind {
            Kind::File(content) => {
                self.check_content(&path, content).await;
                None
            }
            Kind::Directory { listing: slices } => {
                let listing = tree::digest(self.trees.chunks.keys(), &slices);
                // A damaged tree must not lead in circles.
                let known = self.trees.whole.contains(&listing)
                    || open.iter().any(|outer| outer.listing == listing);
                let entries = (!known).then(|| EntryReader::new(self.trees.chunks, slices))?;
                Some(Open { path, listing, entries, before: self.trees.lost_so_far() })
            }
            _ => None,
        }
    }

    async fn check_content(&mut self, path: &RawPath, content: Content) {
        let mut missing = BTreeSet::new();
        if let Err(error) = self.missing(content, &mut missing).await {
            self.lost(path.clone(), chain(&error));
        } else if let Some(chunk) = missing.first() {
            let reason = format!("{} of its chunks are lost, such as {chunk}", missing.len());
            self.lost(path.clone(), reason);
        }
        self.trees.losses.chunks.append(&mut missing);
    }

    async fn missing(
        &mut self,
        content: Content,
        missing: &mut BTreeSet<ChunkId>,
    ) -> Result<(), RepositoryError> {
        let mut extents = ExtentReader::new(self.trees.chunks, content);
        while let Some(extent) = extents.next().await? {
            let Some(slice) = extent.slice() else { continue };
            if !self.trees.has(&slice)? {
                missing.insert(slice.chunk);
            }
        }
        Ok(())
    }

    fn lost(&mut self, path: RawPath, reason: String) {
        let losses = &mut self.trees.losses;
        if losses.files.len() >= NAMED_MAX {
            losses.unnamed += 1;
            return;
        }
        let (point, volume) = (self.point, self.volume.name.clone());
        losses.files.push(Finding::LostFile { point, volume, path, reason });
    }
}
