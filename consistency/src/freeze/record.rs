//! What was measured in the course of a freeze.

use std::collections::BTreeMap;

use crate::clock::Moment;
use crate::drivers::{Failure, Taken};
use crate::freezer::Trouble;
use crate::group::{Event, MemberIndex};
use crate::warden::{Reason, Report};

#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) begin: Moment,
    pub(super) end: Moment,
    pub(super) snapshots: Option<Result<Vec<Taken>, Failure>>,
    /// Why the warden could not freeze, in its words.
    pub(super) reason: Option<String>,
    /// What showed at the last look that a target moved.
    pub(super) traces: BTreeMap<MemberIndex, String>,
    /// Thaws that failed at first.
    pub(super) thaw_failures: Vec<(MemberIndex, Trouble)>,
    times: Vec<Times>,
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
            Report::FreezeFailed { target, trouble } => {
                self.times.get(target).ok_or(Nonsense)?;
                self.reason.get_or_insert(trouble.to_string());
                Some(Event::FreezeFailed(MemberIndex(target)))
            }
            Report::Refused { target: Some(target), reason } => {
                self.times.get(target).ok_or(Nonsense)?;
                self.reason.get_or_insert(reason.into_owned());
                Some(Event::FreezeFailed(MemberIndex(target)))
            }
            Report::ThawFailed { target, trouble } => {
                self.thaw_failures.push((MemberIndex(target), trouble));
                None
            }
            Report::Thawing { reason: Reason::Deadline } => Some(Event::DeadlinePassed),
            // What it means is told target by target.
            Report::Thawing { .. } => None,
            Report::Armed { .. } | Report::Refused { target: None, .. } => return Err(Nonsense),
        })
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_about_targets_that_are_not_there_are_nonsense() {
        let mut record = Record::new(Moment::now(), 1);
        let done = Moment::now();
        assert_eq!(record.note(Report::Thawed { target: 1, done }), Err(Nonsense));
        assert_eq!(record.note(Report::Armed { exposed: Vec::new() }), Err(Nonsense));
    }

    #[test]
    fn thaws_that_fail_are_kept() {
        let mut record = Record::new(Moment::now(), 1);
        let failed = Report::ThawFailed { target: 0, trouble: Trouble::Stuck };
        assert_eq!(record.note(failed), Ok(None));
        assert_eq!(record.thaw_failures, [(MemberIndex(0), Trouble::Stuck)]);
    }
}
