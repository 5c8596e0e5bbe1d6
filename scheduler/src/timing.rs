//! When the runs of a policy begin, and which are left out.
//!
//! A **slot** is a moment that schedules of a policy name; one that several name is one slot. Its run
//! begins a while later, so that not everything begins at once (`jitter`), and not in a [`Blackout`].
//! Of several slots that have come when somebody looks, because nobody could before, one run is made for
//! all: the others are missed, and reported. What a blackout has put off, or forbids, is not missed.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, Zoned};
use serde::{Deserialize, Serialize};

use crate::Schedule;
use crate::blackout::Blackout;
use crate::zone::Zone;

/// When the runs of a policy begin.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Timing {
    /// What names the slots.
    pub schedules: Vec<Schedule>,
    /// Whose local time is meant.
    pub zone: Zone,
    /// By how much a run may begin later than its slot.
    pub jitter: Duration,
    /// When no run begins.
    pub blackouts: Vec<Blackout>,
    /// Whether a run that could not begin in time begins when it can.
    pub catch_up: bool,
}

/// A moment that schedules name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Slot {
    /// When.
    pub at: Timestamp,
    /// Who names it, in the order of the policy.
    pub schedules: Vec<Schedule>,
}

/// What is to be done now.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Due {
    /// What to run: the newest slot, with all schedules of those whose place it takes.
    pub run: Option<Slot>,
    /// What is left out.
    pub missed: Option<Missed>,
    /// The newest slot that was looked at; absent where there was none.
    pub handled: Option<Timestamp>,
    /// When something will be due; absent where nothing ever will.
    pub next: Option<Timestamp>,
}

/// Slots without a run of their own.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Missed {
    /// The first.
    pub first: Timestamp,
    /// The last.
    pub last: Timestamp,
    /// How many.
    pub count: u64,
}

impl Timing {
    /// By this schedule alone, and as it says.
    pub fn of(schedule: Schedule, zone: Zone) -> Self {
        let (jitter, blackouts) = (Duration::ZERO, Vec::new());
        Self { schedules: vec![schedule], zone, jitter, blackouts, catch_up: true }
    }

    /// The slots after a moment, in order.
    pub fn slots(&self, after: Timestamp) -> impl Iterator<Item = Slot> + '_ {
        let after = after.to_zoned(self.zone.time_zone());
        let mut coming: Vec<(&Schedule, Option<Zoned>)> =
            self.schedules.iter().map(|schedule| (schedule, schedule.next(&after))).collect();
        std::iter::from_fn(move || {
            let at = coming.iter().filter_map(|(_, next)| next.as_ref()).min()?.timestamp();
            let mut schedules = Vec::new();
            for (schedule, next) in &mut coming {
                if let Some(now) = next.take_if(|next| next.timestamp() == at) {
                    *next = schedule.next(&now);
                    schedules.push(schedule.clone());
                }
            }
            Some(Slot { at, schedules })
        })
    }

    /// What is to be done now, when every slot up to `handled` was looked at, and those of `done` have
    /// been run. `delay` is [that](Timing::delay) of the application. What is longer ago than
    /// [`LOOK_BACK`] is not looked for.
    pub fn due(
        &self,
        looked: (Timestamp, &BTreeSet<Timestamp>),
        now: Timestamp,
        delay: Duration,
    ) -> Due {
        self.seen(looked, now, delay, |_, begins| begins <= now)
    }

    /// The same, where other times hold from now on: what was put off is to be done now, too.
    pub fn last_due(
        &self,
        looked: (Timestamp, &BTreeSet<Timestamp>),
        now: Timestamp,
        delay: Duration,
    ) -> Due {
        self.seen(looked, now, delay, |slot, _| slot <= now)
    }

    fn seen(
        &self,
        (handled, done): (Timestamp, &BTreeSet<Timestamp>),
        now: Timestamp,
        delay: Duration,
        has_come: impl Fn(Timestamp, Timestamp) -> bool,
    ) -> Due {
        let mut due = Due::default();
        let mut begun = None;
        let earliest = now.checked_sub(LOOK_BACK).unwrap_or(Timestamp::MIN);
        for slot in self.slots(handled.max(earliest)) {
            let Some(begins) = self.begins(slot.at, delay) else { break };
            if !has_come(slot.at, begins) {
                due.next = Some(begins);
                break;
            }
            due.handled = Some(slot.at);
            if done.contains(&slot.at) || !self.is_free(begins) {
                continue;
            }
            if self.is_late(begins, now) {
                due.miss(slot.at);
            } else {
                due.take(slot, begun == Some(begins));
                begun = Some(begins);
            }
        }
        due
    }

    /// Whether runs begin at the same times by another one, whatever is kept of them.
    pub fn begins_like(&self, other: &Self) -> bool {
        let names = |timing: &Self| timing.schedules.iter().map(Schedule::name).collect::<Vec<_>>();
        let schedules = other.schedules.clone();
        names(self) == names(other) && Self { schedules, ..self.clone() } == *other
    }

    /// When the run of a slot begins, or is given up; never where blackouts leave no time.
    fn begins(&self, slot: Timestamp, delay: Duration) -> Option<Timestamp> {
        let planned = slot.checked_add(delay).ok()?;
        if self.catch_up { self.free(planned) } else { Some(planned) }
    }

    /// Whether it is too late for the run of a slot to begin. Whoever does not want runs made up for
    /// does not want them late.
    pub fn is_too_late(&self, slot: Timestamp, now: Timestamp, delay: Duration) -> bool {
        self.begins(slot, delay).is_some_and(|begins| self.is_late(begins, now))
    }

    fn is_late(&self, begins: Timestamp, now: Timestamp) -> bool {
        !self.catch_up && now.duration_since(begins) > GRACE
    }

    /// Whether a run may begin at this moment.
    pub fn is_free(&self, moment: Timestamp) -> bool {
        self.free(moment) == Some(moment)
    }

    /// The first moment from this one on at which a run may begin; absent where blackouts leave none.
    pub fn free(&self, moment: Timestamp) -> Option<Timestamp> {
        let mut moment = moment.to_zoned(self.zone.time_zone());
        // Blackouts come again each week.
        let horizon = moment.timestamp().checked_add(HORIZON).ok()?;
        while let Some(end) = self.blackouts.iter().find_map(|blackout| blackout.end(&moment)) {
            moment = end;
            if moment.timestamp() > horizon {
                return None;
            }
        }
        Some(moment.timestamp())
    }

    /// By how much the runs of this application begin later than their slots: less than the jitter,
    /// and the same each time.
    pub fn delay(&self, application: &str) -> Duration {
        let hash = blake3::hash(application.as_bytes());
        let hash = hash.as_bytes().iter().take(8).fold(0, |sum, byte| sum << 8 | u128::from(*byte));
        let seconds = (u128::from(self.jitter.as_secs()) * hash) >> 64;
        Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
    }
}

impl Due {
    /// Takes away what was to be run: it is missed.
    pub fn give_up(&mut self) -> Option<Slot> {
        let slot = self.run.take()?;
        self.miss(slot.at);
        Some(slot)
    }

    // A newer slot takes the place of the one before, which is not missed where a blackout has put both
    // off to the same moment.
    fn take(&mut self, mut slot: Slot, are_together: bool) {
        if let Some(before) = self.run.take() {
            if !are_together {
                self.miss(before.at);
            }
            let more = slot.schedules.into_iter().filter(|it| !before.schedules.contains(it));
            slot.schedules = before.schedules.iter().cloned().chain(more).collect();
        }
        self.run = Some(slot);
    }

    fn miss(&mut self, slot: Timestamp) {
        let missed = self.missed.get_or_insert(Missed { first: slot, last: slot, count: 0 });
        missed.last = slot.max(missed.last);
        missed.first = slot.min(missed.first);
        missed.count += 1;
    }
}

/// How late a run may begin that is not to be made up for.
pub const GRACE: SignedDuration = SignedDuration::from_mins(10);
/// Slots that are longer ago are no news to anybody.
pub const LOOK_BACK: SignedDuration = SignedDuration::from_hours(366 * 24);

/// A week, and a day for changes of the clock.
const HORIZON: SignedDuration = SignedDuration::from_hours(8 * 24);
