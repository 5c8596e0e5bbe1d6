use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn timing(schedules: &[&str]) -> Timing {
    Timing {
        schedules: schedules.iter().map(|text| text.parse().unwrap()).collect(),
        zone: Zone::UTC,
        jitter: Duration::ZERO,
        blackouts: Vec::new(),
        catch_up: true,
    }
}

fn look(timing: &Timing, handled: &str, now: &str) -> Due {
    timing.due((at(handled), &BTreeSet::new()), at(now), Duration::ZERO)
}

fn names(slot: &Slot) -> Vec<String> {
    slot.schedules.iter().map(Schedule::name).collect()
}

#[test]
fn a_moment_that_two_schedules_name_is_one_slot() {
    let timing = timing(&["every 12h", "daily", "daily 06:00"]);
    let slots: Vec<_> = timing.slots(at("2026-01-01T00:00Z")).take(3).collect();
    let shown: Vec<_> = slots.iter().map(|slot| (slot.at, names(slot))).collect();
    let slot = |moment, names: &[&str]| {
        (at(moment), names.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(
        shown,
        [
            slot("2026-01-01T06:00Z", &["daily \"06:00\""]),
            slot("2026-01-01T12:00Z", &["every 12h"]),
            slot("2026-01-02T00:00Z", &["every 12h", "daily \"00:00\""]),
        ]
    );
}

#[test]
fn nothing_is_due_before_its_time() {
    let due = look(&timing(&["hourly"]), "2026-01-01T10:00Z", "2026-01-01T10:59:59Z");
    let next = Some(at("2026-01-01T11:00Z"));
    assert_eq!(due, Due { next, ..Due::default() });
}

#[test]
fn one_run_is_made_for_all_that_nobody_was_there_for() {
    let due = look(&timing(&["hourly", "daily 02:00"]), "2026-01-01T00:00Z", "2026-01-01T09:30Z");
    let run = due.run.unwrap();
    assert_eq!(run.at, at("2026-01-01T09:00Z"));
    assert_eq!(names(&run), ["hourly :00", "daily \"02:00\""]);
    let (first, last) = (at("2026-01-01T01:00Z"), at("2026-01-01T08:00Z"));
    assert_eq!(due.missed, Some(Missed { first, last, count: 8 }));
    assert_eq!(due.handled, Some(at("2026-01-01T09:00Z")));
    assert_eq!(due.next, Some(at("2026-01-01T10:00Z")));
}

#[test]
fn who_does_not_catch_up_runs_in_time_or_not_at_all() {
    let timing = Timing { catch_up: false, ..timing(&["hourly"]) };
    let due = look(&timing, "2026-01-01T00:00Z", "2026-01-01T09:30Z");
    assert_eq!((due.run, due.missed.unwrap().count), (None, 9));
    let due = look(&timing, "2026-01-01T00:00Z", "2026-01-01T09:10Z");
    assert_eq!((due.run.unwrap().at, due.missed.unwrap().count), (at("2026-01-01T09:00Z"), 8));
}

#[test]
fn what_was_run_is_not_run_again() {
    let done = BTreeSet::from([at("2026-01-01T02:00Z"), at("2026-01-01T04:00Z")]);
    let due =
        |now| timing(&["hourly"]).due((at("2026-01-01T01:30Z"), &done), at(now), Duration::ZERO);
    let first = due("2026-01-01T02:30Z");
    assert_eq!((first.run, first.missed), (None, None));
    assert_eq!(first.handled, Some(at("2026-01-01T02:00Z")));
    let second = due("2026-01-01T04:30Z");
    assert_eq!((second.run.unwrap().at, second.missed), (at("2026-01-01T03:00Z"), None));
}

#[test]
fn in_a_blackout_nothing_begins() {
    let blackouts = vec!["thu 08:00-18:00".parse().unwrap(), "18:00-18:20".parse().unwrap()];
    let office = Timing { blackouts, ..timing(&["hourly"]) };
    let due = look(&office, "2026-01-01T07:00Z", "2026-01-01T12:00Z");
    let next = Some(at("2026-01-01T18:20Z"));
    assert_eq!(due, Due { next, ..Due::default() });
    let due = look(&office, "2026-01-01T07:00Z", "2026-01-01T18:20Z");
    assert_eq!((due.run.unwrap().at, due.missed), (at("2026-01-01T18:00Z"), None));
    let due = look(&office, "2026-01-01T07:00Z", "2026-01-01T19:00Z");
    assert_eq!((due.run.unwrap().at, due.missed.unwrap().count), (at("2026-01-01T19:00Z"), 1));
    let never_late = Timing { catch_up: false, ..office };
    let due = look(&never_late, "2026-01-01T06:30Z", "2026-01-01T18:20Z");
    assert_eq!((due.run, due.missed.unwrap().count), (None, 1));
    assert!(never_late.is_too_late(
        at("2026-01-01T07:00Z"),
        at("2026-01-01T07:11Z"),
        Duration::ZERO
    ));
}

#[test]
fn what_was_put_off_is_due_when_other_times_hold() {
    let blackouts = vec!["01:00-06:00".parse().unwrap()];
    let night = Timing { blackouts, ..timing(&["daily 02:00", "daily 02:30 keep 7"]) };
    let (handled, now) = (at("2026-01-01T00:00Z"), at("2026-01-01T03:00Z"));
    let done = BTreeSet::new();
    assert_eq!(night.due((handled, &done), now, Duration::ZERO).run, None);
    let last = night.last_due((handled, &done), now, Duration::ZERO);
    let run = last.run.unwrap();
    assert_eq!((run.at, names(&run).len()), (at("2026-01-01T02:30Z"), 2));
    assert_eq!(last.missed, None);
    let kept = Timing {
        schedules: timing(&["daily 02:00 keep 9", "daily 02:30"]).schedules,
        ..night.clone()
    };
    assert!(night.begins_like(&kept));
    assert!(!night.begins_like(&Timing { catch_up: false, ..kept.clone() }));
    assert!(!night.begins_like(&Timing { schedules: timing(&["daily 02:00"]).schedules, ..kept }));
}

#[test]
fn where_blackouts_leave_no_time_nothing_ever_runs() {
    let blackouts = vec!["00:00-12:00".parse().unwrap(), "12:00-24:00".parse().unwrap()];
    let timing = Timing { blackouts, ..timing(&["hourly"]) };
    assert_eq!(timing.free(at("2026-01-01T07:00Z")), None);
    assert_eq!(look(&timing, "2026-01-01T07:00Z", "2026-01-09T12:00Z"), Due::default());
}

#[test]
fn a_delay_is_the_same_each_time_and_less_than_the_jitter() {
    let timing = Timing { jitter: Duration::from_mins(10), ..timing(&["hourly"]) };
    let delays: BTreeSet<_> =
        (0..1000).map(|number| timing.delay(&format!("application-{number}"))).collect();
    assert!(delays.len() > 400, "{}", delays.len());
    assert!(
        *delays.last().unwrap() < timing.jitter
            && *delays.first().unwrap() < Duration::from_secs(10)
    );
    assert_eq!(timing.delay("shop"), timing.delay("shop"));
    let late = timing.due(
        (at("2026-01-01T01:00Z"), &BTreeSet::new()),
        at("2026-01-01T02:00Z"),
        Duration::from_mins(3),
    );
    assert_eq!(late, Due { next: Some(at("2026-01-01T02:03Z")), ..Due::default() });
}

#[test]
fn a_clock_that_was_lost_for_decades_is_no_work_for_decades() {
    let due = look(&timing(&["every 1m"]), "1970-01-01T00:00Z", "2026-01-01T00:00Z");
    assert_eq!(due.missed.unwrap().count, 366 * 24 * 60 - 1);
}

proptest! {
    // However often somebody looks, each moment at which runs may begin is run or missed, once.
    #[test]
    fn no_slot_is_lost_and_none_counts_twice(
        looks in prop::collection::vec(1..400_i64, 1..60),
        catch_up: bool,
        has_blackout: bool,
        delay in 0..20_u64,
    ) {
        let blackouts = if has_blackout { vec!["09:00-13:30".parse().unwrap()] } else { Vec::new() };
        let timing = Timing { blackouts, catch_up, ..timing(&["every 20m", "hourly :10", "daily 09:30"]) };
        let begin = at("2026-01-01T00:00Z");
        let (mut handled, mut now) = (begin, begin);
        let (mut seen, mut ran) = (0, BTreeSet::new());
        for minutes in looks {
            now += SignedDuration::from_mins(minutes);
            let due = timing.due((handled, &BTreeSet::new()), now, Duration::from_mins(delay));
            if let Some(slot) = due.run {
                prop_assert!(ran.insert(slot.at));
                prop_assert!(slot.at + Duration::from_mins(delay) <= now);
                prop_assert_eq!(timing.free(now).is_some(), true);
                seen += 1;
            }
            seen += due.missed.map_or(0, |missed| missed.count);
            prop_assert!(due.next.unwrap() > now);
            handled = due.handled.unwrap_or(handled);
        }
        let planned = timing.slots(begin).take_while(|slot| slot.at <= handled);
        let planned = planned.map(|slot| slot.at + Duration::from_mins(delay));
        let begins: BTreeSet<_> = if catch_up {
            planned.filter_map(|moment| timing.free(moment)).collect()
        } else {
            planned.filter(|moment| timing.is_free(*moment)).collect()
        };
        prop_assert_eq!(u64::try_from(begins.len()).unwrap(), seen);
    }
}
