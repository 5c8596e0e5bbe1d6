//! A newest point that is nothing like those before it: somebody may have deleted or encrypted
//! everything, and the older points are what is left.
//!
//! A few points later everything looks usual again. So whoever carries a plan out gives such a point the
//! tag [`SUSPICIOUS`], and nothing goes until a person gives it, or a newer one, the tag [`ACCEPTED`].

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use super::Candidate;

/// The tag of a point that was nothing like those before it.
pub const SUSPICIOUS: &str = "suspicious";
/// The tag of a point that is as it should be, whatever those before it were like.
pub const ACCEPTED: &str = "accepted";

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
    /// An earlier point was nothing like those before it, and nobody has accepted that.
    Suspicious {
        /// When the newest such point was taken.
        taken: Timestamp,
    },
}

impl Alarm {
    /// By points from the newest to the oldest. Where there are not enough to compare with, nothing is
    /// said. What was before an accepted point is no measure for what comes after it.
    pub(super) fn of(points: &[&Candidate]) -> Option<Self> {
        let accepted = points.iter().position(|point| point.tags.contains(ACCEPTED));
        let since = points.iter().take(accepted.unwrap_or(points.len()));
        let mut suspicious = since.filter(|point| point.tags.contains(SUSPICIOUS));
        let comparable = points.get(..=accepted.unwrap_or(points.len())).unwrap_or(points);
        Self::of_newest(comparable)
            .or_else(|| suspicious.next().map(|point| Self::Suspicious { taken: point.taken }))
    }

    /// Whether it is the newest point that is unlike the others.
    pub fn is_of_newest(self) -> bool {
        matches!(self, Self::Shrank { .. } | Self::Rewritten { .. })
    }

    /// What a person can do about it, in one sentence.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Most { .. } => {
                "look at `stillpoint forget --policy NAME --dry-run`, and carry it out where it is right"
            }
            _ => {
                "look at it; where it is as it should be, `stillpoint tag POINT --add accepted` says so"
            }
        }
    }

    fn of_newest(points: &[&Candidate]) -> Option<Self> {
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
            Self::Suspicious { taken } => {
                write!(f, "the point of {taken:.0} is unlike those before it, and was not accepted")
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

#[cfg(test)]
mod tests;
