//! Every run of random schedules, against somebody who looks at the clock each minute.

use jiff::civil::{Date, DateTime};

use super::*;

/// Local minutes, counted from 1970-01-01T00:00 of the local calendar, one for each minute that passes.
struct Clock {
    zone: TimeZone,
    /// Minutes since 1970-01-01T00:00Z of the first one.
    first: i64,
    shown: Vec<i64>,
    /// Where the calendar of `days` begins.
    first_day: i64,
    days: Vec<Day>,
}

/// What there is to know of a date.
struct Day {
    number: i8,
    month: i8,
    weekday: i8,
    last: i8,
}

/// When to run, by what a clock and a calendar show.
struct Wanted {
    text: String,
    minutes: u64,
    hours: u64,
    days: DayRule,
    /// Whether it follows the clock through hours that come twice or not at all.
    passing: bool,
    every: Option<i64>,
}

enum DayRule {
    Any,
    Weekday(i8),
    OfMonth(i8),
    Cron { days: u64, months: u64, weekdays: u64, either: bool },
}

impl Clock {
    fn new(zone: &str, first: Date, years: i16) -> Self {
        let zone = TimeZone::get(zone).unwrap();
        let minutes = |date: Date| {
            let start = date.to_zoned(TimeZone::UTC).unwrap().timestamp();
            start.as_second() / 60
        };
        let last = first.with().year(first.year() + years).build().unwrap();
        let (start, end) = (minutes(first), minutes(last));
        let shown = (start..end).map(|minute| {
            let moment = Timestamp::from_second(minute * 60).unwrap();
            civil_minutes(zone.to_datetime(moment))
        });
        let shown = shown.collect();
        let first_day = start / DAY - 3;
        let days = (first_day..end / DAY + 3).map(|number| {
            let date =
                jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(number)).unwrap();
            let weekday = date.weekday().to_sunday_zero_offset();
            Day { number: date.day(), month: date.month(), weekday, last: date.days_in_month() }
        });
        Self { zone, first: start, shown, first_day, days: days.collect() }
    }

    /// The minutes at which this runs, as they pass; from the third day on, when a gap or a repetition
    /// before the first minute does not matter any more.
    fn runs(&self, wanted: &Wanted) -> Vec<i64> {
        let named: Vec<bool> = self.days.iter().map(|day| wanted.days.has(day)).collect();
        let is_named = |civil: i64| {
            let time = civil.rem_euclid(DAY);
            let day = usize::try_from(civil.div_euclid(DAY) - self.first_day).unwrap();
            named[day]
                && wanted.hours >> (time / 60) & 1 == 1
                && wanted.minutes >> (time % 60) & 1 == 1
        };
        let (mut runs, mut latest, mut before) = (Vec::new(), i64::MIN, i64::MAX);
        for (minute, civil) in (self.first..).zip(self.shown.iter().copied()) {
            let runs_now = if let Some(every) = wanted.every {
                minute % every == 0
            } else if wanted.passing {
                is_named(civil)
            } else {
                let skipped = before.saturating_add(1).max(latest.saturating_add(1))..civil;
                (civil > latest && is_named(civil)) || skipped.into_iter().any(is_named)
            };
            if runs_now && minute >= self.from() {
                runs.push(minute);
            }
            latest = latest.max(civil);
            before = civil;
        }
        runs
    }

    fn from(&self) -> i64 {
        self.first + 2 * DAY
    }

    /// The same by the engine.
    fn told(&self, schedule: &Schedule) -> Vec<i64> {
        let end = self.first + i64::try_from(self.shown.len()).unwrap();
        // The run at the first minute counts, too.
        let start = Timestamp::from_second(self.from() * 60 - 1).unwrap();
        let start = start.to_zoned(self.zone.clone());
        let runs = std::iter::successors(schedule.next(&start), |run| schedule.next(run));
        let minutes = runs.map(|run| {
            assert_eq!(run.timestamp().as_second() % 60, 0);
            run.timestamp().as_second() / 60
        });
        minutes.take_while(|minute| *minute < end).collect()
    }
}

impl DayRule {
    fn has(&self, day: &Day) -> bool {
        match *self {
            Self::Any => true,
            Self::Weekday(weekday) => day.weekday == weekday,
            Self::OfMonth(wanted) => day.number == wanted.min(day.last),
            Self::Cron { days, months, weekdays, either } => {
                let by_date = days >> day.number & 1 == 1;
                let by_name = weekdays >> day.weekday & 1 == 1;
                let is_day = if either { by_date || by_name } else { by_date && by_name };
                is_day && months >> day.month & 1 == 1
            }
        }
    }
}

impl Wanted {
    fn random(noise: &mut Noise) -> Self {
        let (minute, hour) = (noise.below(60), noise.below(24));
        let time = format!("{hour:02}:{minute:02}");
        let at = |text: String, days| Self {
            text,
            minutes: 1 << minute,
            hours: 1 << hour,
            days,
            passing: false,
            every: None,
        };
        let keep = noise.either(["", ",4", "#4", ", retain=4"]);
        let sign = noise.either(["", "@"]);
        let portworx = |word: &str, when: &str| {
            let sign = if word == "daily" { sign } else { "" };
            format!("{word}={sign}{when}{keep}")
        };
        match noise.below(10) {
            0 => Self {
                hours: ALL,
                passing: true,
                ..at(format!("hourly :{minute:02}"), DayRule::Any)
            },
            1 => {
                at(noise.either([format!("daily {time}"), portworx("daily", &time)]), DayRule::Any)
            }
            2 => {
                let number = noise.below(7);
                let day = WEEKDAYS[usize::try_from(number).unwrap()];
                let rule = DayRule::Weekday(i8::try_from(number).unwrap());
                let day = noise.either([day, &day[..3]]);
                let when = format!("{day}@{time}");
                at(noise.either([format!("weekly {when}"), portworx("weekly", &when)]), rule)
            }
            3 => {
                let day = noise.below(31) + 1;
                let rule = DayRule::OfMonth(i8::try_from(day).unwrap());
                let when = format!("{day}@{time}");
                at(noise.either([format!("monthly {when}"), portworx("monthly", &when)]), rule)
            }
            4 => {
                let every = noise.below(3000) + 1;
                let minutes = every.to_string();
                let text = [format!("every {every}m"), portworx("periodic", &minutes)];
                let every = Some(i64::try_from(every).unwrap());
                Self { every, ..at(noise.either(text), DayRule::Any) }
            }
            _ => Self::cron(noise),
        }
    }

    fn cron(noise: &mut Noise) -> Self {
        loop {
            let [minutes, hours, days, months, weekdays] = FIELDS.map(|field| noise.field(&field));
            let either = !days.0.contains('*') && !weekdays.0.contains('*');
            let text =
                format!("cron {} {} {} {} {}", minutes.0, hours.0, days.0, months.0, weekdays.0);
            // Where no month has such a day, the text is refused, and another one is made up.
            if !either
                && (1..=12).all(|month| months.1 >> month & 1 == 0 || !has_day(month, days.1))
            {
                assert!(text.parse::<Schedule>().is_err(), "{text}");
                continue;
            }
            // The second Sunday, 7, is the first.
            let weekdays = weekdays.1 | weekdays.1 >> 7 & 1;
            let days = DayRule::Cron { days: days.1, months: months.1, weekdays, either };
            let passing = (0..24).all(|hour| hours.1 >> hour & 1 == 1);
            return Self { text, minutes: minutes.1, hours: hours.1, days, passing, every: None };
        }
    }
}

// Whether a month has one of these days in some year.
fn has_day(month: usize, days: u64) -> bool {
    let last = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
    (1..=last).any(|day| days >> day & 1 == 1)
}

/// What a field of cron may hold: numbers from the first to the last, and the names of the first ones.
struct Field {
    first: u64,
    last: u64,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { first: 0, last: 59, names: &[] },
    Field { first: 0, last: 23, names: &[] },
    Field { first: 1, last: 31, names: &[] },
    Field { first: 1, last: 12, names: &MONTHS },
    Field { first: 0, last: 7, names: &WEEKDAYS },
];

/// Numbers that look random (`SplitMix64`).
struct Noise(u64);

impl Noise {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) % end
    }

    fn either<T, const N: usize>(&mut self, of: [T; N]) -> T {
        let number = usize::try_from(self.below(u64::try_from(N).unwrap())).unwrap();
        of.into_iter().nth(number).unwrap()
    }

    // The text of a field, and the numbers that it has.
    fn field(&mut self, field: &Field) -> (String, u64) {
        match self.below(6) {
            0 | 1 => ("*".to_owned(), numbers(field.first, field.last, 1)),
            2 => {
                let step = self.below(20) + 1;
                (format!("*/{step}"), numbers(field.first, field.last, step))
            }
            _ => {
                let (mut items, mut all) = (Vec::new(), 0);
                for _ in 0..=self.below(3) {
                    let (item, has) = self.item(field);
                    items.push(item);
                    all |= has;
                }
                (items.join(","), all)
            }
        }
    }

    // The same for one item of a list.
    fn item(&mut self, field: &Field) -> (String, u64) {
        let (one, other) = (self.number(field), self.number(field));
        let (low, high) = (one.min(other), one.max(other));
        let step = self.below(9) + 1;
        let [first, last] = [low, high].map(|number| self.spelling(field, number));
        match self.below(4) {
            0 | 1 => (first, 1 << low),
            2 => (format!("{first}-{last}"), numbers(low, high, 1)),
            _ => (format!("{first}-{last}/{step}"), numbers(low, high, step)),
        }
    }

    fn number(&mut self, field: &Field) -> u64 {
        field.first + self.below(field.last - field.first + 1)
    }

    // By digits, or by a name where it has one.
    fn spelling(&mut self, field: &Field, number: u64) -> String {
        let name = field.names.get(usize::try_from(number - field.first).unwrap());
        let short = name.map(|name| name[..3].to_owned());
        let digits = self.either([number.to_string(), format!("{number:02}")]);
        let name = short.unwrap_or_else(|| digits.clone());
        let capitals = name.to_uppercase();
        self.either([digits.clone(), digits, name, capitals])
    }
}

fn numbers(first: u64, last: u64, step: u64) -> u64 {
    (first..=last).step_by(usize::try_from(step).unwrap()).fold(0, |all, n| all | 1 << n)
}

fn civil_minutes(shown: DateTime) -> i64 {
    let date = jiff::civil::date(1970, 1, 1);
    let days = i64::from(date.until(shown.date()).unwrap().get_days());
    days * DAY + i64::from(shown.hour()) * 60 + i64::from(shown.minute())
}

fn agree(zones: &[&str], years: i16, schedules: u64) {
    let mut noise = Noise(7);
    let mut runs = 0;
    for zone in zones {
        let clock = Clock::new(zone, jiff::civil::date(2005, 1, 1), years);
        for _ in 0..schedules {
            let wanted = Wanted::random(&mut noise);
            let told = clock.told(&schedule(&wanted.text));
            let expected = clock.runs(&wanted);
            let differs = told.iter().zip(&expected).find(|(told, expected)| told != expected);
            assert!(
                told == expected,
                "{} in {zone}: {} and {} runs, first {differs:?}",
                wanted.text,
                told.len(),
                expected.len()
            );
            runs += told.len();
        }
    }
    println!("{} zones with {schedules} schedules each: {runs} runs", zones.len());
}

#[test]
fn the_engine_runs_whenever_a_clock_says_so() {
    agree(&["Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns"], 2, 100);
}

#[test]
#[ignore = "it takes minutes: 24 zones, ten years, 5,016 schedules"]
fn the_engine_runs_whenever_a_clock_says_so_for_ten_years() {
    let more = [
        "America/Sao_Paulo",
        "America/Caracas",
        "America/Los_Angeles",
        "America/Santiago",
        "Antarctica/Troll",
        "Asia/Tehran",
        "Asia/Gaza",
        "Asia/Tokyo",
        "Asia/Kolkata",
        "Asia/Pyongyang",
        "Atlantic/Azores",
        "Africa/Cairo",
        "Europe/London",
        "Europe/Dublin",
        "Europe/Istanbul",
        "Pacific/Chatham",
    ];
    agree(&[&ZONES[..], &more].concat(), 10, 209);
}

const DAY: i64 = 24 * 60;
const ALL: u64 = (1 << 24) - 1;
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] =
    ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
