mod oracle;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

fn schedule(text: &str) -> Schedule {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn local(text: &str, zone: &str) -> Zoned {
    text.parse::<Timestamp>().unwrap().to_zoned(TimeZone::get(zone).unwrap())
}

/// The runs after a moment in a zone, as local time with its offset.
fn runs(text: &str, after: &str, zone: &str, count: usize) -> Vec<String> {
    let schedule = schedule(text);
    let mut now = local(after, zone);
    let mut runs = Vec::new();
    for _ in 0..count {
        now = schedule.next(&now).unwrap();
        runs.push(now.strftime("%Y-%m-%d %H:%M:%S %:z").to_string());
    }
    runs
}

/// The same, without what all of them have in common: year, seconds and offset.
fn plain_runs(text: &str, after: &str, zone: &str, count: usize) -> Vec<String> {
    runs(text, after, zone, count).iter().map(|run| run[5..16].to_owned()).collect()
}

#[test]
fn every_spelling_has_one_canonical_text() {
    for (text, canonical) in [
        ("hourly", "hourly :00"),
        (" HOURLY  :15 ", "hourly :15"),
        ("hourly \":05\" keep 24", "hourly :05 keep 24"),
        ("daily", "daily \"00:00\""),
        ("daily 2:00", "daily \"02:00\""),
        ("daily \"02:00\"", "daily \"02:00\""),
        ("daily keep 3", "daily \"00:00\" keep 3"),
        ("weekly sunday@12:00", "weekly sunday@12:00"),
        ("weekly Fri", "weekly friday@00:00"),
        ("monthly 15@12:00", "monthly 15@12:00"),
        ("monthly 31", "monthly 31@00:00"),
        ("every 15m", "every 15m"),
        ("every 120m", "every 2h"),
        ("every 2h keep 12", "every 2h keep 12"),
        ("periodic=60,10", "every 1h keep 10"),
        ("periodic=90", "every 90m keep 5"),
        ("daily=@12:00,retain=7", "daily \"12:00\" keep 7"),
        ("daily=12:00,4", "daily \"12:00\" keep 4"),
        ("daily=@12:00", "daily \"12:00\" keep 7"),
        ("weekly=sunday@12:00,2", "weekly sunday@12:00 keep 2"),
        ("weekly=sunday@12:00", "weekly sunday@12:00 keep 5"),
        ("monthly=15@12:00", "monthly 15@12:00 keep 12"),
        ("monthly=15@12:00, retain=3", "monthly 15@12:00 keep 3"),
        ("periodic=60#4", "every 1h keep 4"),
        ("daily=12:00#3", "daily \"12:00\" keep 3"),
        ("daily=@12:00#3", "daily \"12:00\" keep 3"),
        ("daily=@12:00 # retain=3", "daily \"12:00\" keep 3"),
        ("weekly=sunday@12:00#2", "weekly sunday@12:00 keep 2"),
        ("monthly=15@12:00#2", "monthly 15@12:00 keep 2"),
        ("cron 0 2 * * *", "cron 0 2 * * *"),
        ("cron \"00  02 * * *\" keep 9", "cron 0 2 * * * keep 9"),
        ("cron */15 8-18/2 1,15 JAN-mar sun,Tue-fri", "cron */15 8-18/2 1,15 1-3 0,2-5"),
    ] {
        let schedule = schedule(text);
        assert_eq!(schedule.to_string(), canonical, "{text}");
        assert_eq!(canonical.parse(), Ok(schedule), "{text}");
    }
}

#[test]
fn a_refusal_names_the_bad_part_and_shows_the_right_form() {
    for (text, part, example) in [
        ("", "it is empty", "daily \"02:00\""),
        ("dayly 02:00", "`dayly`", "daily \"02:00\""),
        ("fortnightly=3", "`fortnightly=3`", "daily \"02:00\""),
        ("hourly 15", "`15` is no minute", "hourly :15"),
        ("hourly :60", "`:60`", "hourly :15"),
        ("hourly :5", "`:5`", "hourly :15"),
        ("daily 24:00", "`24:00` is no time of day", "daily \"02:00\""),
        ("daily 02:60", "`02:60`", "daily \"02:00\""),
        ("daily 2", "`2`", "daily \"02:00\""),
        ("daily \"02:00", "`\"02:00`", "daily \"02:00\""),
        ("daily 02:00 03:00", "`02:00 03:00`", "daily \"02:00\""),
        ("daily +2:00", "`+2:00`", "daily \"02:00\""),
        ("daily 02:00 keep 0", "`0` is no number of points", "daily \"02:00\""),
        ("daily 02:00 keep", "`02:00 keep`", "daily \"02:00\""),
        ("daily=12:00,0", "`0`", "daily=@12:00,7"),
        ("daily=12:00,retain=", "points to keep is missing", "daily=@12:00,7"),
        ("daily=12:00,4 keep 5", "`4 keep 5`", "daily=@12:00,7"),
        ("daily=12:00#0", "`0`", "daily=@12:00,7"),
        ("daily=12:00#3,4", "`3,4`", "daily=@12:00,7"),
        ("daily 12:00#3", "`12:00#3`", "daily \"02:00\""),
        ("periodic=60#4;daily=12:00#3", "as a string of its own", "daily \"02:00\""),
        ("daily 02:00; weekly sunday", "as a string of its own", "daily \"02:00\""),
        ("weekly", "the day of the week is missing", "weekly sunday@12:00"),
        ("weekly sunnyday@12:00", "`sunnyday`", "weekly sunday@12:00"),
        ("weekly=sunday@25:00", "`25:00`", "weekly=sunday@12:00,5"),
        ("monthly 0@12:00", "`0`", "monthly 15@12:00"),
        ("monthly 32@12:00", "`32` is no day of the month", "monthly 15@12:00"),
        ("monthly=last@12:00", "`last`", "monthly=15@12:00,12"),
        ("every 0m", "`0m`", "every 15m"),
        ("every 15", "`15`", "every 15m"),
        ("every 15s", "`15s`", "every 15m"),
        ("every 745h", "`745h`", "every 15m"),
        ("every 99999h", "`99999h`", "every 15m"),
        ("periodic=,5", "is missing", "periodic=60,10"),
        ("cron 0 2 * *", "has 4 of the five fields", "cron 0 2 * * 1-5"),
        ("cron 0 0 2 * * *", "has 6 of the five fields", "cron 0 2 * * 1-5"),
        ("cron 60 2 * * *", "`60` is no minute from 0 to 59", "cron 0 2 * * 1-5"),
        ("cron 0 24 * * *", "`24` is no hour", "cron 0 2 * * 1-5"),
        ("cron 0 2 0 * *", "`0` is no day of the month", "cron 0 2 * * 1-5"),
        ("cron 0 2 * 13 *", "`13` is no month", "cron 0 2 * * 1-5"),
        ("cron 0 2 * * 8", "`8` is no day of the week", "cron 0 2 * * 1-5"),
        ("cron 0 2 * * fri-mon", "`fri-mon` runs backwards", "cron 0 2 * * 1-5"),
        ("cron */0 2 * * *", "`0` in `*/0` is no step", "cron 0 2 * * 1-5"),
        ("cron 5/15 2 * * *", "`5/15` has a step without", "cron 0 2 * * 1-5"),
        ("cron 0 2 ? * L", "`?` is no day of the month", "cron 0 2 * * 1-5"),
        ("cron 0 2 30 2 *", "`30 2` is a day that never comes", "cron 0 2 * * 1-5"),
        ("cron @daily", "has 1 of the five fields", "cron 0 2 * * 1-5"),
    ] {
        let error = text.parse::<Schedule>().expect_err(text).to_string();
        assert!(error.contains(part), "{text}: {error}");
        assert!(error.ends_with(&format!("like `{example}`")), "{text}: {error}");
        assert!(schedule(example).next(&local("2024-01-01T00:00Z", "UTC")).is_some());
    }
    let error = "daily ".repeat(1000).parse::<Schedule>().unwrap_err().to_string();
    assert!(error.len() < 300 && error.contains("more than 500 bytes"), "{error}");
}

#[test]
fn a_schedule_is_text_in_configuration() {
    let read: Schedule = serde_json::from_str("\"daily=12:00,4\"").unwrap();
    assert_eq!(read.keep().map(NonZeroU32::get), Some(4));
    assert_eq!(serde_json::to_string(&read).unwrap(), r#""daily \"12:00\" keep 4""#);
    let error = serde_json::from_str::<Schedule>("\"never\"").unwrap_err().to_string();
    assert!(error.contains("`never` is no kind of schedule"), "{error}");
}

#[test]
fn ordinary_days_hold_no_surprise() {
    // A Thursday, seven seconds past ten.
    let after = "2024-02-22T10:00:07Z";
    for (text, expected) in [
        ("hourly", ["02-22 11:00", "02-22 12:00", "02-22 13:00"]),
        ("hourly :15", ["02-22 10:15", "02-22 11:15", "02-22 12:15"]),
        ("daily 02:00", ["02-23 02:00", "02-24 02:00", "02-25 02:00"]),
        ("daily 10:00", ["02-23 10:00", "02-24 10:00", "02-25 10:00"]),
        ("weekly thu@10:00", ["02-29 10:00", "03-07 10:00", "03-14 10:00"]),
        ("weekly thu@10:01", ["02-22 10:01", "02-29 10:01", "03-07 10:01"]),
        ("weekly wed", ["02-28 00:00", "03-06 00:00", "03-13 00:00"]),
        ("every 15m", ["02-22 10:15", "02-22 10:30", "02-22 10:45"]),
        ("every 7h", ["02-22 14:00", "02-22 21:00", "02-23 04:00"]),
        ("cron */20 10 * * *", ["02-22 10:20", "02-22 10:40", "02-23 10:00"]),
        ("cron 0 12 * * 0", ["02-25 12:00", "03-03 12:00", "03-10 12:00"]),
        ("cron 0 12 * * 7", ["02-25 12:00", "03-03 12:00", "03-10 12:00"]),
        ("cron 0 12 * * 1-5", ["02-22 12:00", "02-23 12:00", "02-26 12:00"]),
        ("cron 0 0 1 * mon", ["02-26 00:00", "03-01 00:00", "03-04 00:00"]),
        ("cron 0 0 */2 * mon", ["03-11 00:00", "03-25 00:00", "04-01 00:00"]),
    ] {
        assert_eq!(plain_runs(text, after, "UTC", 3), expected, "{text}");
    }
}

#[test]
fn the_next_run_is_strictly_later() {
    for text in ["hourly", "daily 10:00", "weekly thu@10:00", "monthly 22@10:00", "every 1h"] {
        let run = local("2024-02-22T10:00Z", "UTC");
        assert!(schedule(text).next(&run).unwrap() > run, "{text}");
        let before = local("2024-02-22T09:59:59.999999999Z", "UTC");
        assert_eq!(schedule(text).next(&before), Some(run), "{text}");
    }
}

#[test]
fn a_day_that_the_month_lacks_is_its_last() {
    let expected = ["01-31", "02-29", "03-31", "04-30", "05-31"].map(|day| format!("{day} 12:00"));
    assert_eq!(plain_runs("monthly 31@12:00", "2024-01-05T00:00Z", "UTC", 5), expected);
    let expected = ["02-28", "03-29", "04-29"].map(|day| format!("{day} 00:00"));
    assert_eq!(plain_runs("monthly 29", "2023-01-29T00:00Z", "UTC", 3), expected);
    let expected = ["02-28 12:00", "03-30 12:00"];
    assert_eq!(plain_runs("monthly 30@12:00", "1900-02-01T00:00Z", "UTC", 2), expected);
}

#[test]
fn leap_days_are_found_however_far_they_are() {
    let expected = ["2096-02-29 00:00:00 +00:00", "2104-02-29 00:00:00 +00:00"];
    assert_eq!(runs("cron 0 0 29 2 *", "2095-01-01T00:00Z", "UTC", 2), expected);
    // A leap day on a Sunday, over the year 2100 that has none.
    let expected = ["2088-02-29 00:00:00 +00:00", "2128-02-29 00:00:00 +00:00"];
    assert_eq!(runs("cron 0 0 29 2 */7", "2080-01-01T00:00Z", "UTC", 2), expected);
}

#[test]
fn when_berlin_skips_two_o_clock() {
    // 2024-03-31: 02:00 +01:00 is followed by 03:00 +02:00.
    let after = "2024-03-30T23:30Z";
    let day =
        |times: &[&str]| times.iter().map(|time| format!("2024-03-{time}")).collect::<Vec<_>>();
    for (text, expected) in [
        ("daily 01:59", ["31 01:59:00 +01:00", "01 01:59:00 +02:00"]),
        ("daily 02:00", ["31 03:00:00 +02:00", "01 02:00:00 +02:00"]),
        ("daily 02:30", ["31 03:00:00 +02:00", "01 02:30:00 +02:00"]),
        ("daily 03:00", ["31 03:00:00 +02:00", "01 03:00:00 +02:00"]),
        ("weekly sun@02:30", ["31 03:00:00 +02:00", "07 02:30:00 +02:00"]),
        ("monthly 31@02:30", ["31 03:00:00 +02:00", "30 02:30:00 +02:00"]),
        ("cron 30 2 * * *", ["31 03:00:00 +02:00", "01 02:30:00 +02:00"]),
    ] {
        let runs = runs(text, after, "Europe/Berlin", 2);
        let shown: Vec<_> = runs.iter().map(|run| &run[8..]).collect();
        assert_eq!(shown, expected, "{text}");
    }
    // Several skipped times run together, once.
    assert_eq!(
        runs("cron */20 1-3 * * *", after, "Europe/Berlin", 6),
        day(&[
            "31 01:00:00 +01:00",
            "31 01:20:00 +01:00",
            "31 01:40:00 +01:00",
            "31 03:00:00 +02:00",
            "31 03:20:00 +02:00",
            "31 03:40:00 +02:00",
        ])
    );
    for text in ["hourly :15", "cron 15 * * * *"] {
        assert_eq!(
            runs(text, after, "Europe/Berlin", 3),
            day(&["31 01:15:00 +01:00", "31 03:15:00 +02:00", "31 04:15:00 +02:00"]),
            "{text}"
        );
    }
    assert_eq!(
        runs("every 1h", after, "Europe/Berlin", 3),
        day(&["31 01:00:00 +01:00", "31 03:00:00 +02:00", "31 04:00:00 +02:00"])
    );
}

#[test]
fn when_berlin_has_two_o_clock_twice() {
    // 2024-10-27: 03:00 +02:00 is followed by 02:00 +01:00.
    let after = "2024-10-26T22:30Z";
    for (text, expected) in [
        ("daily 02:00", ["27 02:00:00 +02:00", "28 02:00:00 +01:00"]),
        ("daily 02:30", ["27 02:30:00 +02:00", "28 02:30:00 +01:00"]),
        ("daily 03:00", ["27 03:00:00 +01:00", "28 03:00:00 +01:00"]),
        ("weekly sun@02:30", ["27 02:30:00 +02:00", "03 02:30:00 +01:00"]),
        ("cron 30 2 * * *", ["27 02:30:00 +02:00", "28 02:30:00 +01:00"]),
        ("cron 30 2,3 * * *", ["27 02:30:00 +02:00", "27 03:30:00 +01:00"]),
    ] {
        let runs = runs(text, after, "Europe/Berlin", 2);
        let shown: Vec<_> = runs.iter().map(|run| &run[8..]).collect();
        assert_eq!(shown, expected, "{text}");
    }
    // Asked for in the hour that happens again.
    for text in ["daily 02:30", "cron 30 2 * * *"] {
        for after in ["2024-10-27T01:00Z", "2024-10-27T01:10Z"] {
            let runs = runs(text, after, "Europe/Berlin", 1);
            assert_eq!(runs, ["2024-10-28 02:30:00 +01:00"], "{text}");
        }
    }
    let day =
        |times: &[&str]| times.iter().map(|time| format!("2024-10-27 {time}")).collect::<Vec<_>>();
    for (text, minute) in [("hourly :15", 15), ("cron 15 * * * *", 15), ("every 1h", 0)] {
        assert_eq!(
            runs(text, "2024-10-26T23:30Z", "Europe/Berlin", 3),
            day(&[
                &format!("02:{minute:02}:00 +02:00"),
                &format!("02:{minute:02}:00 +01:00"),
                &format!("03:{minute:02}:00 +01:00"),
            ]),
            "{text}"
        );
    }
}

#[test]
fn lord_howe_changes_its_clocks_by_half_an_hour() {
    let zone = "Australia/Lord_Howe";
    // 2024-10-06: 02:00 +10:30 is followed by 02:30 +11:00.
    let after = "2024-10-05T14:50Z";
    assert_eq!(
        runs("daily 02:15", after, zone, 2),
        ["2024-10-06 02:30:00 +11:00", "2024-10-07 02:15:00 +11:00"]
    );
    let expected = ["01:45:00 +10:30", "02:45:00 +11:00"].map(|time| format!("2024-10-06 {time}"));
    assert_eq!(runs("hourly :45", after, zone, 2), expected);
    let expected = ["01:15:00 +10:30", "03:15:00 +11:00"].map(|time| format!("2024-10-06 {time}"));
    assert_eq!(runs("hourly :15", "2024-10-05T14:40Z", zone, 2), expected);
    // 2024-04-07: 02:00 +11:00 is followed by 01:30 +10:30.
    let after = "2024-04-06T14:20Z";
    assert_eq!(
        runs("daily 01:45", after, zone, 2),
        ["2024-04-07 01:45:00 +11:00", "2024-04-08 01:45:00 +10:30"]
    );
    let expected = ["01:45:00 +11:00", "01:45:00 +10:30", "02:45:00 +10:30"]
        .map(|time| format!("2024-04-07 {time}"));
    assert_eq!(runs("hourly :45", after, zone, 3), expected);
}

#[test]
fn a_day_that_a_zone_leaves_out_runs_when_the_next_begins() {
    // Samoa went from 2011-12-29 to 2011-12-31.
    assert_eq!(
        runs("daily 12:00", "2011-12-29T23:00Z", "Pacific/Apia", 3),
        ["2011-12-31 00:00:00 +14:00", "2011-12-31 12:00:00 +14:00", "2012-01-01 12:00:00 +14:00"]
    );
}

#[test]
fn the_calendar_has_an_end() {
    let last = Timestamp::MAX.to_zoned(TimeZone::get("Europe/Berlin").unwrap());
    for text in ["hourly", "daily", "weekly sun", "monthly 1", "every 1h", "cron 0 0 29 2 *"] {
        assert_eq!(schedule(text).next(&last), None, "{text}");
    }
}

const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "America/St_Johns",
];

prop_compose! {
    // From 1989 on: local mean time, of old, has offsets that are no whole minutes.
    fn any_moment()(second in 600_000_000_i64..8_000_000_000, zone in 0..ZONES.len()) -> Zoned {
        let zone = TimeZone::get(ZONES[zone]).unwrap();
        Timestamp::from_second(second).unwrap().to_zoned(zone)
    }
}

fn any_text() -> impl Strategy<Value = String> {
    let keep =
        prop_oneof![Just(String::new()), (1..100_000_u32).prop_map(|n| format!(" keep {n}"))];
    let time = || (0..24, 0..60).prop_map(|(hour, minute)| format!("{hour:02}:{minute:02}"));
    let number = |least: u32, most: u32| {
        let range = (least..=most, least..=most).prop_map(|(a, b)| (a.min(b), a.max(b)));
        prop_oneof![
            Just("*".to_owned()),
            (1..30_u32).prop_map(|step| format!("*/{step}")),
            (least..=most).prop_map(|number| number.to_string()),
            range.prop_map(|(first, last)| format!("{first}-{last},{first}-{last}/3")),
        ]
    };
    let cron = (number(0, 59), number(0, 23), number(1, 28), number(1, 12), number(0, 7));
    let cadence = prop_oneof![
        (0..60).prop_map(|minute| format!("hourly :{minute:02}")),
        time().prop_map(|time| format!("daily \"{time}\"")),
        ("(sun|mon|tues|wednes|thurs|fri|satur)day", time())
            .prop_map(|(day, time)| format!("weekly {day}@{time}")),
        (1..32, time()).prop_map(|(day, time)| format!("monthly {day}@{time}")),
        (1..60).prop_map(|minutes| format!("every {minutes}m")),
        (1..745).prop_map(|hours| format!("every {hours}h")),
        cron.prop_map(|(a, b, c, d, e)| format!("cron {a} {b} {c} {d} {e}")),
    ];
    (cadence, keep).prop_map(|(cadence, keep)| cadence + &keep)
}

proptest! {
    #[test]
    fn canonical_text_reads_back_as_itself(text in any_text()) {
        prop_assert_eq!(schedule(&text).to_string(), text);
    }

    #[test]
    fn what_can_be_read_can_be_written(text in "(daily|weekly|cron|every|monthly|hourly)?[ =@:,;#*/0-9a-z\"-]{0,20}|\\PC{0,30}") {
        if let Ok(read) = text.parse::<Schedule>() {
            prop_assert_eq!(read.to_string().parse(), Ok(read));
        }
    }

    #[test]
    fn runs_are_in_order_on_whole_minutes(text in any_text(), start in any_moment()) {
        let schedule = schedule(&text);
        let mut last = start;
        for _ in 0..10 {
            let next = schedule.next(&last).unwrap();
            prop_assert!(next > last);
            prop_assert_eq!(next.second(), 0);
            prop_assert_eq!(next.time_zone(), last.time_zone());
            last = next;
        }
    }

    #[test]
    fn a_run_is_the_next_from_every_moment_before_it(
        text in any_text(),
        start in any_moment(),
        share in 0.0..1.0_f64,
    ) {
        let schedule = schedule(&text);
        let next = schedule.next(&start).unwrap();
        let wait = next.timestamp().duration_since(start.timestamp());
        let between = start.checked_add(wait.mul_f64(share)).unwrap();
        prop_assume!(between < next);
        prop_assert_eq!(schedule.next(&between), Some(next));
    }
}
