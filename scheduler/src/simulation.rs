//! What a policy would make and keep in a time to come, if every run came in time.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use thiserror::Error;

use crate::Schedule;
use crate::retention::{Candidate, Count, Reason, Rules};
use crate::timing::{Slot, Timing};

/// What there would be in the end.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Simulation {
    /// How many points would have been made.
    pub made: u64,
    /// How many there would have been at once, at the most.
    pub most: usize,
    /// Those that there would be in the end, the newest first.
    pub points: Vec<SimulatedPoint>,
    /// How many would have gone.
    pub went: u64,
    /// The last of these, 10,000 at the most, in the order in which they would have gone.
    pub gone: VecDeque<GonePoint>,
}

/// A point that there would be.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct SimulatedPoint {
    /// When it would have been taken.
    pub taken: Timestamp,
    /// The schedules that it would have been made by.
    pub schedules: Vec<String>,
    /// Why it would be there.
    pub reasons: Vec<Reason>,
}

/// A point that would have gone.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct GonePoint {
    /// When it would have been taken.
    pub taken: Timestamp,
    /// The schedules that it would have been made by.
    pub schedules: Vec<String>,
    /// When it would have gone.
    pub went: Timestamp,
    /// Why it would have been there until then, which is what keeps it no more; nothing where it would have
    /// gone at once.
    pub until_then: Vec<Reason>,
}

/// There would be more points at once than can be simulated in a few seconds.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("there would be more than {POINTS_MAX} points at once")]
pub struct TooManyPoints;

/// From one moment to another, with nothing there in the beginning. `tags` are those of the policy's
/// points, `delay` is that of the application.
pub fn simulate(
    timing: &Timing,
    (rules, tags): (&Rules, &[String]),
    delay: Duration,
    (from, until): (Timestamp, Timestamp),
) -> Result<Simulation, TooManyPoints> {
    let mut points: Vec<Made> = Vec::new();
    let mut simulation = Simulation::default();
    let (mut handled, mut now) = (from, from);
    let done = BTreeSet::new();
    loop {
        let due = timing.due((handled, &done), now, delay);
        handled = due.handled.unwrap_or(handled);
        if let Some(Slot { schedules, .. }) = due.run {
            simulation.made += 1;
            let schedules: Vec<_> = schedules.iter().map(Schedule::name).collect();
            let wanted = rules.wanted(&schedules, &timing.schedules);
            let made =
                Made { candidate: candidate(now, tags, wanted), schedules, reasons: Vec::new() };
            points.insert(0, made);
            simulation.most = simulation.most.max(points.len());
            if points.len() > POINTS_MAX {
                return Err(TooManyPoints);
            }
            for gone in thin_out(&mut points, rules, now, timing) {
                simulation.went += 1;
                simulation.gone.push_back(gone);
            }
            while simulation.gone.len() > GONE_MAX {
                simulation.gone.pop_front();
            }
        }
        match due.next.filter(|next| *next <= until) {
            Some(next) => now = next,
            None => break,
        }
    }
    let point = |Made { candidate, schedules, reasons }| SimulatedPoint {
        taken: candidate.taken,
        schedules,
        reasons,
    };
    simulation.points = points.into_iter().map(point).collect();
    Ok(simulation)
}

struct Made {
    candidate: Candidate,
    schedules: Vec<String>,
    /// Why it is there, as of the last look.
    reasons: Vec<Reason>,
}

// Drops what no rule keeps, and answers it.
fn thin_out(
    points: &mut Vec<Made>,
    rules: &Rules,
    now: Timestamp,
    timing: &Timing,
) -> Vec<GonePoint> {
    let candidates: Vec<_> = points.iter().map(|made| made.candidate.clone()).collect();
    // Nobody knows how large they will be.
    let plan = rules.plan_in_spite_of(None, &candidates, &now.to_zoned(timing.zone.time_zone()));
    let mut gone = Vec::new();
    let before = std::mem::take(points);
    for (made, reasons) in before.into_iter().zip(plan.reasons) {
        if reasons.is_empty() {
            let Made { candidate, schedules, reasons: until_then } = made;
            gone.push(GonePoint { taken: candidate.taken, schedules, went: now, until_then });
        } else {
            points.push(Made { reasons, ..made });
        }
    }
    gone
}

fn candidate(taken: Timestamp, tags: &[String], schedules: Vec<(String, Count)>) -> Candidate {
    Candidate {
        taken,
        tags: tags.iter().cloned().collect(),
        held: None,
        verified: false,
        flawed: false,
        schedules,
        bytes: 0,
        changed: 0,
    }
}

/// After each run, every point is looked at.
const POINTS_MAX: usize = 5_000;
/// More than every hour of a year; every minute of ten years would fill the memory.
const GONE_MAX: usize = 10_000;
