use super::*;
use crate::zone::Zone;

fn year(schedules: &[&str], rules: &Rules) -> Simulation {
    let timing = Timing {
        schedules: schedules.iter().map(|text| text.parse().unwrap()).collect(),
        zone: Zone::UTC,
        jitter: Duration::ZERO,
        blackouts: Vec::new(),
        catch_up: true,
    };
    let span = ("2026-01-01T00:00Z".parse().unwrap(), "2027-01-01T00:00Z".parse().unwrap());
    simulate(&timing, (rules, &[]), Duration::ZERO, span).unwrap()
}

#[test]
fn each_schedule_keeps_what_it_wants_in_the_end() {
    let found = year(
        &[
            "hourly keep 24",
            "daily 02:00 keep 7",
            "weekly=sunday@12:00,4",
            "monthly 31@12:00 keep 12",
        ],
        &Rules::default(),
    );
    assert_eq!(found.made, 365 * 24);
    let of = |schedule: &str| {
        let has = |point: &&SimulatedPoint| {
            point.reasons.contains(&Reason::Schedule(schedule.to_owned()))
        };
        found.points.iter().filter(has).count()
    };
    let counts =
        ["hourly :00", "daily \"02:00\"", "weekly sunday@12:00", "monthly 31@12:00"].map(of);
    assert_eq!(counts, [24, 7, 4, 12]);
    // Of the last day one is by the hour and by the day, and another by the hour and the month.
    assert_eq!(found.points.len(), 24 + 7 + 4 + 12 - 2);
    assert!(found.most <= 24 + 7 + 4 + 12 + 1, "{}", found.most);
}

#[test]
fn rules_go_for_all_points() {
    let rules: Rules = serde_json::from_str(r#"{"daily":7,"monthly":12}"#).unwrap();
    let found = year(&["every 6h"], &rules);
    // The newest is of a new day and a new month; the one before is the last of both.
    assert_eq!((found.made, found.points.len()), (365 * 4, 7 + 12 - 2));
}

#[test]
fn without_a_number_everything_stays() {
    let found = year(&["weekly sunday"], &Rules::default());
    assert_eq!((found.made, found.points.len()), (52, 52));
}

#[test]
fn what_would_be_too_much_is_refused() {
    let timing = Timing::of("every 1m".parse().unwrap(), Zone::UTC);
    let span = ("2026-01-01T00:00Z".parse().unwrap(), "2026-01-05T00:00Z".parse().unwrap());
    let made = simulate(&timing, (&Rules::default(), &[]), Duration::ZERO, span);
    assert_eq!(made, Err(TooManyPoints));
}

#[test]
fn the_tags_of_a_policy_count() {
    let timing = Timing::of("daily".parse().unwrap(), Zone::UTC);
    let rules: Rules = serde_json::from_str(r#"{"tags":["nightly"]}"#).unwrap();
    let span = ("2026-01-01T00:00Z".parse().unwrap(), "2026-01-11T00:00Z".parse().unwrap());
    let made = |tags: &[String]| simulate(&timing, (&rules, tags), Duration::ZERO, span).unwrap();
    assert_eq!(made(&["nightly".to_owned()]).points.len(), 10);
    assert_eq!(made(&[]).points.len(), 1);
}
