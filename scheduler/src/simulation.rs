//! What a policy would make and keep in a time to come, if every run came in time.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use thiserror::Error;

use crate::Schedule;
use crate::retention::{Candidate, Count, Reason, Rules};
use crate::timing::{Slot, Timing};

/// What there would be in the end.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Simulation {
    /// How many points would have been made.
    pub made: u64,
    /// How many there would have been at once, at the most.
    pub most: usize,
    /// Those that there would be in the end, the newest first.
    pub points: Vec<SimulatedPoint>,
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
    let mut points: Vec<(Candidate, Vec<String>)> = Vec::new();
    let mut simulation = Simulation { made: 0, most: 0, points: Vec::new() };
    let (mut handled, mut now) = (from, from);
    let done = BTreeSet::new();
    let mut reasons = Vec::new();
    loop {
        let due = timing.due((handled, &done), now, delay);
        handled = due.handled.unwrap_or(handled);
        if let Some(Slot { schedules, .. }) = due.run {
            simulation.made += 1;
            let names: Vec<_> = schedules.iter().map(Schedule::name).collect();
            let wanted = rules.wanted(&names, &timing.schedules);
            points.insert(0, (candidate(now, tags, wanted), names));
            simulation.most = simulation.most.max(points.len());
            if points.len() > POINTS_MAX {
                return Err(TooManyPoints);
            }
            reasons = thin_out(&mut points, rules, now, timing);
        }
        match due.next.filter(|next| *next <= until) {
            Some(next) => now = next,
            None => break,
        }
    }
    let point = |((candidate, schedules), reasons): ((Candidate, _), _)| SimulatedPoint {
        taken: candidate.taken,
        schedules,
        reasons,
    };
    simulation.points = points.into_iter().zip(reasons).map(point).collect();
    Ok(simulation)
}

// Drops what no rule keeps; answers why the others stay.
fn thin_out(
    points: &mut Vec<(Candidate, Vec<String>)>,
    rules: &Rules,
    now: Timestamp,
    timing: &Timing,
) -> Vec<Vec<Reason>> {
    let candidates: Vec<_> = points.iter().map(|(candidate, _)| candidate.clone()).collect();
    let mut reasons = rules.plan(&candidates, &now.to_zoned(timing.zone.time_zone())).reasons;
    let mut stays = reasons.iter().map(|reasons| !reasons.is_empty());
    points.retain(|_| stays.next().unwrap_or(true));
    reasons.retain(|reasons| !reasons.is_empty());
    reasons
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
