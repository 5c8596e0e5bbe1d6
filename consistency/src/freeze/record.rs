//! What was measured in the course of a freeze.

use crate::clock::Moment;
use crate::drivers::{Failure, Taken};
use crate::freezer::Reading;
use crate::group::{Event, MemberIndex};
use crate::warden::{Reason, Report};

#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) begin: Moment,
    pub(super) end: Moment,
    pub(super) snapshots: Option<Result<Vec<Taken>, Failure>>,
    /// Why the warden could not freeze, in its words.
    pub(super) reason: Option<String>,
    times: Vec<Times>,
    pulses: Vec<Vec<Option<Reading>>>,
}

/// The moments of one target.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) asked: Option<Moment>,
    pub(super) frozen: Option<Moment>,
    pub(super) thawed: Option<Moment>,
}

/// A report that makes no sense.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Nonsense;

impl Record {
    pub(super) fn new(begin: Moment, targets: usize) -> Self {
        let times = vec![Times::default(); targets];
        Self { begin, end: begin, times, ..Self::default() }
    }

    /// Keeps what a report says, and answers what it means for the group.
    pub(super) fn note(&mut self, report: Report) -> Result<Option<Event>, Nonsense> {
        Ok(match report {
            Report::Frozen { target, asked, done } => {
                let times = self.times.get_mut(target).ok_or(Nonsense)?;
                (times.asked, times.frozen) = (Some(asked), Some(done));
                Some(Event::Frozen(MemberIndex(target)))
            }
            Report::Thawed { target, done } => {
                self.times.get_mut(target).ok_or(Nonsense)?.thawed = Some(done);
                Some(Event::Thawed(MemberIndex(target)))
            }
            Report::FreezeFailed { target, reason }
            | Report::Refused { target: Some(target), reason } => {
                self.times.get(target).ok_or(Nonsense)?;
                self.reason.get_or_insert(reason);
                Some(Event::FreezeFailed(MemberIndex(target)))
            }
            Report::Pulse { readings } => Some(self.note_pulse(readings)?),
            Report::Thawing { reason: Reason::Deadline } => Some(Event::DeadlinePassed),
            // What it means is told target by target.
            Report::Thawing { .. } => None,
            Report::Armed | Report::Refused { target: None, .. } => return Err(Nonsense),
        })
    }

    fn note_pulse(&mut self, readings: Vec<Option<Reading>>) -> Result<Event, Nonsense> {
        if readings.len() != self.times.len() {
            return Err(Nonsense);
        }
        let still = |reading: &Option<Reading>| reading.as_ref().is_some_and(|r| r.still);
        let moving = readings.iter().position(|reading| !still(reading)).map(MemberIndex);
        self.pulses.push(readings);
        Ok(Event::Pulsed { moving })
    }

    /// When the first freeze was asked for; the beginning, if nothing had to be frozen.
    pub(super) fn zero(&self) -> Moment {
        self.times.iter().filter_map(|times| times.asked).min().unwrap_or(self.begin)
    }

    /// When the last target ran again; the end, if nothing had to be thawed.
    pub(super) fn last(&self) -> Moment {
        self.times.iter().filter_map(|times| times.thawed).max().unwrap_or(self.end)
    }

    pub(super) fn times(&self, target: usize) -> Times {
        self.times.get(target).copied().unwrap_or_default()
    }

    pub(super) fn taken(&self) -> &[Taken] {
        match &self.snapshots {
            Some(Ok(taken)) => taken,
            _ => &[],
        }
    }

    /// What shows that a target moved between the first pulse and the last.
    pub(super) fn trace(&self, target: usize) -> Option<String> {
        let reading = |pulse: &Vec<Option<Reading>>| pulse.get(target).cloned().flatten();
        let (first, last) =
            (self.pulses.first().and_then(reading), self.pulses.last().and_then(reading));
        match (first, last) {
            (Some(first), Some(last)) if self.pulses.len() > 1 => {
                last.break_since(&first).map(|trace| trace.to_string())
            }
            _ => Some("it could not be looked at".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(usage: u64) -> Reading {
        let now = Moment::now();
        let none = None;
        Reading {
            begin: now,
            end: now,
            still: true,
            usage: Some(usage),
            switches: none,
            processes: none,
            frozen: none,
            changes: none,
        }
    }

    fn pulse(
        record: &mut Record,
        readings: Vec<Option<Reading>>,
    ) -> Result<Option<Event>, Nonsense> {
        record.note(Report::Pulse { readings })
    }

    #[test]
    fn what_moved_between_the_pulses_leaves_a_trace() {
        let mut record = Record::new(Moment::now(), 3);
        pulse(&mut record, vec![Some(reading(1)), Some(reading(1)), Some(reading(1))]).unwrap();
        assert!(record.trace(0).is_some(), "one pulse proves nothing");
        let moving = pulse(&mut record, vec![Some(reading(1)), Some(reading(2)), None]).unwrap();
        assert_eq!(moving, Some(Event::Pulsed { moving: Some(MemberIndex(2)) }));
        assert_eq!(record.trace(0), None);
        assert_eq!(record.trace(1).as_deref(), Some("it used CPU time"));
        assert_eq!(record.trace(2).as_deref(), Some("it could not be looked at"));
        assert!(record.trace(3).is_some());
    }

    #[test]
    fn reports_about_targets_that_are_not_there_are_nonsense() {
        let mut record = Record::new(Moment::now(), 1);
        let done = Moment::now();
        assert_eq!(record.note(Report::Thawed { target: 1, done }), Err(Nonsense));
        assert_eq!(pulse(&mut record, vec![]), Err(Nonsense));
        assert_eq!(record.note(Report::Armed), Err(Nonsense));
    }
}
