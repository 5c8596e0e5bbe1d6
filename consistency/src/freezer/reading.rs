//! What can be measured of a target, and what two measurements prove about the time between.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;

/// A target as it was between two moments.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reading {
    /// Just before the first value was read.
    pub(crate) begin: Moment,
    /// Just after the last value was read.
    pub(crate) end: Moment,
    /// Whether the kernel says that every process stands still.
    pub(crate) still: bool,
    /// CPU time used so far, in a unit of its own.
    pub(crate) usage: Option<u64>,
    /// Context switches of all threads so far.
    pub(crate) switches: Option<u64>,
    /// How many processes there are.
    pub(crate) processes: Option<u64>,
    /// How long the target was told to be frozen so far, in microseconds.
    pub(crate) frozen: Option<u64>,
    /// How often the kernel reported a change since the freeze.
    pub(crate) changes: Option<u64>,
}

/// What shows that a target did not stand still between two readings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Break {
    /// It was not frozen at one of the readings.
    Moving,
    /// It was thawed and frozen again in between.
    Thawed,
    /// It used CPU time.
    Usage,
    /// Some thread was switched to or away from.
    Switches,
    /// Processes came or went.
    Processes,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Moving => "it was not frozen at the end",
            Self::Thawed => "it was thawed in between",
            Self::Usage => "it used CPU time",
            Self::Switches => "some of its threads ran",
            Self::Processes => "its processes came or went",
        })
    }
}

impl Reading {
    /// Nothing measured since this moment; the base of what a gauge can tell.
    pub(crate) fn since(begin: Moment) -> Self {
        Self {
            begin,
            end: Moment::now(),
            still: false,
            usage: None,
            switches: None,
            processes: None,
            frozen: None,
            changes: None,
        }
    }

    /// What shows that the target moved since `earlier`; `None` if nothing does.
    pub(crate) fn break_since(&self, earlier: &Self) -> Option<Break> {
        if !self.still || !earlier.still {
            return Some(Break::Moving);
        }
        if self.thawed_since(earlier) {
            return Some(Break::Thawed);
        }
        if self.processes != earlier.processes {
            return Some(Break::Processes);
        }
        // The time spent frozen is proof. A process that stands still may yet be charged for its
        // last steps inside the kernel, which it takes after it was counted as frozen.
        if self.frozen.is_some() && earlier.frozen.is_some() {
            return None;
        }
        if self.usage != earlier.usage {
            return Some(Break::Usage);
        }
        (self.switches != earlier.switches).then_some(Break::Switches)
    }

    // The time spent frozen is exact. Where the kernel does not keep it, any change it reported
    // counts, also one that was harmless.
    fn thawed_since(&self, earlier: &Self) -> bool {
        match (self.frozen, earlier.frozen) {
            (Some(later), Some(sooner)) => {
                let passed = self.begin.micros_since(earlier.end);
                later.saturating_sub(sooner).saturating_add(SLACK_MICROS) < passed
            }
            _ => self.changes != earlier.changes,
        }
    }
}

// The kernel rounds down at each reading; nobody thaws, writes and freezes in less.
const SLACK_MICROS: u64 = 10;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn reading(millis: u64) -> Reading {
        let zero = Moment::now();
        let at = zero.after(Duration::from_millis(millis));
        Reading {
            begin: at,
            end: at,
            still: true,
            usage: Some(7),
            switches: Some(9),
            processes: Some(3),
            frozen: Some(millis * 1000),
            changes: Some(0),
        }
    }

    #[test]
    fn standing_still_leaves_no_trace() {
        let earlier = reading(5);
        let mut later = Reading { frozen: Some(45_000), ..earlier.clone() };
        later.begin = earlier.end.after(Duration::from_millis(40));
        later.end = later.begin;
        assert_eq!(later.break_since(&earlier), None);
    }

    #[test]
    fn every_trace_of_movement_is_a_break() {
        let earlier = Reading { frozen: None, ..reading(5) };
        let same = earlier.clone();
        let changed = [
            (Reading { still: false, ..same.clone() }, Break::Moving),
            (Reading { usage: Some(8), ..same.clone() }, Break::Usage),
            (Reading { usage: None, ..same.clone() }, Break::Usage),
            (Reading { switches: Some(10), ..same.clone() }, Break::Switches),
            (Reading { processes: Some(2), ..same.clone() }, Break::Processes),
            (Reading { changes: Some(1), ..same.clone() }, Break::Thawed),
        ];
        for (later, expected) in changed {
            assert_eq!(later.break_since(&earlier), Some(expected), "{later:?}");
        }
    }

    #[test]
    fn what_is_charged_late_is_no_break_where_the_time_frozen_is_known() {
        let earlier = reading(5);
        let later = Reading { usage: Some(8), ..earlier.clone() };
        assert_eq!(later.break_since(&earlier), None);
    }

    #[test]
    fn time_not_spent_frozen_is_a_break() {
        let earlier = reading(5);
        let mut later = Reading { frozen: Some(44_000), ..earlier.clone() };
        later.begin = earlier.end.after(Duration::from_millis(40));
        assert_eq!(later.break_since(&earlier), Some(Break::Thawed));
    }
}
