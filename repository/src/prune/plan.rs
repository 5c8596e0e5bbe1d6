//! What a prune is about to do: a value to be shown before anything is done.

use std::collections::BTreeSet;
use std::time::Duration;

use format::ids::PointId;
use format::names::ObjectName;
use serde::Serialize;

use super::choose::{Reason, Unused, choose};
use super::state::Reading;
use super::survey::Survey;
use super::wait::{self, Waiting};
use crate::error::RepositoryError;
use crate::protocol::choice::Fate;
use crate::reader::Reader;

/// A segment is written anew when less than so many per cent of its packs still stand: reading one
/// costs the same however little of it counts.
const SEGMENT_PERCENT_MIN: u64 = 50;

/// So many packs with so many bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Share {
    /// How many packs.
    pub packs: u64,
    /// Their bytes, as they are stored.
    pub bytes: u64,
}

impl Share {
    pub(super) fn add(&mut self, bytes: u64) {
        self.packs += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// What is done with one pack.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Decision {
    /// The pack.
    pub pack: ObjectName,
    /// How long it is.
    pub bytes: u64,
    /// How many bytes of it are copied to new packs.
    pub copied: u64,
    /// What is done, and why.
    pub reason: Reason,
}

/// What a prune would do.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The newest generation; what is condemned now counts from the next one on.
    pub generation: u64,
    /// How many restore points keep what they need.
    pub points: u64,
    /// Forgotten points of which something is still there.
    pub forgotten: Vec<PointId>,
    /// Pins that keep forgotten points from that.
    pub readings: Vec<Reading>,
    /// Everything that is stored in packs.
    pub stored: Share,
    /// The bytes that points need, as they are stored.
    pub used: u64,
    /// Packs of which nobody needs anything.
    pub delete: Share,
    /// Of those, packs that no index names: a session ended before it had written its index.
    pub orphans: Share,
    /// Packs that are written anew and deleted.
    pub repack: Share,
    /// The bytes that are copied for it.
    pub copy: u64,
    /// Packs that an earlier prune has condemned, and that are still there.
    pub condemned: Share,
    /// Packs of sessions that have not ended; nothing of them is touched.
    pub at_work: Share,
    /// By how many bytes the repository becomes smaller when all is deleted.
    pub freed: u64,
    /// How many index segments are deleted, and how many of them are written anew.
    pub segments: Segments,
    /// The sessions that have not ended.
    pub sessions: Vec<Waiting>,
    /// What is done with each pack that does not stay.
    pub decisions: Vec<Decision>,
}

/// Index segments that go.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Segments {
    /// How many there are.
    pub stored: u64,
    /// Those of which no pack stands.
    pub delete: u64,
    /// Those of which few packs stand, which are written into new segments.
    pub rewrite: u64,
}

/// What is to be done, for whoever does it.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// Packs to be condemned, by their numbers.
    pub(super) condemn: BTreeSet<u32>,
    /// Packs to be copied from, by their numbers.
    pub(super) copy: Vec<u32>,
    /// Segments to be condemned.
    pub(super) segments: Vec<ObjectName>,
    /// Of those, the ones whose standing packs are written into new segments.
    pub(super) rewrite: Vec<ObjectName>,
}

impl Orders {
    /// Whether there is nothing to condemn.
    pub(super) fn is_empty(&self) -> bool {
        self.condemn.is_empty() && self.segments.is_empty() && self.copy.is_empty()
    }

    /// Everything that is condemned.
    pub(super) fn objects(&self, survey: &Survey) -> Vec<ObjectName> {
        let pack = |number: &u32| survey.packs.get(*number).map(|(pack, _)| ObjectName::Pack(pack));
        let packs = self.condemn.iter().filter_map(pack);
        packs.chain(self.segments.iter().copied()).collect()
    }
}

/// Decides what to do.
pub(super) fn decide(survey: &Survey, max_unused: Unused) -> (Orders, Vec<Decision>) {
    let (mut orders, mut decisions) = (Orders::default(), Vec::new());
    for (number, reason) in choose(&survey.tallies, max_unused) {
        let Some(((pack, bytes), tally)) =
            survey.packs.get(number).zip(survey.tallies.get(number as usize))
        else {
            continue;
        };
        let copied = match reason {
            Reason::MostlyUnneeded => tally.homed(),
            Reason::Rescue => tally.rescued(),
            Reason::Duplicate | Reason::Orphan | Reason::Unneeded => 0,
        };
        if copied > 0 {
            orders.copy.push(number);
        }
        // What is rescued may be condemned already, or be of a session that is still at work.
        if !tally.is_condemned && tally.is_resolved {
            orders.condemn.insert(number);
        }
        decisions.push(Decision { pack: ObjectName::Pack(pack), bytes, copied, reason });
    }
    let views = survey.segment_views(&orders.condemn);
    for (name, view) in survey.segments.iter().zip(views) {
        match view.fate(SEGMENT_PERCENT_MIN) {
            Fate::Keep => continue,
            Fate::Condemn => {}
            Fate::Repack => orders.rewrite.push(*name),
        }
        orders.segments.push(*name);
    }
    (orders, decisions)
}

/// The plan in numbers.
pub(super) async fn summary(
    reader: &Reader,
    survey: &Survey,
    orders: &Orders,
    decisions: Vec<Decision>,
) -> Result<Plan, RepositoryError> {
    let mut plan = Plan {
        generation: survey.generations.newest,
        points: survey.committed,
        forgotten: survey.points.forgotten.clone(),
        readings: survey.points.readings.clone(),
        stored: Share::default(),
        used: 0,
        delete: Share::default(),
        orphans: Share::default(),
        repack: Share::default(),
        copy: 0,
        condemned: Share::default(),
        at_work: Share::default(),
        freed: 0,
        segments: Segments {
            stored: survey.segments.len() as u64,
            delete: (orders.segments.len() - orders.rewrite.len()) as u64,
            rewrite: orders.rewrite.len() as u64,
        },
        sessions: Vec::new(),
        decisions: Vec::new(),
    };
    for ((_, size), tally) in survey.packs.iter().zip(&survey.tallies) {
        plan.stored.add(size);
        plan.used = plan.used.saturating_add(tally.homed()).saturating_add(tally.rescued());
        if tally.is_condemned {
            plan.condemned.add(size);
        } else if !tally.is_resolved {
            plan.at_work.add(size);
        }
    }
    for decision in &decisions {
        plan.copy = plan.copy.saturating_add(decision.copied);
        let share = match decision.reason {
            Reason::Orphan => {
                plan.orphans.add(decision.bytes);
                &mut plan.delete
            }
            Reason::Duplicate | Reason::Unneeded => &mut plan.delete,
            Reason::MostlyUnneeded => &mut plan.repack,
            // Counted with what was condemned before.
            Reason::Rescue => continue,
        };
        share.add(decision.bytes);
    }
    let gone = [plan.delete, plan.repack, plan.condemned].iter().map(|share| share.bytes).sum();
    plan.freed = u64::saturating_sub(gone, plan.copy);
    let sessions = survey.sessions.unresolved().map(|(session, _)| (session, Duration::ZERO));
    plan.sessions = wait::named(reader, sessions.collect()).await?;
    plan.decisions = decisions;
    Ok(plan)
}
