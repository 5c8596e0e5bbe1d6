use jiff::ToSpan as _;
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Zoned {
    at("2026-06-30T12:00:00Z").to_zoned(TimeZone::UTC)
}

fn point(taken: Timestamp) -> Candidate {
    Candidate {
        taken,
        tags: BTreeSet::new(),
        held: None,
        verified: false,
        flawed: false,
        schedules: Vec::new(),
        bytes: 100 << 20,
        changed: 1 << 20,
    }
}

/// One each six hours, the newest first.
fn quarterly(count: u32) -> Vec<Candidate> {
    let newest = at("2026-06-30T11:00:00Z");
    let hours = (0..i64::from(count)).map(|number| (number * 6).hours());
    hours.map(|back| point(newest.checked_sub(back).unwrap())).collect()
}

fn rules(counts: &[(Period, u32)]) -> Rules {
    let most = |count| Count::Most(NonZeroU32::new(count).unwrap());
    let counts = counts.iter().map(|(period, count)| (*period, most(*count))).collect();
    Rules { counts, ..Rules::default() }
}

fn kept(plan: &Plan) -> Vec<usize> {
    let reasons = plan.reasons.iter().enumerate();
    reasons.filter(|(_, reasons)| !reasons.is_empty()).map(|(index, _)| index).collect()
}

#[test]
fn the_newest_of_each_period_stays() {
    let points = quarterly(40);
    let plan = rules(&[(Period::Daily, 3), (Period::Each, 2)]).plan(&points, &now());
    // 11:00 and 05:00 of today, and 23:00 of the two days before.
    assert_eq!(kept(&plan), [0, 1, 2, 6]);
    assert_eq!(plan.reasons[2], [Reason::Count(Period::Daily)]);
    assert!(plan.reasons[0].contains(&Reason::Newest), "{:?}", plan.reasons[0]);
    let weekly = rules(&[(Period::Weekly, 2)]).plan(&points, &now());
    // The 30th is a Tuesday: the newest of this week, and Sunday's last.
    assert_eq!(kept(&weekly), [0, 6]);
}

#[test]
fn while_fewer_are_kept_than_wanted_the_oldest_stays() {
    let points = quarterly(9);
    let plan = rules(&[(Period::Monthly, 12)]).plan(&points, &now());
    assert_eq!(kept(&plan), [0, 8]);
    assert_eq!(plan.reasons[8], [Reason::Oldest(Period::Monthly)]);
}

#[test]
fn without_rules_everything_stays() {
    let plan = Rules::default().plan(&quarterly(5), &now());
    assert!(plan.reasons.iter().all(|reasons| *reasons == [Reason::NoRule]));
    assert_eq!(Rules::default().plan(&[], &now()).reasons, [[Reason::NoRule; 0]; 0]);
}

#[test]
fn what_is_held_verified_young_or_tagged_stays() {
    let mut points = quarterly(30);
    points[20].held = Some("audit".into());
    points[12].verified = true;
    points[25].verified = true;
    points[29].tags = BTreeSet::from(["release".into()]);
    let tags = BTreeSet::from(["release".into()]);
    let at_least = Some("13h".parse().unwrap());
    let rules = Rules { tags, at_least, ..rules(&[(Period::Each, 1)]) };
    let plan = rules.plan(&points, &now());
    assert_eq!(kept(&plan), [0, 1, 2, 12, 20, 29]);
    assert_eq!(plan.reasons[20], [Reason::Held("audit".into())]);
    assert_eq!(plan.reasons[12], [Reason::Verified], "an older one may go");
    assert_eq!(plan.reasons[29], [Reason::Tag("release".into())]);
}

#[test]
fn flawed_points_take_the_place_of_no_other() {
    let mut points = quarterly(12);
    points.iter_mut().take(6).for_each(|point| point.flawed = true);
    let plan = rules(&[(Period::Each, 2)]).plan(&points, &now());
    assert_eq!(kept(&plan), [0, 1, 6, 7]);
    assert!(plan.reasons[6].contains(&Reason::Newest), "the newest that lacks nothing");
}

#[test]
fn each_schedule_has_its_own_count() {
    let mut points = quarterly(12);
    for (index, point) in points.iter_mut().enumerate() {
        let (name, keep) = if index % 4 == 0 { ("daily", 2) } else { ("hourly", 3) };
        point.schedules = vec![(name.into(), Count::Most(NonZeroU32::new(keep).unwrap()))];
    }
    assert_eq!(kept(&Rules::default().plan(&points, &now())), [0, 1, 2, 3, 4]);
    // What nobody scheduled stays until a rule says otherwise.
    points[11].schedules.clear();
    let plan = Rules::default().plan(&points, &now());
    assert_eq!(plan.reasons[11], [Reason::NoRule]);
    assert_eq!(kept(&rules(&[(Period::Each, 1)]).plan(&points, &now())), [0, 1, 2, 3, 4]);
}

#[test]
fn a_point_counts_for_each_schedule_that_it_was_made_by() {
    let mut points = quarterly(12);
    for (index, point) in points.iter_mut().enumerate() {
        let mut names = vec!["every 6h"];
        names.extend((index % 4 == 1).then_some("daily"));
        let two = Count::Most(NonZeroU32::new(2).unwrap());
        point.schedules = names.into_iter().map(|name| (name.to_owned(), two)).collect();
    }
    let plan = Rules::default().plan(&points, &now());
    assert_eq!(kept(&plan), [0, 1, 5]);
    assert_eq!(plan.reasons[1].len(), 2, "{:?}", plan.reasons[1]);
}

#[test]
fn what_a_schedule_wants_is_what_the_policy_says_now() {
    let schedules = |texts: &[&str]| -> Vec<Schedule> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    };
    let wanted = |rules: &Rules, made_by: &str, now: &[&str]| {
        let wanted = rules.wanted(&[made_by.to_owned()], &schedules(now));
        wanted.into_iter().map(|(name, count)| format!("{name}: {count}")).collect::<Vec<_>>()
    };
    let none = Rules::default();
    assert_eq!(wanted(&none, "hourly :00", &["hourly keep 5", "daily keep 7"]), ["hourly :00: 5"]);
    // Moved to another time it is the same schedule, unless there are two of its kind.
    assert_eq!(wanted(&none, "hourly :00", &["hourly :30 keep 5"]), ["hourly :30: 5"]);
    let two = ["hourly :30 keep 5", "hourly :45 keep 9"];
    assert_eq!(wanted(&none, "hourly :00", &two), ["hourly :00: unlimited"]);
    // How often these run is all that they are.
    assert_eq!(wanted(&none, "every 6h", &["every 15m keep 5"]), ["every 6h: unlimited"]);
    let both = ["hourly :00".to_owned(), "hourly :10".to_owned()];
    assert_eq!(none.wanted(&both, &schedules(&["hourly :30 keep 5"])).len(), 1);
    // Nothing goes because a schedule went, or has no number, unless there are rules.
    assert_eq!(wanted(&none, "hourly :00", &["daily keep 5"]), ["hourly :00: unlimited"]);
    assert_eq!(wanted(&none, "hourly :00", &["hourly"]), ["hourly :00: unlimited"]);
    let rules = rules(&[(Period::Daily, 1)]);
    assert_eq!(wanted(&rules, "hourly :00", &["hourly"]), [""; 0]);
}

#[test]
fn within_counts_from_the_newest_point() {
    let points = quarterly(40);
    let within = |period, reach: &str| {
        let within = BTreeMap::from([(period, reach.parse().unwrap())]);
        kept(&Rules { within, ..Rules::default() }.plan(&points, &now()))
    };
    assert_eq!(within(Period::Each, "1d"), [0, 1, 2, 3, 4]);
    assert_eq!(within(Period::Daily, "2d"), [0, 2, 6]);
    assert_eq!(within(Period::Each, "1y").len(), 40);
}

#[test]
fn points_of_the_future_stay_and_take_the_place_of_no_other() {
    let mut points = quarterly(9);
    let one = rules(&[(Period::Each, 1)]);
    points.push(point(at("2030-01-01T00:00Z")));
    let plan = one.plan(&points, &now());
    assert_eq!(kept(&plan), [0, 9]);
    assert_eq!(plan.reasons[9], [Reason::Future]);
    assert!(plan.reasons[0].contains(&Reason::Newest), "{:?}", plan.reasons[0]);
    let within = BTreeMap::from([(Period::Each, "1d".parse().unwrap())]);
    let plan = Rules { within, ..Rules::default() }.plan(&points, &now());
    assert_eq!(kept(&plan), [0, 1, 2, 3, 4, 9]);
}

#[test]
fn nothing_goes_where_the_newest_point_is_nothing_like_those_before() {
    let rules = rules(&[(Period::Each, 1)]);
    let mut points = quarterly(9);
    assert_eq!(rules.plan(&points, &now()).alarm, None);
    points[0].bytes = 40 << 20;
    let plan = rules.plan(&points, &now());
    assert!(matches!(plan.alarm, Some(Alarm::Shrank { now, .. }) if now == 40 << 20));
    assert_eq!(kept(&plan).len(), 9);
    points[0].bytes = 100 << 20;
    points[0].changed = 90 << 20;
    let plan = rules.plan(&points, &now());
    assert!(plan.alarm.is_some_and(|alarm| alarm.to_string().contains("are new")), "{plan:?}");
    // As for the first points of an application there is nothing to compare with.
    assert_eq!(rules.plan(&points[..3], &now()).alarm, None);
}

#[test]
fn most_of_the_points_do_not_go_where_nobody_looks() {
    let points = quarterly(20);
    let plan = |count| {
        let mut plan = rules(&[(Period::Each, count)]).plan(&points, &now());
        plan.stop_if_most_go();
        plan
    };
    assert_eq!((plan(10).alarm, kept(&plan(10)).len()), (None, 10));
    assert_eq!(plan(9).alarm, Some(Alarm::Most { go: 11, of: 20 }));
    assert_eq!(kept(&plan(9)).len(), 20);
    let mut few = rules(&[(Period::Each, 1)]).plan(&points[..4], &now());
    few.stop_if_most_go();
    assert_eq!((few.alarm, kept(&few)), (None, vec![0]));
}

#[test]
fn days_are_those_of_the_zone() {
    let points = [point(at("2026-06-29T22:30:00Z")), point(at("2026-06-29T20:00:00Z"))];
    let zone = |name| now().with_time_zone(TimeZone::get(name).unwrap());
    let rules = rules(&[(Period::Daily, 1)]);
    let newest = |plan: Plan| plan.reasons[1].clone();
    assert_eq!(newest(rules.plan(&points, &zone("UTC"))), []);
    let two = Rules { counts: BTreeMap::from([(Period::Daily, Count::Unlimited)]), ..rules };
    assert_eq!(newest(two.plan(&points, &zone("UTC"))), [Reason::Oldest(Period::Daily)]);
    let berlin = two.plan(&points, &zone("Europe/Berlin"));
    assert_eq!(newest(berlin), [Reason::Count(Period::Daily)], "it was the day before there");
}

#[test]
fn texts_are_read_and_written_or_refused() {
    for text in ["1y6m2d3h", "36h", "2m", "14d"] {
        assert_eq!(text.parse::<Reach>().unwrap().to_string(), text);
    }
    for text in ["", "1", "d", "3h2d", "1w", "-1d", "99999y", "1d1d", "1 d"] {
        assert!(text.parse::<Reach>().is_err(), "{text}");
    }
    assert_eq!("unlimited".parse(), Ok(Count::Unlimited));
    assert_eq!("7".parse::<Count>().unwrap().to_string(), "7");
    for text in ["0", "-1", "", "many"] {
        assert!(text.parse::<Count>().unwrap_err().to_string().contains("above 0"), "{text}");
    }
    let rules: Rules = serde_json::from_str(
        r#"{"daily":7,"last":"unlimited","at_least":"2d","tags":["a"],"within_hourly":"1d"}"#,
    )
    .unwrap();
    assert_eq!(rules.counts.len(), 2);
    let again: Rules = serde_json::from_str(&serde_json::to_string(&rules).unwrap()).unwrap();
    assert_eq!(again, rules);
    for wrong in [r#"{"dayly":7}"#, r#"{"daily":0}"#, r#"{"within":"soon"}"#] {
        assert!(serde_json::from_str::<Rules>(wrong).is_err(), "{wrong}");
    }
}

fn any_point() -> impl Strategy<Value = Candidate> {
    // Two years, to the minute, so that some have the same hour and some the same moment.
    let taken = (0..2 * 365 * 24 * 60_i64).prop_map(|minute| 1_700_000_000 + minute * 60);
    let schedules = prop::collection::btree_set(prop::sample::select(vec!["a", "b", "c"]), 0..3);
    let three = Count::Most(NonZeroU32::new(3).unwrap());
    (taken, any::<bool>(), 0..20_u8, 0..20_u8, schedules).prop_map(
        move |(taken, flawed, held, verified, schedules)| Candidate {
            held: (held == 0).then(|| "why".to_owned()),
            verified: verified == 0,
            flawed,
            schedules: schedules.into_iter().map(|name| (name.to_owned(), three)).collect(),
            ..point(Timestamp::from_second(taken).unwrap())
        },
    )
}

fn any_count() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![9 => (1..9_u32).prop_map(Some), 1 => Just(None)]
}

/// By the words of the rules, point by point, and not by going through them in order.
fn naive(points: &[Candidate], rules: &Rules, zone: &TimeZone) -> Vec<bool> {
    let local = |point: &Candidate| point.taken.to_zoned(zone.clone());
    let name = |point: &Candidate, period| match period {
        Period::Each => String::new(),
        Period::Hourly => local(point).strftime("%Y-%m-%d %H %z").to_string(),
        Period::Daily => local(point).strftime("%Y-%m-%d").to_string(),
        Period::Weekly => local(point).strftime("%G-%V").to_string(),
        Period::Monthly => local(point).strftime("%Y-%m").to_string(),
        Period::Yearly => local(point).strftime("%Y").to_string(),
    };
    let stays = |index: usize| {
        let this = &points[index];
        let newer = |other: usize| {
            let taken = |index: usize| (points[index].taken, std::cmp::Reverse(index));
            taken(other) > taken(index)
        };
        let like: Vec<usize> =
            (0..points.len()).filter(|other| points[*other].flawed == this.flawed).collect();
        let by_count = rules.counts.iter().any(|(period, count)| {
            let own = name(this, *period);
            let before: Vec<usize> = like.iter().copied().filter(|other| newer(*other)).collect();
            let is_newest = *period == Period::Each
                || before.iter().all(|other| name(&points[*other], *period) != own);
            let names = |of: &[usize]| {
                if *period == Period::Each {
                    return of.len();
                }
                of.iter().map(|other| name(&points[*other], *period)).collect::<BTreeSet<_>>().len()
            };
            let most = match count {
                Count::Most(most) => most.get() as usize,
                Count::Unlimited => usize::MAX,
            };
            let is_oldest = before.len() + 1 == like.len();
            (is_newest && names(&before) < most) || (is_oldest && names(&like) < most)
        });
        let by_schedule = this.schedules.iter().any(|(schedule, count)| {
            let has = |other: &usize| points[*other].schedules.iter().any(|it| it.0 == *schedule);
            let newer = like.iter().filter(|other| newer(**other) && has(other)).count();
            newer < count.most()
        });
        let unasked = rules.is_empty() && this.schedules.is_empty();
        let others = |what: &dyn Fn(&Candidate) -> bool| {
            (0..points.len()).any(|other| newer(other) && what(&points[other]))
        };
        let newest = !others(&|_| true) || (!this.flawed && !others(&|other| !other.flawed));
        let verified = this.verified && !others(&|other| other.verified);
        by_count || by_schedule || unasked || newest || verified || this.held.is_some()
    };
    (0..points.len()).map(stays).collect()
}

proptest! {
    #[test]
    fn what_stays_is_what_the_rules_say(
        points in prop::collection::vec(any_point(), 1..60),
        counts in prop::collection::btree_map(0..6_usize, any_count(), 1..5),
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia"]),
    ) {
        let count = |count: Option<u32>| {
            count.map_or(Count::Unlimited, |count| Count::Most(NonZeroU32::new(count).unwrap()))
        };
        let counts = counts.into_iter().map(|(period, most)| (Period::ALL[period], count(most)));
        let rules = Rules { counts: counts.collect(), ..Rules::default() };
        let zone = TimeZone::get(zone).unwrap();
        let plan = rules.plan(&points, &now().with_time_zone(zone.clone()));
        prop_assert_eq!(plan.alarm, None);
        let stays: Vec<bool> = plan.reasons.iter().map(|reasons| !reasons.is_empty()).collect();
        prop_assert_eq!(stays, naive(&points, &rules, &zone), "{:?}", plan);
    }
}
