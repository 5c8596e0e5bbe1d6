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

// Two years, to the minute, so that some have the same hour and some the same moment; half of them at
// the same time of day in the last months, so that some are just as old as a rule reaches.
fn any_moment() -> impl Strategy<Value = Timestamp> {
    let ago = prop_oneof![0..2 * 365 * 24 * 60_i64, (0..120_i64).prop_map(|day| day * 24 * 60)];
    ago.prop_map(|minutes: i64| now().timestamp().checked_sub(minutes.minutes()).unwrap())
}

fn any_tags() -> impl Strategy<Value = BTreeSet<String>> {
    let some = prop::collection::btree_set(prop::sample::select(vec!["x", "y", "z"]), 1..3);
    let some = some.prop_map(|tags| tags.into_iter().map(str::to_owned).collect());
    prop_oneof![7 => Just(BTreeSet::new()), 1 => some]
}

fn any_point() -> impl Strategy<Value = Candidate> {
    let schedules = prop::collection::btree_set(prop::sample::select(vec!["a", "b", "c"]), 0..3);
    let three = Count::Most(NonZeroU32::new(3).unwrap());
    (any_moment(), any::<bool>(), 0..20_u8, 0..20_u8, schedules, any_tags()).prop_map(
        move |(taken, flawed, held, verified, schedules, tags)| Candidate {
            held: (held == 0).then(|| "why".to_owned()),
            verified: verified == 0,
            flawed,
            schedules: schedules.into_iter().map(|name| (name.to_owned(), three)).collect(),
            tags,
            ..point(taken)
        },
    )
}

fn any_now() -> impl Strategy<Value = Zoned> {
    let zones = vec!["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia"];
    // Once in a while most of the points are of the future.
    let moment = prop_oneof![3 => Just(now().timestamp()), 1 => any_moment()];
    let zone = prop::sample::select(zones).prop_map(|zone| TimeZone::get(zone).unwrap());
    (moment, zone).prop_map(|(now, zone)| now.to_zoned(zone))
}

/// Years, months, days and hours.
type Length = (i16, i16, i64, i64);

/// Rules in words that need nothing of what is tested.
#[derive(Clone, Debug)]
struct Asked {
    counts: BTreeMap<Period, Option<u32>>,
    within: BTreeMap<Period, Length>,
    tags: BTreeSet<String>,
    at_least: Option<Length>,
}

fn any_rules() -> impl Strategy<Value = Asked> {
    let period = || prop::sample::select(Period::ALL.to_vec());
    let count = prop_oneof![9 => (1..9_u32).prop_map(Some), 1 => Just(None)];
    let length = || {
        let parts = prop_oneof![
            (0..2_i16, 0..8_i16, 0..40_i64, 0..30_i64),
            (Just(0), 0..8_i16, Just(0), Just(0)),
            (Just(0), Just(0), 0..99_i64, Just(0)),
        ];
        parts.prop_filter("it has no length", |length| *length != (0, 0, 0, 0))
    };
    let counts = prop::collection::btree_map(period(), count, 0..4);
    let within = prop::collection::btree_map(period(), length(), 0..3);
    (counts, within, any_tags(), prop::option::of(length()))
        .prop_map(|(counts, within, tags, at_least)| Asked { counts, within, tags, at_least })
}

impl Asked {
    fn rules(&self) -> Rules {
        let most = |most| Count::Most(NonZeroU32::new(most).unwrap());
        let count = |count: Option<u32>| count.map_or(Count::Unlimited, most);
        let reach = |(years, months, days, hours): Length| -> Reach {
            let parts = [(i64::from(years), 'y'), (months.into(), 'm'), (days, 'd'), (hours, 'h')];
            let parts = parts.iter().filter(|(number, _)| *number > 0);
            let parts: Vec<_> = parts.map(|(number, unit)| format!("{number}{unit}")).collect();
            parts.concat().parse().unwrap()
        };
        Rules {
            counts: self.counts.iter().map(|(period, most)| (*period, count(*most))).collect(),
            within: self.within.iter().map(|(period, length)| (*period, reach(*length))).collect(),
            tags: self.tags.clone(),
            at_least: self.at_least.map(reach),
        }
    }
}

/// So long before a moment: by the calendar, in which a day that a month lacks is its last, then by hours.
fn back(moment: &Zoned, (years, months, days, hours): Length) -> Timestamp {
    let mut before = moment.timestamp();
    if (years, months, days) != (0, 0, 0) {
        let month = (moment.year() - years) * 12 + i16::from(moment.month()) - 1 - months;
        let first = jiff::civil::date(month / 12, i8::try_from(month % 12 + 1).unwrap(), 1);
        let day = i64::from(moment.day().min(first.days_in_month())) - 1;
        let date = first.checked_add((day - days).days()).unwrap();
        let zone = moment.time_zone().clone();
        before = date.to_datetime(moment.time()).to_zoned(zone).unwrap().timestamp();
    }
    before.checked_sub(hours.hours()).unwrap()
}

/// By the words of the rules, point by point, and not by going through them in order.
struct Naive<'a> {
    points: &'a [Candidate],
    asked: &'a Asked,
    now: &'a Zoned,
    /// In which hour, day, week, month and year each point was taken.
    periods: BTreeMap<Period, Vec<String>>,
}

impl<'a> Naive<'a> {
    fn new(points: &'a [Candidate], asked: &'a Asked, now: &'a Zoned) -> Self {
        let named = |(period, form): (Period, &str)| {
            let names = points.iter().enumerate().map(|(index, it)| match period {
                Period::Each => index.to_string(),
                _ => it.taken.to_zoned(now.time_zone().clone()).strftime(form).to_string(),
            });
            (period, names.collect())
        };
        let forms = ["", "%Y-%m-%d %H %z", "%Y-%m-%d", "%G-%V", "%Y-%m", "%Y"];
        let periods = Period::ALL.into_iter().zip(forms).map(named).collect();
        Self { points, asked, now, periods }
    }

    fn stays(&self, index: usize) -> bool {
        let (this, asked) = (&self.points[index], self.asked);
        let young = asked.at_least.is_some_and(|reach| this.taken >= back(self.now, reach));
        let no_rules = asked.counts.is_empty() && asked.within.is_empty() && asked.tags.is_empty();
        self.is_future(index)
            || (no_rules && this.schedules.is_empty())
            || young
            || this.held.is_some()
            || !this.tags.is_disjoint(&asked.tags)
            || asked.counts.iter().any(|(period, most)| self.by_count(index, *period, *most))
            || asked.within.iter().any(|(period, reach)| self.by_reach(index, *period, *reach))
            || self.by_schedule(index)
            || self.in_any_case(index)
    }

    fn is_future(&self, index: usize) -> bool {
        self.points[index].taken > self.now.timestamp()
    }

    // Taken later than this, and not later than now; of the same moment, the first that was given is newer.
    fn newer(&self, index: usize) -> impl Iterator<Item = usize> {
        let taken = |index: usize| (self.points[index].taken, std::cmp::Reverse(index));
        (0..self.points.len()).filter(move |it| !self.is_future(*it) && taken(*it) > taken(index))
    }

    // Those that lack something, or those that lack nothing, as this one does.
    fn alike(&self, index: usize) -> impl Fn(&usize) -> bool {
        move |other| {
            self.points[*other].flawed == self.points[index].flawed && !self.is_future(*other)
        }
    }

    fn by_count(&self, index: usize, period: Period, most: Option<u32>) -> bool {
        let names = &self.periods[&period];
        let before: Vec<usize> = self.newer(index).filter(self.alike(index)).collect();
        let like: Vec<usize> = (0..self.points.len()).filter(self.alike(index)).collect();
        let [newer, all] =
            [&before, &like].map(|of| of.iter().map(|it| &names[*it]).collect::<BTreeSet<_>>());
        let most = most.map_or(usize::MAX, |most| most.try_into().unwrap());
        let is_oldest = before.len() + 1 == like.len();
        (!newer.contains(&names[index]) && newer.len() < most) || (is_oldest && all.len() < most)
    }

    fn by_reach(&self, index: usize, period: Period, reach: Length) -> bool {
        let names = &self.periods[&period];
        let like = (0..self.points.len()).filter(self.alike(index));
        let newest = like.map(|it| self.points[it].taken).max().unwrap();
        let limit = back(&newest.to_zoned(self.now.time_zone().clone()), reach);
        let mut newer = self.newer(index).filter(self.alike(index));
        self.points[index].taken >= limit && newer.all(|it| names[it] != names[index])
    }

    fn by_schedule(&self, index: usize) -> bool {
        self.points[index].schedules.iter().any(|(schedule, count)| {
            let has = |it: &usize| self.points[*it].schedules.iter().any(|it| it.0 == *schedule);
            let newer = self.newer(index).filter(self.alike(index)).filter(has).count();
            newer < count.most()
        })
    }

    fn in_any_case(&self, index: usize) -> bool {
        let this = &self.points[index];
        let none = |is: fn(&Candidate) -> bool| !self.newer(index).any(|it| is(&self.points[it]));
        let (newest, newest_sound) = (none(|_| true), !this.flawed && none(|it| !it.flawed));
        newest || newest_sound || (this.verified && none(|it| it.verified))
    }
}

// Whether it is true of a point that it stays for this.
fn holds(reason: &Reason, this: &Candidate, asked: &Asked, now: &Zoned) -> bool {
    match reason {
        Reason::Count(period) | Reason::Oldest(period) => asked.counts.contains_key(period),
        Reason::Within(period) => asked.within.contains_key(period),
        Reason::Tag(tag) => this.tags.contains(tag) && asked.tags.contains(tag),
        Reason::Schedule(schedule) => this.schedules.iter().any(|(it, _)| it == schedule),
        Reason::Held(why) => this.held.as_ref() == Some(why),
        Reason::Verified => this.verified,
        Reason::Young => asked.at_least.is_some_and(|reach| this.taken >= back(now, reach)),
        Reason::Newest => this.taken <= now.timestamp(),
        Reason::Future => this.taken > now.timestamp(),
        Reason::NoRule => asked.rules().is_empty() && this.schedules.is_empty(),
        _ => false, // Nothing here is alarming.
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]
    #[test]
    fn what_stays_is_what_the_rules_say(
        points in prop::collection::vec(any_point(), 1..60),
        asked in any_rules(),
        now in any_now(),
    ) {
        let plan = asked.rules().plan(&points, &now);
        prop_assert_eq!(plan.alarm, None);
        let naive = Naive::new(&points, &asked, &now);
        let expected: Vec<usize> = (0..points.len()).filter(|index| naive.stays(*index)).collect();
        prop_assert_eq!(kept(&plan), expected, "{:?}", plan);
        for (reasons, this) in plan.reasons.iter().zip(&points) {
            let wrong = reasons.iter().find(|reason| !holds(reason, this, &asked, &now));
            prop_assert_eq!(wrong, None, "{:?}", this);
        }
    }

    #[test]
    fn what_must_not_go_stays_whatever_the_rules_say(
        points in prop::collection::vec(any_point(), 1..60),
        asked in any_rules(),
        now in any_now(),
    ) {
        let rules = asked.rules();
        let stays = kept(&rules.plan(&points, &now));
        prop_assert!(!stays.is_empty());
        let past = |it: &Candidate| it.taken <= now.timestamp();
        let newest = |what: &dyn Fn(&Candidate) -> bool| {
            let like = (0..points.len()).filter(|it| past(&points[*it]) && what(&points[*it]));
            like.max_by_key(|it| (points[*it].taken, std::cmp::Reverse(*it)))
        };
        let newest = [newest(&|_| true), newest(&|it| !it.flawed), newest(&|it| it.verified)];
        let always = |it: &usize| points[*it].held.is_some() || !past(&points[*it]);
        for index in newest.into_iter().flatten().chain((0..points.len()).filter(always)) {
            prop_assert!(stays.contains(&index), "{}: {:?}", index, points[index]);
        }
        // Asked again, what stayed stays.
        let left: Vec<Candidate> = stays.iter().map(|index| points[*index].clone()).collect();
        prop_assert_eq!(kept(&rules.plan(&left, &now)).len(), left.len());
    }
}
