//! What a repair would do, from what a check has found.

use std::collections::{BTreeSet, HashSet};

use format::ids::{ChunkId, PointId};
use format::index::IndexSegment;
use format::names::{ObjectName, PackName};
use format::pack::PackRecord;
use futures::{StreamExt as _, stream};
use serde::Serialize;

use crate::check::{Check, CheckReport, Conclusion, Finding};
use crate::error::RepositoryError;
use crate::protocol::condemned::Condemned;
use crate::reader::{FETCHES, PackListing, Reader};
use crate::store::StoreError;

/// What is to be done; all of it adds or condemns.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Plan {
    /// Damaged or missing packs: what can be read of them is stored again, and nobody relies on
    /// them any more.
    pub packs: BTreeSet<PackName>,
    /// Index segments that are damaged, lost, or name such packs: others take their place.
    pub segments: BTreeSet<ObjectName>,
    /// Packs that no other segment names, and how the index will describe them.
    pub indexed: BTreeSet<PackName>,
    /// What the check has found; lost files may yet be saved.
    pub report: CheckReport,
    /// Chunks of files that were lost when this was planned.
    #[serde(skip)]
    pub wanted: BTreeSet<ChunkId>,
    /// What the segments to be replaced say of the packs in `indexed`.
    #[serde(skip)]
    pub(super) records: Vec<PackRecord>,
    /// Every index segment that was seen.
    #[serde(skip)]
    pub(super) known: BTreeSet<ObjectName>,
    /// The generation whose condemned objects are known.
    #[serde(skip)]
    pub(super) generation: u64,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.packs.is_empty() && self.segments.is_empty() && self.indexed.is_empty()
    }

    /// Whether there is anything to look for elsewhere.
    pub fn has_lost_files(&self) -> bool {
        let is_lost = |finding: &Finding| matches!(finding, Finding::LostFile { .. });
        self.report.findings.iter().any(is_lost)
    }
}

/// Plans a repair of what this check has found.
///
/// # Errors
/// Only when the store cannot be read.
pub async fn plan(reader: &Reader, check: Check) -> Result<Plan, RepositoryError> {
    let generation = reader.generation().await?;
    let condemned = reader.condemned(generation).await?;
    let Conclusion { report, losses, segments: known } = check.conclude().await?;
    let mut plan = Plan { generation, wanted: losses.chunks, known, ..Plan::default() };
    // A writer at work sees to its own, or dies and leaves what nobody needs.
    let ended = reader.ended().await?;
    for finding in &report.findings {
        match finding {
            Finding::DamagedPack { object: ObjectName::Pack(pack), .. }
            | Finding::MissingPack { object: ObjectName::Pack(pack) }
                if ended.contains(&pack.session) =>
            {
                plan.packs.insert(*pack);
            }
            Finding::DamagedIndex { object: name @ ObjectName::Index(point, _), .. }
            | Finding::MissingRecord { object: name @ ObjectName::Index(point, _), .. }
                if ended.contains(point) =>
            {
                plan.segments.insert(*name);
            }
            _ => {}
        }
    }
    plan.report = report;
    let listing = reader.packs().await?.without(&condemned);
    let named = plan.look_at_segments(reader, (&ended, &condemned)).await?;
    plan.find_unnamed(&listing, &named, &ended);
    Ok(plan)
}

impl Plan {
    // Segments that name what is damaged or missing are replaced. Returns the packs that the
    // others name.
    async fn look_at_segments(
        &mut self,
        reader: &Reader,
        (ended, condemned): (&BTreeSet<PointId>, &Condemned),
    ) -> Result<HashSet<PackName>, RepositoryError> {
        let mut named = HashSet::new();
        self.known.extend(reader.segments().await?.into_iter().map(|listed| listed.name));
        let fetched = stream::iter(self.known.clone())
            .map(|name| async move { (name, reader.store().get(name).await) });
        let mut fetched = std::pin::pin!(fetched.buffer_unordered(FETCHES));
        while let Some((name, bytes)) = fetched.next().await {
            let bytes = match bytes {
                Err(StoreError::Missing { .. }) => continue,
                bytes => bytes?,
            };
            let ObjectName::Index(point, _) = name else { continue };
            let Ok(segment) = IndexSegment::open(reader.keys(), name, &bytes) else { continue };
            let names_bad = segment.packs.iter().any(|pack| self.packs.contains(&pack.name));
            if condemned.contains(name) || self.segments.contains(&name) {
                self.records.extend(segment.packs);
            } else if names_bad && ended.contains(&point) {
                self.segments.insert(name);
                self.records.extend(segment.packs);
            } else {
                named.extend(segment.packs.into_iter().map(|pack| pack.name));
            }
        }
        Ok(named)
    }

    fn find_unnamed(
        &mut self,
        listing: &PackListing,
        named: &HashSet<PackName>,
        ended: &BTreeSet<PointId>,
    ) {
        let unnamed = listing.iter().filter(|(pack, _)| {
            ended.contains(&pack.session) && !named.contains(pack) && !self.packs.contains(pack)
        });
        self.indexed = unnamed.map(|(pack, _)| pack).collect();
        let indexed = &self.indexed;
        self.records.retain(|record| {
            indexed.contains(&record.name) && listing.size(record.name) == Some(record.size)
        });
        // Only what the repair itself takes out of the index, and what the check has missed there.
        let missed = self.report.findings.iter().filter_map(|finding| match finding {
            Finding::UnindexedPack { object: ObjectName::Pack(pack) } => Some(*pack),
            _ => None,
        });
        let missed: BTreeSet<PackName> = missed.collect();
        if self.segments.is_empty() {
            self.indexed.retain(|pack| missed.contains(pack));
        }
    }
}
