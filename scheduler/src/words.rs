//! The words that schedules are made of: numbers, times of day, days of the week.

use jiff::civil::{Time, Weekday};

/// A time such as `02:00`.
pub(crate) fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let hour = digits(hour, 2).and_then(|hour| i8::try_from(hour).ok())?;
    Time::new(hour, two_digits(minute)?, 0, 0).ok()
}

/// A day by its English name, whole or its first three letters.
pub(crate) fn weekday(text: &str) -> Option<Weekday> {
    Weekday::Sunday.cycle_forward().take(7).find(|weekday| {
        let name = weekday_name(*weekday);
        name.eq_ignore_ascii_case(text)
            || name.get(..3).is_some_and(|short| short.eq_ignore_ascii_case(text))
    })
}

/// The English name of a day, in lower case.
pub(crate) fn weekday_name(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "monday",
        Weekday::Tuesday => "tuesday",
        Weekday::Wednesday => "wednesday",
        Weekday::Thursday => "thursday",
        Weekday::Friday => "friday",
        Weekday::Saturday => "saturday",
        Weekday::Sunday => "sunday",
    }
}

/// A number of exactly two digits.
pub(crate) fn two_digits(text: &str) -> Option<i8> {
    digits(text, 2).filter(|_| text.len() == 2).and_then(|number| i8::try_from(number).ok())
}

/// A number of so many digits at the most.
pub(crate) fn digits(text: &str, length_max: usize) -> Option<u32> {
    let plain = text.len() <= length_max && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

/// What to say of a text that should be something else.
pub(crate) fn no(what: &str, text: &str) -> String {
    if text.is_empty() {
        format!("the {what} is missing")
    } else {
        format!("`{text}` is no {what}")
    }
}
