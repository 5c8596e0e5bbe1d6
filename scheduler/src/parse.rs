//! From text to [`Schedule`].

use std::num::NonZeroU32;
use std::str::FromStr;

use jiff::civil::Time;
use thiserror::Error;

use crate::Schedule;
use crate::cadence::Cadence;
use crate::crontab::Crontab;
use crate::words::{digits, no, time, two_digits, weekday};

/// A text that was meant to be a schedule and is not.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("schedule `{text}`: {problem}; write it like `{example}`")]
pub struct ParseScheduleError {
    text: String,
    problem: String,
    example: &'static str,
}

impl FromStr for Schedule {
    type Err = ParseScheduleError;

    fn from_str(text: &str) -> Result<Self, ParseScheduleError> {
        if text.len() > TEXT_BYTES_MAX {
            let beginning = text.chars().take(TEXT_BYTES_MAX / 4).collect();
            let problem = format!("more than {TEXT_BYTES_MAX} bytes");
            return Err(refused(beginning, problem, DAILY));
        }
        let text = text.trim();
        if text.contains(';') {
            let problem = "`;` joins several, and each schedule is written as a string of its own";
            return Err(refused(text.to_owned(), problem.to_owned(), DAILY));
        }
        let portworx = text.split_once('=').and_then(|(word, value)| {
            let form = Form::of(word, &PORTWORX_FORMS)?;
            Some((form, value))
        });
        match portworx {
            Some((form, value)) => parse_portworx(form, value),
            None => parse_plain(text),
        }
        .map_err(|(problem, example)| refused(text.to_owned(), problem, example))
    }
}

/// What is wrong, and how it should look.
type Fault = (String, &'static str);

/// One spelling: its first word, how the rest of it is read, and what it looks like.
struct Form {
    word: &'static str,
    read: fn(&str) -> Result<Cadence, String>,
    example: &'static str,
    /// How many points Portworx keeps when it is not told.
    keep: u32,
}

impl Form {
    fn of(word: &str, forms: &'static [Self]) -> Option<&'static Self> {
        forms.iter().find(|form| form.word.eq_ignore_ascii_case(word.trim()))
    }
}

fn parse_plain(text: &str) -> Result<Schedule, Fault> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (words, keep) = match words[..] {
        [ref words @ .., "keep", number] => (words, Some(number)),
        ref words => (words, None),
    };
    let Some((word, rest)) = words.split_first() else {
        return Err(("it is empty".to_owned(), DAILY));
    };
    let Some(form) = Form::of(word, &PLAIN_FORMS) else {
        return Err((format!("`{word}` is no kind of schedule"), DAILY));
    };
    let faulty = |problem| (problem, form.example);
    let cadence = (form.read)(unquoted(&rest.join(" "))).map_err(faulty)?;
    let keep = keep.map(parse_keep).transpose().map_err(faulty)?;
    Ok(Schedule { cadence, keep })
}

fn parse_portworx(form: &'static Form, value: &str) -> Result<Schedule, Fault> {
    let faulty = |problem| (problem, form.example);
    // Portworx itself writes the number of points either way.
    let (value, keep) = match value.split_once([',', '#']) {
        Some((value, keep)) => {
            let keep = keep.trim();
            (value, parse_keep(keep.strip_prefix("retain=").unwrap_or(keep)).map_err(faulty)?)
        }
        None => (value, NonZeroU32::new(form.keep).unwrap_or(NonZeroU32::MIN)),
    };
    let cadence = (form.read)(unquoted(value.trim())).map_err(faulty)?;
    Ok(Schedule { cadence, keep: Some(keep) })
}

fn parse_hourly(text: &str) -> Result<Cadence, String> {
    let minute = match text {
        "" => Some(0),
        text => text.strip_prefix(':').and_then(two_digits).filter(|minute| *minute < 60),
    };
    minute.map(Cadence::Hourly).ok_or_else(|| format!("`{text}` is no minute of the hour"))
}

fn parse_daily(text: &str) -> Result<Cadence, String> {
    parse_time(text.strip_prefix('@').unwrap_or(text)).map(Cadence::Daily)
}

fn parse_weekly(text: &str) -> Result<Cadence, String> {
    let (day, time) = text.split_once('@').unwrap_or((text, ""));
    let weekday = weekday(day).ok_or_else(|| no("day of the week", day))?;
    Ok(Cadence::Weekly(weekday, parse_time(time)?))
}

fn parse_monthly(text: &str) -> Result<Cadence, String> {
    let (day, time) = text.split_once('@').unwrap_or((text, ""));
    let number = digits(day, 2).and_then(|number| i8::try_from(number).ok());
    let number = number.filter(|number| (1..=31).contains(number));
    let number = number.ok_or_else(|| no("day of the month", day))?;
    Ok(Cadence::Monthly(number, parse_time(time)?))
}

fn parse_every(text: &str) -> Result<Cadence, String> {
    let count = |number| digits(number, 5);
    let minutes = match (text.strip_suffix('m'), text.strip_suffix('h')) {
        (Some(minutes), _) => count(minutes),
        (_, Some(hours)) => count(hours).map(|hours| hours * 60),
        _ => None,
    };
    every(minutes, text)
}

fn parse_periodic(text: &str) -> Result<Cadence, String> {
    every(digits(text, 5), text)
}

fn every(minutes: Option<u32>, text: &str) -> Result<Cadence, String> {
    let minutes = minutes.filter(|minutes| *minutes <= EVERY_MINUTES_MAX);
    let minutes = minutes.and_then(NonZeroU32::new);
    minutes.map(Cadence::Every).ok_or_else(|| no("time between one minute and 31 days", text))
}

fn parse_cron(text: &str) -> Result<Cadence, String> {
    Crontab::parse(text).map(|crontab| Cadence::Cron(Box::new(crontab)))
}

// A missing time is midnight.
fn parse_time(text: &str) -> Result<Time, String> {
    if text.is_empty() {
        return Ok(Time::midnight());
    }
    time(text).ok_or_else(|| no("time of day from 00:00 to 23:59", text))
}

fn parse_keep(text: &str) -> Result<NonZeroU32, String> {
    let number = digits(text, 5).and_then(NonZeroU32::new);
    number.ok_or_else(|| no("number of points to keep", text))
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

fn refused(text: String, problem: String, example: &'static str) -> ParseScheduleError {
    ParseScheduleError { text, problem, example }
}

const DAILY: &str = "daily \"02:00\"";

const PLAIN_FORMS: [Form; 6] = [
    Form { word: "hourly", read: parse_hourly, example: "hourly :15", keep: 0 },
    Form { word: "daily", read: parse_daily, example: DAILY, keep: 0 },
    Form { word: "weekly", read: parse_weekly, example: "weekly sunday@12:00", keep: 0 },
    Form { word: "monthly", read: parse_monthly, example: "monthly 15@12:00", keep: 0 },
    Form { word: "every", read: parse_every, example: "every 15m", keep: 0 },
    Form { word: "cron", read: parse_cron, example: "cron 0 2 * * 1-5", keep: 0 },
];

const PORTWORX_FORMS: [Form; 4] = [
    Form { word: "periodic", read: parse_periodic, example: "periodic=60,10", keep: 5 },
    Form { word: "daily", read: parse_daily, example: "daily=@12:00,7", keep: 7 },
    Form { word: "weekly", read: parse_weekly, example: "weekly=sunday@12:00,5", keep: 5 },
    Form { word: "monthly", read: parse_monthly, example: "monthly=15@12:00,12", keep: 12 },
];

/// Longer than any sensible list of cron fields.
const TEXT_BYTES_MAX: usize = 500;

/// What runs less than once a month is better said by `monthly` or `cron`.
const EVERY_MINUTES_MAX: u32 = 31 * 24 * 60;
