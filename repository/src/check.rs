//! Whether a repository is whole: every restore point readable down to the last chunk.
//!
//! Who checks begins, which opens every control object and follows its links; reads packs, as many
//! as wanted; and finishes, which goes through the trees of all points with all that is known then.
//! See docs/check.md.

mod data;
mod door;
mod finding;
mod links;
mod records;
mod spoiled;
mod subset;
#[cfg(test)]
pub(crate) mod tests;
mod trees;

use std::collections::BTreeSet;
use std::sync::Arc;

use format::ids::Digest;
use format::names::{Folder, ObjectName, PackName};

pub use self::data::Progress;
pub use self::finding::{CheckReport, Class, Finding};
use self::records::Records;
use self::spoiled::Spoiled;
pub use self::subset::{ParseSubsetError, Subset};
pub(crate) use self::trees::Losses;
use self::trees::Trees;
use crate::chunks::Chunks;
use crate::error::{RepositoryError, chain};
use crate::index::{Index, Opened, add_footers};
use crate::reader::Reader;

/// How often a check looks anew, when prunes move things meanwhile.
const ROUNDS: usize = 3;

/// A check that has begun.
#[derive(Debug)]
pub struct Check {
    reader: Reader,
    structure: Structure,
    /// What reading packs has found.
    found: Vec<Finding>,
    spoiled: Spoiled,
    read: (u64, u64),
}

/// What a check has come to.
#[derive(Debug)]
pub(crate) struct Conclusion {
    pub(crate) report: CheckReport,
    pub(crate) losses: Losses,
    /// The index segments that could be read.
    pub(crate) segments: BTreeSet<ObjectName>,
}

/// What there is, but for the bytes in packs and trees.
#[derive(Debug)]
struct Structure {
    records: Records,
    chunks: Arc<Chunks>,
    packs: Vec<(PackName, u64)>,
    /// What the segments say of each pack that is there.
    indexed: Vec<(PackName, u64, Digest)>,
    findings: Vec<Finding>,
}

/// Checks the structure of the repository, and with `read_data` every byte of every pack.
///
/// # Errors
/// Only when the store cannot be read; what is wrong with the repository is in the report.
pub async fn check(reader: &Reader, read_data: bool) -> Result<CheckReport, RepositoryError> {
    let mut check = Check::begin(reader).await?;
    if read_data {
        check.read(check.packs().to_vec(), &Progress::default()).await?;
    }
    check.finish().await
}

impl Check {
    /// Opens every control object, follows their links, and compares index and packs.
    ///
    /// # Errors
    /// Only when the store cannot be read.
    pub async fn begin(reader: &Reader) -> Result<Self, RepositoryError> {
        let structure = Structure::read(reader).await?;
        let (found, spoiled) = (Vec::new(), Spoiled::default());
        Ok(Self { reader: reader.clone(), structure, found, spoiled, read: (0, 0) })
    }

    /// The packs that are there with their sizes, in the order of their names.
    pub fn packs(&self) -> &[(PackName, u64)] {
        &self.structure.packs
    }

    /// The control objects that stay, with their lengths and digests: a later state of the
    /// repository has them all, but for what belongs to points that were forgotten.
    pub fn lasting(&self) -> impl Iterator<Item = (ObjectName, u64, Digest)> {
        let records = &self.structure.records;
        let lasting = records.lasting.iter();
        lasting.filter_map(|(name, size)| Some((*name, *size, *records.digests.get(name)?)))
    }

    /// Reads these packs, checks every byte of them, and returns those that are as they were
    /// written.
    ///
    /// # Errors
    /// Only when the store cannot be read.
    pub async fn read(
        &mut self,
        packs: Vec<(PackName, u64)>,
        progress: &Progress,
    ) -> Result<Vec<PackName>, RepositoryError> {
        let count = packs.len() as u64;
        let read = data::read(&self.reader, packs, &self.structure.indexed, progress).await?;
        self.spoiled.add(Spoiled::look(&self.reader, read.damaged).await?);
        self.found.extend(read.findings);
        self.read = (self.read.0 + count, self.read.1.saturating_add(read.bytes));
        Ok(read.good)
    }

    /// Goes through all restore points, and says what was found.
    ///
    /// # Errors
    /// Only when the store cannot be read.
    pub async fn finish(self) -> Result<CheckReport, RepositoryError> {
        Ok(self.conclude().await?.report)
    }

    /// The same, with what a repair wants to know.
    pub(crate) async fn conclude(mut self) -> Result<Conclusion, RepositoryError> {
        let mut round = 1;
        loop {
            let losses = self.losses().await?;
            let calm = self.structure.findings.is_empty() && self.found.is_empty();
            let calm = calm && losses.files.is_empty();
            // What is missing may have been moved by a prune while this looked.
            if calm || round >= ROUNDS || !self.is_outdated().await? {
                let report = self.report(&losses);
                let seen = self.structure.records.digests.into_keys();
                let segments = seen.filter(|name| matches!(name, ObjectName::Index(..))).collect();
                return Ok(Conclusion { report, losses, segments });
            }
            round += 1;
            self.structure = Structure::read(&self.reader).await?;
            self.found.retain(|finding| !matches!(finding, Finding::MissingPack { .. }));
        }
    }

    async fn losses(&mut self) -> Result<Losses, RepositoryError> {
        loop {
            let (losses, suspects) = self.walk().await?;
            if suspects.is_empty() {
                return Ok(losses);
            }
            self.spoiled.add(Spoiled::look(&self.reader, suspects).await?);
        }
    }

    async fn walk(&self) -> Result<(Losses, BTreeSet<PackName>), RepositoryError> {
        let Structure { chunks, records, .. } = &self.structure;
        let mut trees = Trees::new(chunks, &self.spoiled, &records.condemned);
        for point in &records.points {
            match self.reader.point(*point).await {
                Ok(Some(manifest)) => trees.point(&manifest).await,
                // Forgotten, and pruned since it was listed.
                Ok(None) | Err(RepositoryError::UnknownPoint(_)) => {}
                Err(error @ RepositoryError::Store(_)) => return Err(error),
                Err(error) => trees.lose_point(*point, chain(&error)),
            }
        }
        Ok(trees.end())
    }

    async fn is_outdated(&self) -> Result<bool, RepositoryError> {
        let records = &self.structure.records;
        let forgotten = self.reader.store().list(Folder::Forgotten).await?;
        Ok(self.reader.generation().await? > records.generation
            || forgotten.len() > records.forgotten.len())
    }

    fn report(&self, losses: &Losses) -> CheckReport {
        let Structure { records, chunks, packs, findings, .. } = &self.structure;
        let found = self.found.iter().filter(|found| !records.concerns_condemned(found));
        CheckReport {
            points: records.points.len() as u64,
            packs: packs.len() as u64,
            packs_read: self.read.0,
            bytes_read: self.read.1,
            chunks: chunks.index().len(),
            records: records.digests.len() as u64,
            unnamed: losses.unnamed,
            findings: findings.iter().chain(found).chain(&losses.files).cloned().collect(),
        }
    }
}

impl Structure {
    async fn read(reader: &Reader) -> Result<Self, RepositoryError> {
        // In this order, because a writer stores packs, then segments, then the point: whatever is
        // looked for was there before what names it.
        let mut records = Records::read(reader).await?;
        let mut opened = Index::read(reader).await?;
        records.add_segments(&opened.read);
        let mut findings = std::mem::take(&mut records.findings);
        let damaged = opened
            .damaged
            .iter()
            .map(|(name, error)| Finding::DamagedIndex { object: *name, reason: chain(error) });
        findings.extend(damaged.filter(|found| !records.concerns_condemned(found)));
        findings.extend(links::follow(reader, &records, &findings).await?);
        let mut indexed = opened.index.packs();
        findings.extend(absent(&indexed, &opened, &records));
        indexed.retain(|(name, size, _)| opened.packs.size(*name) == Some(*size));
        let mut orphans = opened.undescribed();
        orphans.retain(|(pack, _)| records.ended.contains(&pack.session));
        add_footers(reader, &mut opened, orphans.clone()).await?;
        findings.extend(unindexed(&orphans, &opened.undescribed(), &records));
        let packs = opened.packs.iter().collect();
        let chunks = Arc::new(Chunks::with(reader, opened.index));
        Ok(Self { records, chunks, packs, indexed, findings })
    }
}

// Packs that the index names and that are not there as it says.
fn absent(indexed: &[(PackName, u64, Digest)], opened: &Opened, records: &Records) -> Vec<Finding> {
    let wanted = indexed.iter().filter(|(name, size, _)| opened.packs.size(*name) != Some(*size));
    let findings = wanted.map(|(name, size, _)| {
        let object = ObjectName::Pack(*name);
        match opened.packs.size(*name) {
            None => Finding::MissingPack { object },
            Some(found) => {
                let reason = format!("it has {found} bytes and should have {size}");
                Finding::DamagedPack { object, reason }
            }
        }
    });
    let mut findings: Vec<_> =
        findings.filter(|found| !records.concerns_condemned(found)).collect();
    findings.dedup();
    findings
}

// Packs of sessions that went well are in the index; `unknown` are those that do not even describe
// themselves.
fn unindexed(
    orphans: &[(PackName, u64)],
    unknown: &[(PackName, u64)],
    records: &Records,
) -> Vec<Finding> {
    let finished = orphans.iter().filter(|(pack, _)| records.finished.contains(&pack.session));
    let findings = finished.map(|orphan| {
        let object = ObjectName::Pack(orphan.0);
        if unknown.contains(orphan) {
            let reason = "neither the index nor its footer says what is in it".to_owned();
            Finding::DamagedPack { object, reason }
        } else {
            Finding::UnindexedPack { object }
        }
    });
    findings.filter(|found| !records.concerns_condemned(found)).collect()
}
