//! The control objects but index segments: read, opened, and what they say about one another.

use std::collections::{HashMap, HashSet};

use format::annotation::Annotation;
use format::control::{self, Link};
use format::ids::{Digest, PointId};
use format::keys::Keys;
use format::names::{Folder, ObjectName};
use format::prune::{Condemned, Forgotten, Generation, Pin};
use format::session::{Heartbeat, Outcome, Registration, SessionEnd};
use futures::{StreamExt as _, stream};

use super::door;
use super::finding::Finding;
use crate::error::{RepositoryError, chain};
use crate::index::SegmentRecord;
use crate::reader::{FETCHES, Reader};
use crate::store::StoreError;

/// All folders of control objects but the index. What ends a session comes first: whatever it
/// needs was there before it.
const FOLDERS: [Folder; 8] = [
    Folder::Forgotten,
    Folder::Outcomes,
    Folder::Annotations,
    Folder::Heartbeats,
    Folder::Sessions,
    Folder::Generations,
    Folder::Condemned,
    Folder::Pins,
];

/// What leads from one control object to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lead {
    pub(super) by: ObjectName,
    pub(super) to: ObjectName,
    /// The digest that the other one has to have, where it is told.
    pub(super) digest: Option<Digest>,
}

/// What the control objects of a repository say.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) digests: HashMap<ObjectName, Digest>,
    /// Those that stay for ever, and their lengths.
    pub(super) lasting: Vec<(ObjectName, u64)>,
    pub(super) leads: Vec<Lead>,
    pub(super) findings: Vec<Finding>,
    /// Restore points that were committed and not forgotten.
    pub(super) points: Vec<PointId>,
    pub(super) forgotten: HashSet<PointId>,
    /// Sessions that have an outcome, whatever it is, or had one until it was forgotten.
    pub(super) ended: HashSet<PointId>,
    /// Of those, the ones that no prune has ended: all that they stored is in the index.
    pub(super) finished: HashSet<PointId>,
    pub(super) condemned: HashSet<ObjectName>,
    /// The newest generation.
    pub(super) generation: u64,
}

impl Records {
    /// Reads them all.
    ///
    /// # Errors
    /// Only when the store cannot be read.
    pub(super) async fn read(reader: &Reader) -> Result<Self, RepositoryError> {
        let mut records = Self::default();
        for folder in FOLDERS {
            records.read_folder(reader, folder).await?;
        }
        records.findings.extend(door::look(reader).await?);
        let forgotten = &records.forgotten;
        records.points.retain(|point| !forgotten.contains(point));
        // Nobody loses anything with it any more; but somebody has been there.
        for finding in &mut records.findings {
            if let Finding::DamagedPoint { point, reason } = finding
                && forgotten.contains(point)
            {
                let (object, reason) = (ObjectName::Outcome(*point), std::mem::take(reason));
                *finding = Finding::DamagedRecord { object, reason };
            }
        }
        records.points.sort_unstable();
        Ok(records)
    }

    async fn read_folder(&mut self, reader: &Reader, folder: Folder) -> Result<(), StoreError> {
        let mut listed = reader.store().list(folder).await?;
        listed.sort_unstable();
        let fetched = stream::iter(listed)
            .map(|listed| async move { (listed.name, reader.store().get(listed.name).await) });
        let mut fetched = std::pin::pin!(fetched.buffered(FETCHES));
        while let Some((name, bytes)) = fetched.next().await {
            match bytes {
                Ok(bytes) => self.add(reader.keys(), name, &bytes),
                // A prune cleared it away; if it was somebody else, what leads to it tells.
                Err(StoreError::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn add(&mut self, keys: &Keys, name: ObjectName, bytes: &[u8]) {
        match name {
            ObjectName::Outcome(point) => drop(self.ended.insert(point)),
            ObjectName::Forgotten(point) => {
                self.forgotten.insert(point);
                self.ended.insert(point);
            }
            ObjectName::Generation(number) => self.generation = self.generation.max(number),
            _ => {}
        }
        match self.open(keys, name, bytes) {
            Ok(previous) => {
                self.digests.insert(name, keys.digest(bytes));
                if is_lasting(name) {
                    self.lasting.push((name, bytes.len() as u64));
                }
                let lead =
                    |link: Link| Lead { by: name, to: link.object, digest: Some(link.digest) };
                self.leads.extend(previous.map(lead));
            }
            Err(error) => self.findings.push(match name {
                ObjectName::Outcome(point) => {
                    Finding::DamagedPoint { point, reason: chain(&error) }
                }
                object => Finding::DamagedRecord { object, reason: chain(&error) },
            }),
        }
    }

    // Opens one and takes over what it says; returns what it links to.
    fn open(
        &mut self,
        keys: &Keys,
        name: ObjectName,
        bytes: &[u8],
    ) -> Result<Option<Link>, RepositoryError> {
        let damaged = |error| RepositoryError::damaged(name, error);
        let other = || RepositoryError::damaged(name, "it names itself otherwise");
        match name {
            ObjectName::Session(generation, _) => {
                self.needs_generation(name, generation);
                let opened = control::open::<Registration>(keys, name, bytes).map_err(damaged)?;
                Ok(opened.previous)
            }
            ObjectName::Heartbeat(_, number) => {
                let opened = control::open::<Heartbeat>(keys, name, bytes).map_err(damaged)?;
                self.needs_generation(name, opened.generation);
                (opened.number == number).then_some(opened.previous).ok_or_else(other)
            }
            ObjectName::Outcome(point) => {
                let opened = control::open::<Outcome>(keys, name, bytes).map_err(damaged)?;
                if opened.end != SessionEnd::Fenced {
                    self.finished.insert(point);
                }
                if let SessionEnd::Commit(manifest) = &opened.end {
                    if manifest.point != point {
                        return Err(other());
                    }
                    self.points.push(point);
                }
                Ok(opened.previous)
            }
            ObjectName::Generation(number) => {
                let opened = control::open::<Generation>(keys, name, bytes).map_err(damaged)?;
                (opened.number == number).then_some(opened.previous).ok_or_else(other)
            }
            ObjectName::Condemned(_) => {
                let opened = control::open::<Condemned>(keys, name, bytes).map_err(damaged)?;
                self.condemned.extend(opened.objects);
                Ok(opened.previous)
            }
            ObjectName::Forgotten(_) => {
                Ok(control::open::<Forgotten>(keys, name, bytes).map_err(damaged)?.previous)
            }
            ObjectName::Annotation(..) => {
                Ok(control::open::<Annotation>(keys, name, bytes).map_err(damaged)?.previous)
            }
            ObjectName::Pin(_) => {
                Ok(control::open::<Pin>(keys, name, bytes).map_err(damaged)?.previous)
            }
            _ => Ok(None),
        }
    }

    // Nobody works under a generation that no prune has begun.
    fn needs_generation(&mut self, by: ObjectName, generation: u64) {
        if generation > 0 {
            self.leads.push(Lead { by, to: ObjectName::Generation(generation), digest: None });
        }
    }

    /// Adds what the index segments say.
    pub(super) fn add_segments(&mut self, segments: &[SegmentRecord]) {
        for SegmentRecord { name, digest, previous } in segments {
            self.digests.insert(*name, *digest);
            let lead = |link: Link| Lead { by: *name, to: link.object, digest: Some(link.digest) };
            self.leads.extend(previous.map(lead));
        }
    }

    /// Whether a finding is about a pack or a segment that a prune removes, or has removed. Nobody
    /// needs more of it than the trees tell.
    pub(super) fn concerns_condemned(&self, finding: &Finding) -> bool {
        match finding {
            Finding::DamagedIndex { object, .. }
            | Finding::DamagedPack { object, .. }
            | Finding::MissingPack { object }
            | Finding::UnindexedPack { object } => self.condemned.contains(object),
            _ => false,
        }
    }

    /// Whether an object may be gone although another one leads to it: a prune removes such.
    pub(super) fn may_be_gone(&self, name: ObjectName) -> bool {
        match name {
            ObjectName::Heartbeat(..) | ObjectName::Pin(_) => true,
            ObjectName::Session(_, point) => self.ended.contains(&point),
            ObjectName::Outcome(point) | ObjectName::Annotation(point, _) => {
                self.forgotten.contains(&point)
            }
            name => self.condemned.contains(&name),
        }
    }
}

// What no prune removes, or with its restore point only.
fn is_lasting(name: ObjectName) -> bool {
    matches!(
        name,
        ObjectName::Annotation(..)
            | ObjectName::Condemned(_)
            | ObjectName::Forgotten(_)
            | ObjectName::Generation(_)
            | ObjectName::Outcome(_)
    )
}
