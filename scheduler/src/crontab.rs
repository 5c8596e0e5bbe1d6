//! The five fields of a crontab line, with the meaning of crontab(5).
//!
//! Not by the `cron` crate: it counts Sunday as 1 and refuses 0, wants both day fields to match
//! where crontab(5) takes either, and has its own time zones.

use std::fmt;

use jiff::civil::{Date, DateTime, Time, date};

use crate::words::digits;

/// Minutes, hours, days of the month, months and days of the week; together they name some
/// minute.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Crontab {
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
}

impl Crontab {
    /// Reads the five fields; an error says what is wrong with which of them.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(format!("`{text}` has {} of the five fields of cron", fields.len()));
        };
        let crontab = Self {
            minutes: Field::parse(minutes, &MINUTE)?,
            hours: Field::parse(hours, &HOUR)?,
            days: Field::parse(days, &DAY)?,
            months: Field::parse(months, &MONTH)?,
            weekdays: Field::parse(weekdays, &WEEKDAY)?,
        };
        match crontab.named(date(2000, 1, 1).to_datetime(Time::midnight())) {
            Some(_) => Ok(crontab),
            None => Err(format!("`{days} {months}` is a day that never comes")),
        }
    }

    /// Whether it names minutes in every hour of its days.
    pub(crate) fn has_every_hour(&self) -> bool {
        (0..24).all(|hour| self.hours.has(hour))
    }

    /// The first minute at or after the whole minute `from`.
    pub(crate) fn named(&self, from: DateTime) -> Option<DateTime> {
        let mut day = from.date();
        let mut time = from.time();
        for _ in 0..DAYS_AHEAD_MAX {
            if self.has_day(day)
                && let Some(time) = self.time(time)
            {
                return Some(day.to_datetime(time));
            }
            day = day.tomorrow().ok()?;
            time = Time::midnight();
        }
        None
    }

    fn has_day(&self, day: Date) -> bool {
        let by_date = self.days.has(day.day());
        let by_name = self.weekdays.has(day.weekday().to_sunday_zero_offset());
        let either = !self.days.starred && !self.weekdays.starred;
        self.months.has(day.month()) && if either { by_date || by_name } else { by_date && by_name }
    }

    fn time(&self, from: Time) -> Option<Time> {
        let minute = |first| (first..60).find(|minute| self.minutes.has(*minute));
        let this_hour = minute(from.minute()).filter(|_| self.hours.has(from.hour()));
        let (hour, minute) = match this_hour {
            Some(minute) => (from.hour(), minute),
            None => ((from.hour() + 1..24).find(|hour| self.hours.has(*hour))?, minute(0)?),
        };
        Time::new(hour, minute, 0, 0).ok()
    }
}

impl fmt::Display for Crontab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { minutes, hours, days, months, weekdays } = self;
        write!(f, "{} {} {} {} {}", minutes.text, hours.text, days.text, months.text, weekdays.text)
    }
}

/// One field: the numbers it allows.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Field {
    // As it was written, with names and leading zeros replaced by plain numbers.
    text: String,
    // Bit n is set when n is allowed.
    numbers: u64,
    // Whether it has a `*`, which decides how the day fields go together.
    starred: bool,
}

struct Kind {
    what: &'static str,
    least: i8,
    most: i8,
    // The names of the numbers from `least` on.
    names: &'static [&'static str],
}

impl Field {
    fn parse(text: &str, kind: &Kind) -> Result<Self, String> {
        let mut field = Self { text: String::new(), numbers: 0, starred: text.contains('*') };
        for item in text.split(',') {
            let (first, last, step, text) = kind.item(item)?;
            let numbers = (first..=last).step_by(step);
            // The second Sunday, 7, is the first, 0.
            let number = |n: i8| if kind.names == WEEKDAY.names { n % 7 } else { n };
            field.numbers |= numbers.fold(0, |all, n| all | 1 << number(n));
            if !field.text.is_empty() {
                field.text.push(',');
            }
            field.text.push_str(&text);
        }
        Ok(field)
    }

    fn has(&self, number: i8) -> bool {
        self.numbers >> number & 1 == 1
    }
}

impl Kind {
    // First number, last number, step, and plain text of an item of a list.
    fn item(&self, item: &str) -> Result<(i8, i8, usize, String), String> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (item, None),
        };
        let (first, last, text) = if range == "*" {
            (self.least, self.most, "*".to_owned())
        } else if let Some((first, last)) = range.split_once('-') {
            let (first, last) = (self.number(first)?, self.number(last)?);
            (first, last, format!("{first}-{last}"))
        } else if step.is_some() {
            return Err(format!("`{item}` has a step without a range or `*` before it"));
        } else {
            let number = self.number(range)?;
            (number, number, number.to_string())
        };
        if first > last {
            return Err(format!("`{item}` runs backwards"));
        }
        let Some(step) = step else {
            return Ok((first, last, 1, text));
        };
        match digits(step, 2).and_then(|step| usize::try_from(step).ok()) {
            Some(step) if step > 0 => Ok((first, last, step, format!("{text}/{step}"))),
            _ => Err(format!("`{step}` in `{item}` is no step")),
        }
    }

    fn number(&self, text: &str) -> Result<i8, String> {
        let named = (self.least..).zip(self.names);
        let by_name =
            named.into_iter().find(|(_, name)| name.eq_ignore_ascii_case(text)).map(|(n, _)| n);
        let by_digits = || digits(text, 2).and_then(|number| i8::try_from(number).ok());
        by_name
            .or_else(by_digits)
            .filter(|number| (self.least..=self.most).contains(number))
            .ok_or_else(|| {
                format!("`{text}` is no {} from {} to {}", self.what, self.least, self.most)
            })
    }
}

const MINUTE: Kind = Kind { what: "minute", least: 0, most: 59, names: &[] };
const HOUR: Kind = Kind { what: "hour", least: 0, most: 23, names: &[] };
const DAY: Kind = Kind { what: "day of the month", least: 1, most: 31, names: &[] };
const MONTH: Kind = Kind {
    what: "month",
    least: 1,
    most: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAY: Kind = Kind {
    what: "day of the week",
    least: 0,
    most: 7,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

/// The 29th of February falls on a given day of the week at least once in 40 years, which is the
/// rarest thing that cron can name.
const DAYS_AHEAD_MAX: u32 = 41 * 366;
