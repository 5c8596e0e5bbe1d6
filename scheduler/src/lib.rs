//! When a policy runs ([`timing`]), which run comes first ([`queue`]), and which points stay
//! ([`retention`]).
//!
//! [`Schedule`] is read from text and answers when the next run is due, in the time zone of the
//! question. Pure: the clock belongs to the caller.
//!
//! # Spellings
//! | Text | Runs |
//! |---|---|
//! | `hourly`, `hourly :15` | every hour, at this minute of the local hour |
//! | `daily`, `daily "02:00"` | every day at this local time |
//! | `weekly sunday`, `weekly sunday@12:00` | every week |
//! | `monthly 15`, `monthly 15@12:00` | every month; a day that the month lacks is its last day |
//! | `every 15m`, `every 2h` | at every multiple of this since 1970-01-01T00:00Z |
//! | `cron 0 2 * * 1-5` | as crontab(5) has it, see below |
//!
//! Quotes are optional, a missing time is 00:00, and each may end in `keep N`, the number of
//! points that this schedule wants kept. Portworx' spellings always carry that number:
//! `periodic=60,10`, `daily=@12:00,retain=7`, `weekly=sunday@12:00,2`, `monthly=15@12:00`; where
//! it is missing it is 5, 7, 5 and 12.
//!
//! Cron has five fields: minute, hour, day of the month, month, day of the week (0 and 7 are
//! Sunday), each of `*`, `5`, `1-5`, `*/15`, `8-18/2` and lists of these; months and days may be
//! named by three letters. When neither day field has a `*`, either may match.
//!
//! # When clocks are changed
//! - Appointments (`daily`, `weekly`, `monthly`, and `cron` with chosen hours) run once a local
//!   time: a time that is skipped runs at the first instant after the gap (where 02:00 is followed
//!   by 03:00, 02:30 runs at 03:00), several skipped times run there together, once; a time that
//!   happens twice runs the first time only.
//! - `hourly`, and `cron` with an hour field that allows every hour, follow the clock through each
//!   hour that passes: what is skipped is not made up for, and what happens twice runs twice, so
//!   that no hour is left without its runs.
//! - `every` does not look at local time: its runs are equally far apart on every day.

pub mod blackout;
mod cadence;
mod crontab;
mod parse;
pub mod queue;
pub mod retention;
pub mod simulation;
pub mod timing;
mod wall;
mod words;
pub mod zone;

#[cfg(test)]
mod tests;

use std::fmt;
use std::num::NonZeroU32;

use jiff::Zoned;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::cadence::Cadence;
pub use crate::parse::ParseScheduleError;

/// When to run, and how many of the points that come of it to keep.
///
/// Its text is in one form, whatever form it was read from, and reads back as an equal schedule.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Schedule {
    cadence: Cadence,
    keep: Option<NonZeroU32>,
}

impl Schedule {
    /// The first run strictly after `after`, in its time zone. `None` at the end of the calendar,
    /// in the year 9999.
    pub fn next(&self, after: &Zoned) -> Option<Zoned> {
        self.cadence.next(after)
    }

    /// What its points are counted under: its text without the number that it keeps.
    pub fn name(&self) -> String {
        self.cadence.to_string()
    }

    /// How many points of this schedule to keep; `None` when it does not say.
    pub fn keep(&self) -> Option<NonZeroU32> {
        self.keep
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cadence)?;
        self.keep.map_or(Ok(()), |keep| write!(f, " keep {keep}"))
    }
}

impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
