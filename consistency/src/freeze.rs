//! The freeze, done: prepares, drives the [`Group`], and turns its end into a snapshot or an error.

mod course;
mod looks;
mod record;
mod units;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use format::evidence::{Evidence, MemberEvidence, VolumeEvidence};
use format::ids::PointId;
use platform::application::{Activity, Application, Volume};

use self::looks::Looks;
use self::record::Record;
pub(crate) use self::units::Units;
use crate::clock::{Moment, micros};
use crate::drivers::{Failure, Plan, Taken, in_place};
use crate::error::{ConsistencyError, WardenSaid};
use crate::group::{Cause, MemberIndex, Outcome};
use crate::snapshot::{GroupSnapshot, VolumeSnapshot};
use crate::still::StillReader;
use crate::warden::WardenProgram;

/// What to freeze and snapshot.
#[derive(Clone, Debug)]
pub struct Request {
    /// The application as it stands.
    pub application: Application,
    /// The restore point that is to come of it; names the directories of the snapshots.
    pub run: PointId,
    /// How long the freeze may last, whatever happens.
    pub deadline: Duration,
    /// How to run the warden.
    pub warden: WardenProgram,
    /// The sockets of engines that must not be frozen.
    pub engine_sockets: Vec<PathBuf>,
    /// Who reads the volumes that no snapshot can be made of.
    pub reader: Option<Arc<dyn StillReader>>,
    /// Whether to freeze. If not, the volumes are read where they are, and the level is `fuzzy`.
    pub freeze: bool,
}

/// How long a freeze may last unless it is said otherwise.
pub const DEADLINE_DEFAULT: Duration = Duration::from_secs(10);

/// What the snapshots of an application need that can be made before its freeze. Dropping it removes
/// it.
#[must_use = "it is removed when this is dropped"]
#[derive(Debug)]
pub struct Prepared(Plan);

impl Prepared {
    /// Does again what depends on what changed meanwhile, so that less is left for the freeze.
    pub fn refresh(&self) {
        self.0.draft_again();
    }
}

/// Makes ready for the snapshots of these volumes while they are used. That may take long: trees that
/// will be cloned are cloned once already.
pub fn prepare(volumes: &[Volume], run: PointId) -> Result<Prepared, ConsistencyError> {
    let plan = Plan::prepare(volumes, run).map_err(not_taken)?;
    plan.draft();
    Ok(Prepared(plan))
}

/// Freezes every container, snapshots every volume while all stand still, and thaws.
///
/// Blocks for as long as that takes. Whatever it returns, and also when it panics or is killed,
/// everything that was frozen is thawed; only [`ConsistencyError::StillFrozen`] says otherwise.
pub fn take(request: &Request) -> Result<GroupSnapshot, ConsistencyError> {
    if !request.freeze {
        return read_in_place(&request.application);
    }
    take_prepared(request, prepare(&request.application.volumes, request.run)?)
}

/// The same, with what was made ready for the same volumes in the same order and the same run.
pub fn take_prepared(
    request: &Request,
    prepared: Prepared,
) -> Result<GroupSnapshot, ConsistencyError> {
    let units = Units::of(&request.application)?;
    let Prepared(plan) = prepared;
    plan.still_fits().map_err(not_taken)?;
    plan.sync();
    let looks = Looks::open(&units)?;
    let warden = course::arm(request, &units)?;
    let (outcome, record) = course::run(request, &units, &plan, looks, warden);
    tell_of_thaws(&units, &record);
    match outcome {
        Outcome::Complete { moved } => Ok(complete(request, &units, plan, &moved, &record)),
        Outcome::Failed(cause) => Err(failed(request, &units, cause, record)),
        Outcome::StillFrozen(members) => {
            Err(ConsistencyError::StillFrozen { members: units.names(&members) })
        }
    }
}

fn read_in_place(application: &Application) -> Result<GroupSnapshot, ConsistencyError> {
    let (mut volumes, mut remarks) = (Vec::new(), Vec::new());
    for volume in &application.volumes {
        let name = volume.name.clone();
        let (tree, remarked) = in_place(volume)
            .map_err(|source| ConsistencyError::Snapshot { volume: name.clone(), source })?;
        volumes.push(VolumeSnapshot { name, driver: "none", tree });
        remarks.extend(remarked);
    }
    let breaks = BTreeMap::new();
    let zero = Moment::now();
    Ok(GroupSnapshot { volumes, evidence: None, remarks, plan: None, zero, breaks })
}

// Not before: a log may lie with somebody who was frozen.
fn tell_of_thaws(units: &Units, record: &Record) {
    for (member, trouble) in &record.thaw_failures {
        tracing::error!(container = units.name(*member), "a thaw failed at first: {trouble}");
    }
}

fn complete(
    request: &Request,
    units: &Units,
    plan: Plan,
    moved: &BTreeSet<MemberIndex>,
    record: &Record,
) -> GroupSnapshot {
    let breaks = units.breaks(moved, record);
    let taken = record.taken();
    let evidence = Evidence {
        window_micros: record.last().micros_since(record.zero()),
        deadline_micros: micros(request.deadline),
        members: members(&request.application, units, record, &breaks),
        volumes: taken.iter().map(|taken| volume(taken, record.zero())).collect(),
        hooks: Vec::new(),
    };
    let remarks = plan.remarks().to_vec();
    let volumes = taken.iter().map(|taken| VolumeSnapshot {
        name: taken.name.clone(),
        driver: taken.driver,
        tree: taken.tree.clone(),
    });
    GroupSnapshot {
        volumes: volumes.collect(),
        evidence: Some(evidence),
        remarks,
        plan: Some(plan),
        zero: record.zero(),
        breaks,
    }
}

fn members(
    application: &Application,
    units: &Units,
    record: &Record,
    breaks: &BTreeMap<String, String>,
) -> Vec<MemberEvidence> {
    let since = |moment: Option<Moment>| Some(moment?.micros_since(record.zero()));
    let evidence = application.members.iter().enumerate().map(|(number, member)| {
        let unit = units.unit_of(number);
        let times = unit.map(|unit| record.times(unit)).unwrap_or_default();
        let method = match (member.activity, &member.freezer) {
            (Activity::Running, Some(freezer)) => freezer.method(),
            (Activity::Paused, _) => "paused",
            (Activity::Running, None) | (Activity::Stopped, _) => "stopped",
        };
        let seen = unit.is_some() || member.activity == Activity::Stopped;
        MemberEvidence {
            name: member.name.clone(),
            method: method.to_owned(),
            freeze_micros: since(times.asked),
            frozen_micros: since(times.frozen),
            thawed_micros: since(times.thawed),
            continuous: seen && !breaks.contains_key(&member.name),
        }
    });
    evidence.collect()
}

fn volume(taken: &Taken, zero: Moment) -> VolumeEvidence {
    VolumeEvidence {
        name: taken.name.clone(),
        driver: taken.driver.to_owned(),
        begin_micros: taken.begin.micros_since(zero),
        end_micros: taken.end.micros_since(zero),
    }
}

fn failed(request: &Request, units: &Units, cause: Cause, record: Record) -> ConsistencyError {
    let deadline = request.deadline;
    match cause {
        Cause::Refused(member) => ConsistencyError::FreezeFailed {
            member: units.name(member),
            source: WardenSaid(record.reason.unwrap_or_else(|| "it gave no reason".to_owned())),
        },
        Cause::SlowFreeze(members) => {
            ConsistencyError::SlowFreeze { members: units.names(&members), deadline }
        }
        Cause::SlowSnapshot => ConsistencyError::SlowSnapshot { deadline },
        Cause::Snapshot => match record.snapshots {
            Some(Err(failure)) => not_taken(failure),
            _ => ConsistencyError::SlowSnapshot { deadline },
        },
        Cause::Warden => ConsistencyError::WardenLost,
        Cause::Woke(member) => ConsistencyError::Woke { member: units.name(member) },
    }
}

pub(crate) fn not_taken(failure: Failure) -> ConsistencyError {
    ConsistencyError::Snapshot { volume: failure.volume, source: failure.error }
}
