//! Times of the week in which no run begins.

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::{ToSpan as _, Zoned};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::words::{no, time, weekday, weekday_name};

/// A part of some days of the week, such as `mon-fri 08:00-18:00`, `22:00-06:00` (which ends on the next
/// day) or `sat,sun` (the whole of them).
///
/// Times are local. Where clocks are changed, it ends at the first moment at which the clock shows its
/// end, or would have.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Blackout {
    /// Whether it begins on Monday, Tuesday and so on.
    days: [bool; 7],
    from: Time,
    /// Midnight is the end of the day.
    to: Time,
}

/// A text that was meant to be such a part of the week and is not.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("blackout `{text}`: {problem}; write it like `mon-fri 08:00-18:00`")]
pub struct ParseBlackoutError {
    text: String,
    problem: String,
}

impl Blackout {
    /// When it is over, for a moment within it.
    pub(crate) fn end(&self, moment: &Zoned) -> Option<Zoned> {
        let local = moment.datetime();
        let today = moment.date();
        let days = [Some(today), today.yesterday().ok()];
        let end = days.into_iter().flatten().find_map(|day| self.end_on(day, local))?;
        let zone = moment.time_zone();
        let end = zone.to_ambiguous_zoned(end);
        let first = end.clone().compatible().ok()?;
        // The clock may show the end twice, and have done so once.
        if first > *moment { Some(first) } else { end.later().ok().filter(|end| end > moment) }
    }

    // The end of the one that begins on this day, if the local time is within.
    fn end_on(&self, day: Date, local: DateTime) -> Option<DateTime> {
        let begins = usize::try_from(day.weekday().to_monday_zero_offset()).ok()?;
        let from = day.to_datetime(self.from);
        let last = if self.to > self.from { day } else { day.checked_add(1.day()).ok()? };
        let to = last.to_datetime(self.to);
        (*self.days.get(begins)? && (from..to).contains(&local)).then_some(to)
    }
}

impl FromStr for Blackout {
    type Err = ParseBlackoutError;

    fn from_str(text: &str) -> Result<Self, ParseBlackoutError> {
        let refused = |problem| ParseBlackoutError { text: text.to_owned(), problem };
        let words: Vec<&str> = text.split_whitespace().collect();
        let (days, hours) = match words[..] {
            [hours] if hours.contains(':') => (None, Some(hours)),
            [days] => (Some(days), None),
            [days, hours] => (Some(days), Some(hours)),
            _ => return Err(refused("it is no day and no time".to_owned())),
        };
        let days = days.map_or(Ok([true; 7]), parse_days).map_err(refused)?;
        let (from, to) =
            hours.map_or(Ok((Time::midnight(), Time::midnight())), parse_hours).map_err(refused)?;
        Ok(Self { days, from, to })
    }
}

fn parse_days(text: &str) -> Result<[bool; 7], String> {
    let day = |text: &str| weekday(text).ok_or_else(|| no("day of the week", text));
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let length = usize::try_from(first.until(last)).unwrap_or_default() + 1;
        for day in first.cycle_forward().take(length) {
            let number = usize::try_from(day.to_monday_zero_offset()).unwrap_or_default();
            if let Some(is_in) = days.get_mut(number) {
                *is_in = true;
            }
        }
    }
    Ok(days)
}

fn parse_hours(text: &str) -> Result<(Time, Time), String> {
    let (from, to) = text.split_once('-').ok_or_else(|| no("time from and to", text))?;
    let from = time(from).ok_or_else(|| no("time of day", from))?;
    let to = match to {
        "24:00" => Time::midnight(),
        to => time(to).ok_or_else(|| no("time of day", to))?,
    };
    if from == to && to != Time::midnight() {
        return Err(format!("`{text}` has no length"));
    }
    Ok((from, to))
}

impl fmt::Display for Blackout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = Weekday::Monday.cycle_forward().zip(self.days);
        let days: Vec<&str> =
            days.filter(|(_, is_in)| *is_in).map(|(day, _)| short(weekday_name(day))).collect();
        let all_day = self.from == self.to;
        if days.len() < 7 || all_day {
            f.write_str(&days.join(","))?;
        }
        if !all_day {
            let space = if days.len() < 7 { " " } else { "" };
            let end = self.to.strftime("%H:%M");
            write!(f, "{space}{}-{end}", self.from.strftime("%H:%M"))?;
        }
        Ok(())
    }
}

fn short(name: &str) -> &str {
    name.get(..3).unwrap_or(name)
}

impl Serialize for Blackout {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Blackout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
