//! Whether a repository is whole: every restore point readable down to the last chunk.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use format::ids::{Digest, PointId};
use format::manifest::{Manifest, VolumeRecord};
use format::names::{ObjectName, PackName};
use format::pack;
use format::raw::RawPath;
use format::tree::{Content, Entry, Kind, Slice};
use serde::Serialize;

use crate::chunks::Chunks;
use crate::error::{RepositoryError, chain};
use crate::index::{Index, Opened};
use crate::reader::Reader;
use crate::tree::{self, EntryReader, ExtentReader};

/// What a check looked at and what it found.
#[derive(Debug, Default, Serialize)]
pub struct CheckReport {
    /// How many restore points there are.
    pub points: u64,
    /// How many packs there are.
    pub packs: u64,
    /// Of those, how many were read and checked byte by byte.
    pub packs_read: u64,
    /// How many chunks the packs have; one that lies in two of them counts twice.
    pub chunks: u64,
    /// What is wrong; nothing, when the repository is whole.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Finding {
    /// An index segment cannot be read.
    DamagedIndex {
        /// Its name.
        object: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A pack that the index names is not there, or not of the right size.
    MissingPack {
        /// Its name.
        object: String,
    },
    /// A pack has other bytes than were written.
    DamagedPack {
        /// Its name.
        object: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A restore point cannot be read at all.
    DamagedPoint {
        /// Its id.
        point: PointId,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or directory of a restore point is lost.
    LostFile {
        /// The restore point's id.
        point: PointId,
        /// The volume.
        volume: RawPath,
        /// The path below its root.
        path: RawPath,
        /// What is wrong with it.
        reason: String,
    },
}

/// Checks the structure of the repository, and with `read_data` every byte of every pack.
///
/// # Errors
/// Only when the store cannot be read; what is wrong with the repository is in the report.
pub async fn check(reader: &Reader, read_data: bool) -> Result<CheckReport, RepositoryError> {
    let mut report = CheckReport::default();
    // In this order, because a writer stores packs, then segments, then the point: whatever is
    // looked for was there before what names it.
    let points = reader.sessions().await?;
    let Opened { index, packs, damaged } = Index::read(reader).await?;
    report.packs = packs.len() as u64;
    report.chunks = index.len();
    report.findings.extend(damaged.into_iter().map(|(name, error)| Finding::DamagedIndex {
        object: name.to_string(),
        reason: chain(&error),
    }));
    let mut known = index.packs();
    let mut gone = BTreeSet::new();
    known.retain(|(name, size, _)| {
        let is_there = packs.size(*name) == Some(*size);
        if !is_there {
            gone.insert(*name);
        }
        is_there
    });
    if !gone.is_empty() {
        // What a prune has condemned is deleted before the segments that name it.
        let condemned = reader.condemned_by_now().await?;
        gone.retain(|pack| !condemned.contains(ObjectName::Pack(*pack)));
    }
    let gone = gone.iter().map(|pack| Finding::MissingPack { object: pack.to_string() });
    report.findings.extend(gone);
    let chunks = Arc::new(Chunks::with(reader, index));
    for point in points {
        match reader.point(point).await {
            Ok(Some(manifest)) => check_point(&chunks, &manifest, &mut report).await,
            // One that was forgotten meanwhile is nobody's loss.
            Ok(None) | Err(RepositoryError::Forgotten(_)) => {}
            Err(error @ RepositoryError::Store(_)) => return Err(error),
            Err(error) => {
                report.findings.push(Finding::DamagedPoint { point, reason: chain(&error) });
            }
        }
    }
    if read_data {
        // Both are in ascending order.
        let mut known = known.into_iter().peekable();
        for (pack, _) in packs.iter() {
            let mut indexed = Vec::new();
            while let Some((_, _, digest)) = known.next_if(|(name, ..)| *name == pack) {
                indexed.push(digest);
            }
            read_pack(reader, pack, &indexed, &mut report).await;
        }
    }
    Ok(report)
}

// `indexed` is what the segments say of the pack.
async fn read_pack(reader: &Reader, pack: PackName, indexed: &[Digest], report: &mut CheckReport) {
    report.packs_read += 1;
    let found = match reader.store().get(ObjectName::Pack(pack)).await {
        Ok(bytes) => pack::verify(reader.keys(), pack, &bytes).map_err(|error| chain(&error)),
        Err(error) => Err(chain(&error)),
    };
    let damage = match found {
        Ok(record) => {
            let digest = record.digest(reader.keys());
            if indexed.iter().all(|indexed| *indexed == digest) {
                return;
            }
            "the index says something else about it".to_owned()
        }
        Err(damage) => damage,
    };
    report.findings.push(Finding::DamagedPack { object: pack.to_string(), reason: damage });
}

async fn check_point(chunks: &Arc<Chunks>, manifest: &Manifest, report: &mut CheckReport) {
    report.points += 1;
    for volume in &manifest.volumes {
        let mut walk = Walk { chunks, manifest, volume, report, seen: HashSet::new() };
        walk.run().await;
    }
}

/// One volume of one point, from its root down.
struct Walk<'a> {
    chunks: &'a Arc<Chunks>,
    manifest: &'a Manifest,
    volume: &'a VolumeRecord,
    report: &'a mut CheckReport,
    /// Listings already looked at: a damaged tree must not lead in circles.
    seen: HashSet<Digest>,
}

impl Walk<'_> {
    async fn run(&mut self) {
        let root = match tree::root(self.chunks, &self.volume.root).await {
            Ok(root) => root,
            Err(error) => return self.lost(RawPath::default(), chain(&error)),
        };
        let mut open = Vec::new();
        open.extend(self.visit(RawPath::default(), root).await);
        while let Some((path, entries)) = open.last_mut() {
            match entries.next().await {
                Ok(Some(entry)) => {
                    let path = path.join(entry.name.as_bytes());
                    open.extend(self.visit(path, entry).await);
                }
                Ok(None) => drop(open.pop()),
                Err(error) => {
                    let path = path.clone();
                    open.pop();
                    self.lost(path, chain(&error));
                }
            }
        }
    }

    // Checks one entry, and returns what is in it when it is a directory not seen before.
    async fn visit(&mut self, path: RawPath, entry: Entry) -> Option<(RawPath, EntryReader)> {
        match entry.kind {
            Kind::File(content) => {
                self.check_content(&path, content).await;
                None
            }
            Kind::Directory { listing } if self.seen.insert(self.digest(&listing)) => {
                Some((path, EntryReader::new(self.chunks, listing)))
            }
            _ => None,
        }
    }

    // Stands for a listing of any length.
    fn digest(&self, listing: &[Slice]) -> Digest {
        let mut digester = self.chunks.keys().digester();
        for slice in listing {
            digester.update(slice.chunk.as_bytes());
            digester.update(&slice.offset.to_le_bytes());
            digester.update(&slice.length.to_le_bytes());
        }
        digester.finish()
    }

    async fn check_content(&mut self, path: &RawPath, content: Content) {
        let mut extents = ExtentReader::new(self.chunks, content);
        let mut missing = BTreeSet::new();
        loop {
            match extents.next().await {
                Ok(Some(extent)) => {
                    match extent.slice().map(|s| (s, self.chunks.index().holds(&s))) {
                        Some((slice, Ok(false))) => drop(missing.insert(slice.chunk)),
                        Some((_, Err(error))) => return self.lost(path.clone(), chain(&error)),
                        _ => {}
                    }
                }
                Ok(None) => break,
                Err(error) => return self.lost(path.clone(), chain(&error)),
            }
        }
        if let Some(chunk) = missing.first() {
            let why = format!("{} of its chunks are in no pack, such as {chunk}", missing.len());
            self.lost(path.clone(), why);
        }
    }

    fn lost(&mut self, path: RawPath, reason: String) {
        self.report.findings.push(Finding::LostFile {
            point: self.manifest.point,
            volume: self.volume.name.clone(),
            path,
            reason,
        });
    }
}
