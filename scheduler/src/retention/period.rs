//! Hours, days, weeks, months and years, of which one point each is kept.

use std::fmt;

use jiff::Zoned;
use serde::{Deserialize, Serialize};

/// How often a rule keeps a point.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// Each point, however near to the next.
    #[serde(rename = "last")]
    Each,
    /// One an hour.
    Hourly,
    /// One a day.
    Daily,
    /// One a week, which begins on Monday.
    Weekly,
    /// One a month.
    Monthly,
    /// One a year.
    Yearly,
}

impl Period {
    /// All of them, the shortest first.
    pub const ALL: [Self; 6] =
        [Self::Each, Self::Hourly, Self::Daily, Self::Weekly, Self::Monthly, Self::Yearly];

    /// What tells one period from the next. `number` counts the points.
    pub(super) fn mark(self, taken: &Zoned, number: usize) -> (i64, i64) {
        let (year, month, day) = (taken.year(), taken.month(), taken.day());
        let date = || i64::from(year) * 10_000 + i64::from(month) * 100 + i64::from(day);
        match self {
            Self::Each => (0, i64::try_from(number).unwrap_or(i64::MAX)),
            // An hour that the clock shows twice is two.
            Self::Hourly => {
                let hour = date() * 100 + i64::from(taken.hour());
                (hour, i64::from(taken.offset().seconds()))
            }
            Self::Daily => (0, date()),
            Self::Weekly => {
                let week = taken.date().iso_week_date();
                (i64::from(week.year()), i64::from(week.week()))
            }
            Self::Monthly => (i64::from(year), i64::from(month)),
            Self::Yearly => (0, i64::from(year)),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Each => "last",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
        })
    }
}
