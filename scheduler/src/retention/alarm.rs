//! A newest point that is nothing like those before it: somebody may have deleted or encrypted
//! everything, and the older points are what is left.

use std::fmt;

use serde::Serialize;

use super::Candidate;

/// Why nothing goes for now.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Alarm {
    /// The newest point is less than half as large as those before it.
    Shrank {
        /// The median of those before it, in bytes.
        before: u64,
        /// Its own size.
        now: u64,
    },
    /// Most of the points would go at once: rules were changed, or a clock is wrong.
    Most {
        /// How many would go.
        go: usize,
        /// Of how many.
        of: usize,
    },
    /// More than half of the newest point is new, and ten times as much as before.
    Rewritten {
        /// How many bytes were new before, in the median.
        before: u64,
        /// How many are.
        now: u64,
    },
}

impl Alarm {
    /// By points from the newest to the oldest. Where there are not enough to compare with, nothing is
    /// said.
    pub(super) fn of(points: &[&Candidate]) -> Option<Self> {
        let (newest, earlier) = points.split_first()?;
        let earlier = earlier.get(..COMPARED)?;
        let before = median(earlier.iter().map(|point| point.bytes));
        if newest.bytes < before / 2 && before >= BYTES_MIN {
            return Some(Self::Shrank { before, now: newest.bytes });
        }
        let changed = median(earlier.iter().map(|point| point.changed));
        let is_most = newest.changed > newest.bytes / 2 && newest.changed >= BYTES_MIN;
        (is_most && newest.changed / 10 > changed)
            .then_some(Self::Rewritten { before: changed, now: newest.changed })
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shrank { before, now } => {
                write!(f, "the newest point has {now} bytes, and those before it had {before}")
            }
            Self::Most { go, of } => write!(f, "{go} of {of} points would go at once"),
            Self::Rewritten { before, now } => {
                write!(f, "{now} bytes of the newest point are new, and {before} were before")
            }
        }
    }
}

fn median(numbers: impl Iterator<Item = u64>) -> u64 {
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

/// How many points the newest is compared with.
const COMPARED: usize = 3;
/// Less than this is no loss to stop for.
const BYTES_MIN: u64 = 1 << 20;
