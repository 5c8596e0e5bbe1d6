//! From local times to instants: what happens when clocks are changed. The crate's page states
//! the rules.

use std::num::NonZeroU32;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan, Zoned};

/// The first appointment after `after`: each local time once, a skipped one after the gap.
///
/// `named` answers the first local time at or after another that the schedule names.
pub(crate) fn appointment(
    after: &Zoned,
    named: impl Fn(DateTime) -> Option<DateTime>,
) -> Option<Zoned> {
    let zone = after.time_zone();
    // Local times before that of `after` need no look: either they have been, or they were
    // skipped, and then the gap lies behind.
    let mut from = after.datetime();
    loop {
        let local = named(from)?;
        let instant = instant(zone, local)?;
        // Not so for a time that is about to happen again, or that was skipped.
        if instant > after.timestamp() {
            return Some(instant.to_zoned(zone.clone()));
        }
        from = local.checked_add(1.minute()).ok()?;
    }
}

/// The first moment after `after` at which the clock shows a local time that is named, as often
/// as it shows it.
pub(crate) fn passing(
    after: &Zoned,
    named: impl Fn(DateTime) -> Option<DateTime>,
) -> Option<Zoned> {
    let zone = after.time_zone();
    let mut start = after.timestamp().checked_add(1.nanosecond()).ok()?;
    // From one change of the clocks to the next, local time is as good as universal time.
    loop {
        let offset = zone.to_offset(start);
        let change = zone.following(start).next().map(|change| change.timestamp());
        let local = named(offset.to_datetime(start))?;
        match (offset.to_timestamp(local).ok(), change) {
            (Some(instant), change) if change.is_none_or(|change| instant < change) => {
                return Some(instant.to_zoned(zone.clone()));
            }
            (_, change) => start = change?,
        }
    }
}

/// The first multiple of so many minutes since 1970 after `after`.
pub(crate) fn multiple(after: &Zoned, minutes: NonZeroU32) -> Option<Zoned> {
    let step = i128::from(minutes.get()) * NANOSECONDS_PER_MINUTE;
    let number = after.timestamp().as_nanosecond().div_euclid(step) + 1;
    let instant = Timestamp::from_nanosecond(number * step).ok()?;
    Some(instant.to_zoned(after.time_zone().clone()))
}

fn instant(zone: &TimeZone, local: DateTime) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
            offset.to_timestamp(local).ok()
        }
        AmbiguousOffset::Gap { after, .. } => {
            // Told by the clock as it is set later, a skipped time lies before the change, by at
            // most the length of the gap; the change comes next.
            let early = after.to_timestamp(local).ok()?;
            zone.following(early).next().map(|change| change.timestamp())
        }
    }
}

const NANOSECONDS_PER_MINUTE: i128 = 60_000_000_000;
