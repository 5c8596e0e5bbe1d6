//! How far back: years, months, days and hours, as restic writes them.

use std::fmt;
use std::str::FromStr;

use jiff::{Span, Timestamp, Zoned};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// A length of calendar time, such as `1y6m` or `36h`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Reach {
    years: u16,
    months: u16,
    days: u16,
    hours: u16,
}

/// A reach is made of numbers with `y`, `m`, `d` and `h`.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("`{0}` is no length of time: give years, months, days and hours, such as 1y6m or 36h")]
pub struct ParseReachError(String);

impl Reach {
    /// So long before a moment; a day that a month lacks is its last.
    pub(super) fn before(self, moment: &Zoned) -> Timestamp {
        let Self { years, months, days, hours } = self;
        let span = Span::new().years(years).months(months).days(days).hours(hours);
        moment.checked_sub(span).map_or(Timestamp::MIN, |then| then.timestamp())
    }
}

impl FromStr for Reach {
    type Err = ParseReachError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseReachError(text.to_owned());
        let mut reach = Self { years: 0, months: 0, days: 0, hours: 0 };
        let mut rest = text;
        // Each unit once, in their order.
        let fields = [
            ('y', &mut reach.years),
            ('m', &mut reach.months),
            ('d', &mut reach.days),
            ('h', &mut reach.hours),
        ];
        for (unit, field) in fields {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (number, after) = rest.split_at(digits);
            if let Some(after) = after.strip_prefix(unit) {
                *field =
                    number.parse().ok().filter(|number| *number <= PART_MAX).ok_or_else(wrong)?;
                rest = after;
            }
        }
        let nothing = Self { years: 0, months: 0, days: 0, hours: 0 };
        if rest.is_empty() && reach != nothing { Ok(reach) } else { Err(wrong()) }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { years, months, days, hours } = *self;
        for (number, unit) in [(years, 'y'), (months, 'm'), (days, 'd'), (hours, 'h')] {
            if number > 0 {
                write!(f, "{number}{unit}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for Reach {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reach {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// More than anybody keeps, and less than a calendar has.
const PART_MAX: u16 = 9999;
