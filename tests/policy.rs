//! When policies run next, and which points they would keep.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use tests::world::{Output, World};

const CONFIGURATION: &str = r#"
[policies.nightly]
schedules = ['daily "02:00"', "weekly sunday@12:00"]
zone = "Europe/Berlin"
blackouts = ["00:00-04:30", "sun 11:00-13:00"]

[policies.skipping]
schedules = ['daily "02:00"']
zone = "Europe/Berlin"
blackouts = ["mon 00:00-04:30"]
catch_up = false

[policies.crowded]
schedules = ["every 2h"]
zone = "Europe/Berlin"
blackouts = ["01:00-07:00"]

[policies.counted]
schedules = ["hourly keep 24", 'daily "02:00" keep 7', "weekly sunday@12:00 keep 4"]
zone = "UTC"

[policies.ruled]
schedules = ["hourly"]
zone = "UTC"
keep = { daily = 7, monthly = 12 }

[policies.tagged]
schedules = ['daily "02:00" keep 2']
zone = "UTC"
tags = ["release"]
keep = { tags = ["release"] }

[policies.dense]
schedules = ["every 15m"]
zone = "UTC"

[policies.tidy]
task = "prune"
schedules = ["weekly sunday@04:00"]
"#;

fn configured() -> World {
    let mut world = World::empty();
    fs::write(world.path("config.toml"), CONFIGURATION).unwrap();
    world.set("STILLPOINT_CONFIG", world.path("config.toml"));
    world
}

/// What `policy next` answers, without the zone behind each moment, which has to be this one.
fn next(world: &World, zone: &str, arguments: &[&str]) -> Vec<(String, Vec<String>)> {
    let answer = world.json(["policy", "next"].iter().chain(arguments));
    let zone = format!("[{zone}]");
    let moment = |run: &Value| {
        let run = run.as_str().unwrap();
        run.strip_suffix(&zone).unwrap_or_else(|| panic!("{run} is not in {zone}")).to_owned()
    };
    let upcoming = |row: &Value| {
        let runs: Vec<_> = row["runs"].as_array().unwrap().iter().map(moment).collect();
        (row["schedule"].as_str().unwrap().to_owned(), runs)
    };
    answer.as_array().unwrap().iter().map(upcoming).collect()
}

/// Panics unless a schedule is this one in its own words, and runs at these moments from then on.
#[track_caller]
fn assert_next(schedule: &str, (zone, from): (&str, &str), expected: (&str, &[&str])) {
    let count = expected.1.len().to_string();
    let arguments = [schedule, "--zone", zone, "--from", from, "--count", &count];
    let found = next(&World::empty(), zone, &arguments);
    assert_eq!(found, rows(&[expected]), "{schedule}");
}

/// Schedules with their runs, as [`next`] answers them.
fn rows(rows: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    let owned = |runs: &[&str]| runs.iter().map(|run| (*run).to_owned()).collect::<Vec<_>>();
    rows.iter().map(|(schedule, runs)| ((*schedule).to_owned(), owned(runs))).collect()
}

fn simulate(world: &World, policy: &str) -> Value {
    let from = ["--from", "2026-01-01T00:00:00Z"];
    world.json(["policy", "simulate", policy, "--for", "1y"].iter().chain(&from))
}

/// The points of a simulation by the moments they were taken at.
fn points(simulation: &Value) -> BTreeMap<String, Value> {
    let points = simulation["points"].as_array().unwrap();
    let named = |point: &Value| (point["taken"].as_str().unwrap().to_owned(), point.clone());
    let named: BTreeMap<_, _> = points.iter().map(named).collect();
    assert_eq!(named.len(), points.len(), "a moment has one point: {simulation}");
    named
}

/// The moments of the points that stay for this, the newest first.
fn kept_for(points: &BTreeMap<String, Value>, reason: &Value) -> Vec<String> {
    let stays = |point: &Value| point["reasons"].as_array().unwrap().contains(reason);
    points.iter().rev().filter(|(_, it)| stays(it)).map(|(taken, _)| taken.clone()).collect()
}

/// Panics unless clap refused it, and named the option.
#[track_caller]
fn assert_misused(output: &Output, option: &str) {
    output.ended(2);
    assert!(output.stderr.starts_with("error: "), "{output:?}");
    assert!(output.stderr.contains(option), "{output:?}");
    assert_eq!(output.stdout, "");
}

#[test]
fn a_daily_schedule_runs_once_a_day_also_when_clocks_are_changed() {
    let berlin = |from| ("Europe/Berlin", from);
    // From two to three there is nothing on the 29th: it runs when the gap is over.
    let spring = "2026-03-28T00:00:00Z";
    assert_next(
        "daily \"02:00\"",
        berlin(spring),
        (
            "daily \"02:00\"",
            &[
                "2026-03-28T02:00:00+01:00",
                "2026-03-29T03:00:00+02:00",
                "2026-03-30T02:00:00+02:00",
            ],
        ),
    );
    assert_next(
        "cron 30 2 * * *",
        berlin(spring),
        (
            "cron 30 2 * * *",
            &[
                "2026-03-28T02:30:00+01:00",
                "2026-03-29T03:00:00+02:00",
                "2026-03-30T02:30:00+02:00",
            ],
        ),
    );
    // From two to three comes twice on the 25th: it runs the first time.
    let autumn = "2026-10-24T00:00:00Z";
    assert_next(
        "daily \"02:30\"",
        berlin(autumn),
        (
            "daily \"02:30\"",
            &[
                "2026-10-24T02:30:00+02:00",
                "2026-10-25T02:30:00+02:00",
                "2026-10-26T02:30:00+01:00",
            ],
        ),
    );
}

#[test]
fn an_hourly_schedule_follows_the_clock_and_every_knows_no_local_time() {
    let spring = ("Europe/Berlin", "2026-03-28T23:30:00Z");
    assert_next(
        "hourly",
        spring,
        (
            "hourly :00",
            &[
                "2026-03-29T01:00:00+01:00",
                "2026-03-29T03:00:00+02:00",
                "2026-03-29T04:00:00+02:00",
            ],
        ),
    );
    let autumn = ("Europe/Berlin", "2026-10-24T23:30:00Z");
    assert_next(
        "hourly",
        autumn,
        (
            "hourly :00",
            &[
                "2026-10-25T02:00:00+02:00",
                "2026-10-25T02:00:00+01:00",
                "2026-10-25T03:00:00+01:00",
            ],
        ),
    );
    assert_next(
        "every 2h",
        autumn,
        (
            "every 2h",
            &[
                "2026-10-25T02:00:00+02:00",
                "2026-10-25T03:00:00+01:00",
                "2026-10-25T05:00:00+01:00",
            ],
        ),
    );
}

#[test]
fn the_words_of_portworx_are_understood() {
    let from = ("UTC", "2026-01-20T00:00:00Z");
    assert_next(
        "periodic=60,10",
        from,
        ("every 1h keep 10", &["2026-01-20T01:00:00+00:00", "2026-01-20T02:00:00+00:00"]),
    );
    assert_next(
        "daily=@12:00,retain=7",
        from,
        ("daily \"12:00\" keep 7", &["2026-01-20T12:00:00+00:00", "2026-01-21T12:00:00+00:00"]),
    );
    // The 20th is a Tuesday.
    assert_next(
        "weekly=sunday@12:00,2",
        from,
        ("weekly sunday@12:00 keep 2", &["2026-01-25T12:00:00+00:00", "2026-02-01T12:00:00+00:00"]),
    );
    assert_next(
        "monthly=31@12:00,3",
        from,
        (
            "monthly 31@12:00 keep 3",
            &[
                "2026-01-31T12:00:00+00:00",
                "2026-02-28T12:00:00+00:00",
                "2026-03-31T12:00:00+00:00",
            ],
        ),
    );
}

#[test]
fn a_crontab_line_runs_on_either_day_field_and_on_both_where_one_has_a_star() {
    let from = ("UTC", "2026-03-20T00:00:00Z");
    // Fridays, and the first and the fifteenth, which is a Wednesday in April.
    assert_next(
        "cron 30 4 1,15 * 5",
        from,
        (
            "cron 30 4 1,15 * 5",
            &[
                "2026-03-20T04:30:00+00:00",
                "2026-03-27T04:30:00+00:00",
                "2026-04-01T04:30:00+00:00",
                "2026-04-03T04:30:00+00:00",
                "2026-04-10T04:30:00+00:00",
                "2026-04-15T04:30:00+00:00",
            ],
        ),
    );
    assert_next(
        "cron 0 */6 * * mon-fri",
        from,
        (
            "cron 0 */6 * * 1-5",
            &[
                "2026-03-20T06:00:00+00:00",
                "2026-03-20T12:00:00+00:00",
                "2026-03-20T18:00:00+00:00",
                "2026-03-23T00:00:00+00:00",
            ],
        ),
    );
}

#[test]
fn a_policy_runs_in_its_own_zone_and_after_its_blackouts() {
    let world = configured();
    let from = |policy, count| [policy, "--from", "2026-03-28T00:00:00Z", "--count", count];
    let daily = ["2026-03-28T04:30:00+01:00", "2026-03-29T04:30:00+02:00"];
    let weekly = ["2026-03-29T13:00:00+02:00", "2026-04-05T13:00:00+02:00"];
    let expected = rows(&[("daily \"02:00\"", &daily), ("weekly sunday@12:00", &weekly)]);
    assert_eq!(next(&world, "Europe/Berlin", &from("nightly", "2")), expected);
    // In another zone its times and its blackouts are of that one.
    let daily = ["2026-03-28T04:30:00+00:00"];
    let weekly = ["2026-03-29T13:00:00+00:00"];
    let expected = rows(&[("daily \"02:00\"", &daily), ("weekly sunday@12:00", &weekly)]);
    let elsewhere: Vec<&str> = from("nightly", "1").into_iter().chain(["--zone", "UTC"]).collect();
    assert_eq!(next(&world, "UTC", &elsewhere), expected);
    // Without `catch_up` Monday, the 30th, has none.
    let skipping =
        ["2026-03-28T02:00:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-31T02:00:00+02:00"];
    let expected = rows(&[("daily \"02:00\"", &skipping)]);
    assert_eq!(next(&world, "Europe/Berlin", &from("skipping", "3")), expected);
    // What is due at three and at five waits until seven, when something is due, too: one run.
    let crowded = ["2026-03-28T07:00:00+01:00", "2026-03-28T09:00:00+01:00"];
    let expected = rows(&[("every 2h", &crowded)]);
    assert_eq!(next(&world, "Europe/Berlin", &from("crowded", "2")), expected);
    let said = world.stillpoint(["policy", "next"].iter().chain(&from("nightly", "1")));
    let expected = "daily \"02:00\"\n  Sat 2026-03-28 04:30 CET\n\
                    weekly sunday@12:00\n  Sun 2026-03-29 13:00 CEST\n";
    assert_eq!(said.succeeded().stdout, expected);
}

#[test]
fn what_is_no_schedule_is_refused_with_the_reason() {
    let world = configured();
    for (schedule, reason) in [
        ("now and then", "`now` is no kind of schedule"),
        ("nobody", "`nobody` is no kind of schedule"),
        ("daily \"25:00\"", "`25:00` is no time of day from 00:00 to 23:59"),
        ("cron 61 * * * *", "`61` is no minute from 0 to 59"),
    ] {
        for verb in ["next", "simulate"] {
            let said = world.stillpoint(["policy", verb, schedule]);
            said.failed(1, reason)
                .failed(1, "hint: write it like 'daily \"02:00\"' or 'every 15m'");
            assert!(said.stderr.contains(&format!("`{schedule}`")), "{said:?}");
            assert_eq!(said.stdout, "");
        }
    }
}

#[test]
fn a_zone_a_count_or_a_time_that_makes_no_sense_is_refused() {
    let world = configured();
    for verb in ["next", "simulate"] {
        for zone in ["Europe/Nowhere", ""] {
            let said = world.stillpoint(["policy", verb, "nightly", "--zone", zone]);
            said.failed(1, format!("there is no time zone `{zone}`")).failed(1, "UTC");
        }
        let said = world.stillpoint(["policy", verb, "nightly", "--from", "yesterday"]);
        assert_misused(&said, "--from <TIME>");
    }
    for count in ["--count=-1", "--count=many", "--count=1.5", "--count=99999999999999999999"] {
        assert_misused(&world.stillpoint(["policy", "next", "nightly", count]), "--count <COUNT>");
    }
    let none = next(&world, "UTC", &["daily", "--zone", "UTC", "--count", "0"]);
    assert_eq!(none, rows(&[("daily \"00:00\"", &[])]));
}

#[test]
fn each_schedule_keeps_as_many_points_as_it_says() {
    let simulation = simulate(&configured(), "counted");
    let points = points(&simulation);
    let schedule = |name: &str| kept_for(&points, &json!({ "schedule": name }));
    let hourly = schedule("hourly :00");
    assert_eq!(hourly.len(), 24);
    assert_eq!(hourly.first().unwrap(), "2027-01-01T00:00:00Z");
    assert_eq!(hourly.last().unwrap(), "2026-12-31T01:00:00Z");
    let daily = schedule("daily \"02:00\"");
    let days: Vec<_> = (25..=31).rev().map(|day| format!("2026-12-{day}T02:00:00Z")).collect();
    assert_eq!(daily, days);
    let weekly = schedule("weekly sunday@12:00");
    let days = [27, 20, 13, 6].map(|day| format!("2026-12-{day:02}T12:00:00Z"));
    assert_eq!(weekly, days);
    assert_eq!(kept_for(&points, &json!("newest")), ["2027-01-01T00:00:00Z"]);
    // The daily one of the last day is an hourly one, too.
    assert_eq!(points.len(), 24 + 7 + 4 - 1);
    let last = &points["2026-12-31T02:00:00Z"];
    assert_eq!(last["schedules"], json!(["hourly :00", "daily \"02:00\""]));
    assert!(points.values().all(|point| point["reasons"] != json!([])), "{points:?}");
    // An hour has one point whoever wants it, and one goes only when the next is there.
    assert_eq!((&simulation["made"], &simulation["most"]), (&json!(365 * 24), &json!(35)));
    assert_eq!(simulation["gone"].as_array().unwrap().len(), 365 * 24 - points.len());
}

#[test]
fn rules_keep_what_they_say_and_tags_keep_all_that_have_them() {
    let world = configured();
    let ruled = points(&simulate(&world, "ruled"));
    let count = |period: &str| kept_for(&ruled, &json!({ "count": period }));
    let days = (26..=31).rev().map(|day| format!("2026-12-{day}T23:00:00Z"));
    let days: Vec<_> = ["2027-01-01T00:00:00Z".to_owned()].into_iter().chain(days).collect();
    assert_eq!(count("daily"), days);
    let months = [
        "2027-01-01T00",
        "2026-12-31T23",
        "2026-11-30T23",
        "2026-10-31T23",
        "2026-09-30T23",
        "2026-08-31T23",
        "2026-07-31T23",
        "2026-06-30T23",
        "2026-05-31T23",
        "2026-04-30T23",
        "2026-03-31T23",
        "2026-02-28T23",
    ];
    assert_eq!(count("monthly"), months.map(|hour| format!("{hour}:00:00Z")));
    assert_eq!(ruled.len(), 7 + 12 - 2);

    let tagged = points(&simulate(&world, "tagged"));
    assert_eq!(tagged.len(), 365);
    assert_eq!(kept_for(&tagged, &json!({ "tag": "release" })).len(), 365);
    let counted = kept_for(&tagged, &json!({ "schedule": "daily \"02:00\"" }));
    assert_eq!(counted, ["2026-12-31T02:00:00Z", "2026-12-30T02:00:00Z"]);
}

#[test]
fn what_cannot_be_simulated_is_refused() {
    let world = configured();
    let simulate = |policy: &str, time: &str| {
        world.stillpoint([
            "policy",
            "simulate",
            policy,
            "--from",
            "2026-01-01T00:00:00Z",
            "--for",
            time,
        ])
    };
    let much = simulate("dense", "1y");
    much.failed(1, "there would be more than 5000 points at once");
    much.failed(1, "hint: give a shorter time with --for");
    // Four an hour.
    let said = simulate("dense", "30d");
    assert!(said.succeeded().stdout.contains("2880 points made, 2880 at once"), "{said:?}");
    for time in ["0d", "11y"] {
        simulate("counted", time).failed(1, "more than nothing and at most ten years");
    }
    assert_misused(&simulate("counted", "ever"), "--for <TIME>");
    simulate("tidy", "1y").failed(1, "policy `tidy` makes no points");
}
