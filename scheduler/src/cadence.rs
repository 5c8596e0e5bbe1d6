//! The kinds of schedules, and the local times they name.

use std::fmt;
use std::num::NonZeroU32;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::{ToSpan, Zoned};

use crate::crontab::Crontab;
use crate::wall;
use crate::words::weekday_name;

/// When to run. Times are whole minutes.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Cadence {
    /// At this minute of every hour.
    Hourly(i8),
    Daily(Time),
    Weekly(Weekday, Time),
    /// On this day of the month, 1 to 31, or its last.
    Monthly(i8, Time),
    /// At every multiple of so many minutes since 1970.
    Every(NonZeroU32),
    Cron(Box<Crontab>),
}

impl Cadence {
    /// The first run strictly after `after`.
    pub(crate) fn next(&self, after: &Zoned) -> Option<Zoned> {
        let named = |from| self.named(ceil_to_minute(from)?);
        match self {
            Self::Every(minutes) => wall::multiple(after, *minutes),
            Self::Hourly(_) => wall::passing(after, named),
            Self::Cron(crontab) if crontab.has_every_hour() => wall::passing(after, named),
            Self::Daily(_) | Self::Weekly(..) | Self::Monthly(..) | Self::Cron(_) => {
                wall::appointment(after, named)
            }
        }
    }

    // The first local time at or after the whole minute `from` that this cadence names.
    fn named(&self, from: DateTime) -> Option<DateTime> {
        let reached = |named: &DateTime| *named >= from;
        match self {
            Self::Hourly(minute) => {
                let named = from.with().minute(*minute).build().ok()?;
                Some(named).filter(reached).or_else(|| named.checked_add(1.hour()).ok())
            }
            Self::Daily(time) => {
                let named = from.date().to_datetime(*time);
                Some(named).filter(reached).or_else(|| named.checked_add(1.day()).ok())
            }
            Self::Weekly(day, time) => {
                let ahead = from.weekday().until(*day);
                let named = from.date().checked_add(ahead.days()).ok()?.to_datetime(*time);
                Some(named).filter(reached).or_else(|| named.checked_add(1.week()).ok())
            }
            Self::Monthly(day, time) => {
                let named = in_month_of(from.date(), *day)?.to_datetime(*time);
                Some(named).filter(reached).or_else(|| {
                    let next = from.date().first_of_month().checked_add(1.month()).ok()?;
                    Some(in_month_of(next, *day)?.to_datetime(*time))
                })
            }
            Self::Cron(crontab) => crontab.named(from),
            Self::Every(_) => None,
        }
    }
}

impl fmt::Display for Cadence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hourly(minute) => write!(f, "hourly :{minute:02}"),
            Self::Daily(time) => write!(f, "daily \"{}\"", clock(*time)),
            Self::Weekly(day, time) => {
                let day = weekday_name(*day);
                write!(f, "weekly {day}@{}", clock(*time))
            }
            Self::Monthly(day, time) => write!(f, "monthly {day}@{}", clock(*time)),
            Self::Every(minutes) if minutes.get() % 60 == 0 => {
                write!(f, "every {}h", minutes.get() / 60)
            }
            Self::Every(minutes) => write!(f, "every {minutes}m"),
            Self::Cron(crontab) => write!(f, "cron {crontab}"),
        }
    }
}

fn clock(time: Time) -> String {
    format!("{:02}:{:02}", time.hour(), time.minute())
}

fn in_month_of(date: Date, day: i8) -> Option<Date> {
    date.with().day(day.min(date.days_in_month())).build().ok()
}

fn ceil_to_minute(moment: DateTime) -> Option<DateTime> {
    let floor = moment.with().second(0).subsec_nanosecond(0).build().ok()?;
    if floor == moment { Some(floor) } else { floor.checked_add(1.minute()).ok() }
}
