//! Points that are nothing like those before them: somebody may have deleted or encrypted everything, and
//! the older points are what is left.
//!
//! A few points later everything looks usual again. So whoever carries a plan out gives such a point the
//! tag [`SUSPICIOUS`], and nothing goes until a person gives it, or a newer one, the tag [`ACCEPTED`].

use std::cmp::Reverse;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::Candidate;

/// The tag of a point that was nothing like those before it.
pub const SUSPICIOUS: &str = "suspicious";
/// The tag of a point that is as it should be, whatever those before it were like.
pub const ACCEPTED: &str = "accepted";

/// Whether a tag means something here, so that it is given to points one by one.
pub fn is_reserved(tag: &str) -> bool {
    [SUSPICIOUS, ACCEPTED].contains(&tag)
}

/// Why nothing goes for now.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Alarm {
    /// A point is less than half as large as those before it.
    Shrank {
        /// When it was taken.
        taken: Timestamp,
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
    /// More than half of a point is new, and ten times as much as before.
    Rewritten {
        /// When it was taken.
        taken: Timestamp,
        /// How many bytes were new before, in the median.
        before: u64,
        /// How many are.
        now: u64,
    },
    /// A point was nothing like those before it, and nobody has accepted that.
    Suspicious {
        /// When the newest such point was taken.
        taken: Timestamp,
    },
}

/// What the points of an application say of one another.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Judgement {
    /// Why nothing goes.
    pub alarm: Option<Alarm>,
    /// The places, in the list, of points that are unlike those before them and are not marked yet.
    pub suspects: Vec<usize>,
}

/// Judges all points of one application on one host, in whatever order they come and whoever has made
/// them: what is new in one of them is not new any more in the next, which another policy has made.
///
/// The newest few are looked at, for whoever should have marked one may have died. Points that lack
/// something are compared with one another, and no measure for the others; nor is what was before an accepted
/// one. Where there are not enough to compare with, nothing is said.
pub fn judge(points: &[Candidate], now: Timestamp) -> Judgement {
    let mut order: Vec<(usize, &Candidate)> = points.iter().enumerate().collect();
    order.sort_by_key(|(_, point)| Reverse(point.taken));
    let accepted = order.iter().position(|(_, point)| point.tags.contains(ACCEPTED));
    let (since, before) = order.split_at(accepted.unwrap_or(order.len()));
    // The accepted point itself is a measure.
    let comparable = since.iter().chain(before.first()).filter(|(_, point)| point.taken <= now);
    let (flawed, sound): (Vec<_>, Vec<_>) = comparable.partition(|(_, point)| point.flawed);
    let enough = if accepted.is_some() { 1 } else { COMPARED };
    let mut judgement = Judgement::default();
    for alike in [sound, flawed] {
        judgement.look_through(&alike, enough, now);
    }
    let marked = since.iter().find(|(_, point)| point.tags.contains(SUSPICIOUS));
    let suspicious = marked.map(|(_, point)| Alarm::Suspicious { taken: point.taken });
    judgement.alarm = judgement.alarm.or(suspicious);
    judgement
}

impl Judgement {
    // Points from the newest to the oldest.
    fn look_through(&mut self, points: &[&(usize, &Candidate)], enough: usize, now: Timestamp) {
        for (place, (index, point)) in points.iter().enumerate().take(JUDGED) {
            let earlier = points.iter().skip(place + 1).take(COMPARED);
            let earlier: Vec<_> = earlier.map(|(_, point)| *point).collect();
            if earlier.len() < enough || now.duration_since(point.taken) > RECENT {
                continue;
            }
            let Some(alarm) = Alarm::of(point, &earlier) else { continue };
            self.alarm = self.alarm.or(Some(alarm));
            if !point.tags.contains(SUSPICIOUS) {
                self.suspects.push(*index);
            }
        }
    }
}

impl Alarm {
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

    // Whether a point is unlike those before it.
    fn of(point: &Candidate, earlier: &[&Candidate]) -> Option<Self> {
        let (taken, now) = (point.taken, point.bytes);
        let before = median(earlier.iter().map(|point| point.bytes));
        if now < before / 2 && before >= BYTES_MIN {
            return Some(Self::Shrank { taken, before, now });
        }
        let before = median(earlier.iter().map(|point| point.changed));
        let is_most = point.changed > now / 2 && point.changed >= BYTES_MIN;
        (is_most && point.changed / 10 > before).then_some(Self::Rewritten {
            taken,
            before,
            now: point.changed,
        })
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shrank { taken, before, now } => {
                write!(
                    f,
                    "the point of {taken:.0} has {now} bytes, and those before it had {before}"
                )
            }
            Self::Most { go, of } => write!(f, "{go} of {of} points would go at once"),
            Self::Rewritten { taken, before, now } => write!(
                f,
                "{now} bytes of the point of {taken:.0} are new, and {before} were before"
            ),
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

/// How many points one is compared with.
const COMPARED: usize = 3;
/// How many of the newest are looked at.
const JUDGED: usize = 4;
/// Older ones were looked at in their time; since then the rules may have taken those between.
const RECENT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Less than this is no loss to stop for.
const BYTES_MIN: u64 = 1 << 20;

#[cfg(test)]
mod tests;
