//! How long nothing goes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;

use super::*;
use crate::retention::{Count, Period, Plan, Reason, Rules};

/// A point of each of so many hours, the oldest first, with its size and what of it is new, in MiB.
fn hourly(sizes: &[(u64, u64)]) -> Vec<Candidate> {
    let point = |(hour, (bytes, changed)): (i64, &(u64, u64))| Candidate {
        taken: Timestamp::new(1_700_000_000 + hour * 3600, 0).unwrap(),
        tags: BTreeSet::new(),
        held: None,
        verified: false,
        flawed: false,
        schedules: Vec::new(),
        bytes: bytes << 20,
        changed: changed << 20,
    };
    (0..).zip(sizes).map(point).collect()
}

/// By a rule that keeps the last two.
fn plan(points: &[Candidate]) -> Plan {
    let count = Count::Most(2.try_into().unwrap());
    let rules = Rules { counts: BTreeMap::from([(Period::Each, count)]), ..Rules::default() };
    let now = points.iter().map(|point| point.taken).max().unwrap().to_zoned(TimeZone::UTC);
    rules.plan(points, &now)
}

/// As whoever carries a plan out does; answers how many.
fn mark(points: &mut [Candidate]) -> usize {
    let now = points.iter().map(|point| point.taken).max().unwrap();
    let suspects = judge(points, now).suspects;
    for index in &suspects {
        points[*index].tags.insert(SUSPICIOUS.to_owned());
    }
    suspects.len()
}

/// Adds one point after another, as a service does that forgets after each; answers how many there are in the
/// end.
fn lived(sizes: &[(u64, u64)], accepted: Option<usize>) -> (Vec<Candidate>, Option<Alarm>) {
    let mut points: Vec<Candidate> = Vec::new();
    let mut alarm = None;
    for (number, point) in hourly(sizes).into_iter().enumerate() {
        points.push(point);
        let plan = plan(&points);
        alarm = plan.alarm;
        mark(&mut points);
        if accepted == Some(number) {
            points.last_mut().unwrap().tags.insert(ACCEPTED.to_owned());
        }
        let mut stays = plan.reasons.iter().map(|reasons| !reasons.is_empty());
        points.retain(|_| stays.next().unwrap());
    }
    (points, alarm)
}

const USUAL: (u64, u64) = (100, 1);

#[test]
fn what_was_there_before_a_fall_stays_until_somebody_accepts_it() {
    let mut sizes = vec![USUAL, USUAL, USUAL, (5, 1)];
    sizes.extend([(5, 1); 20]);
    let mut points = hourly(&sizes[..4]);
    for point in hourly(&sizes).split_off(4) {
        let planned = plan(&points);
        mark(&mut points);
        assert!(planned.alarm.is_some(), "{planned:?}");
        assert!(planned.reasons.iter().all(|reasons| reasons.contains(&Reason::Alarm)));
        points.push(point);
    }
    assert_eq!(points.len(), 24);
    points.last_mut().unwrap().tags.insert(ACCEPTED.to_owned());
    let planned = plan(&points);
    assert_eq!(planned.alarm, None);
    assert_eq!(planned.reasons.iter().filter(|reasons| !reasons.is_empty()).count(), 2);
}

#[test]
fn what_was_accepted_is_not_compared_with_what_was_before() {
    let mut sizes = [(100, 1); 5].to_vec();
    sizes.extend([(5, 1); 9]);
    let (points, alarm) = lived(&sizes, Some(5));
    assert_eq!(alarm, None);
    // The last two, and the accepted one, without which the others would be compared with still older ones.
    assert_eq!(points.len(), 3);
    assert!(points[0].tags.contains(ACCEPTED));
}

#[test]
fn a_second_fall_after_an_accepted_one_is_another() {
    let mut points =
        hourly(&[(100, 1), (100, 1), (100, 1), (40, 1), (40, 1), (40, 1), (40, 1), (5, 1)]);
    points[3].tags.extend([SUSPICIOUS.to_owned(), ACCEPTED.to_owned()]);
    assert!(matches!(plan(&points).alarm, Some(Alarm::Shrank { .. })));
    assert_eq!(plan(&points[..7]).alarm, None);
}

#[test]
fn one_that_was_rewritten_whole_is_remembered_too() {
    let mut points = hourly(&[USUAL, USUAL, USUAL, (100, 99), USUAL, USUAL, USUAL, USUAL]);
    assert!(matches!(plan(&points[..4]).alarm, Some(Alarm::Rewritten { .. })));
    // Whoever should have marked it has died. The next ones do, for a while.
    assert_eq!(mark(&mut points[..7].to_vec()), 1);
    assert_eq!(mark(&mut points.clone()), 0);
    points[3].tags.insert(SUSPICIOUS.to_owned());
    let alarm = plan(&points).alarm.unwrap();
    assert_eq!(alarm, Alarm::Suspicious { taken: points[3].taken });
    assert!(alarm.to_string().contains("was not accepted"), "{alarm}");
}

#[test]
fn right_after_an_accepted_one_a_fall_is_seen_too() {
    let mut points = hourly(&[(100, 1), (100, 1), (100, 1), (40, 1), (5, 1)]);
    points[3].tags.insert(ACCEPTED.to_owned());
    assert!(matches!(plan(&points).alarm, Some(Alarm::Shrank { now, .. }) if now == 5 << 20));
}

#[test]
fn what_lacks_something_stops_nothing_and_is_no_measure() {
    let mut points = hourly(&[USUAL, USUAL, USUAL, (5, 1), USUAL, USUAL]);
    points[3].flawed = true;
    assert_eq!(plan(&points[..4]).alarm, None);
    assert_eq!(plan(&points).alarm, None);
}

#[test]
fn points_that_all_lack_something_are_judged_all_the_same() {
    let mut points = hourly(&[USUAL, USUAL, USUAL, (5, 1)]);
    for point in &mut points {
        point.flawed = true;
    }
    assert!(matches!(plan(&points).alarm, Some(Alarm::Shrank { .. })));
}

#[test]
fn a_mark_of_the_future_counts_and_so_does_an_acceptance() {
    let mut points = hourly(&[USUAL, USUAL, USUAL, USUAL, USUAL]);
    let now = points[3].taken;
    points[4].tags.insert(SUSPICIOUS.to_owned());
    assert!(judge(&points, now).alarm.is_some());
    points[4].tags.insert(ACCEPTED.to_owned());
    assert_eq!(judge(&points, now), Judgement::default());
}
