//! Which points stay.
//!
//! The rules are restic's. Going from the newest point to the oldest, `keep-daily 7` keeps the newest
//! point of each day that has one, until seven are kept; while fewer are, the oldest of all is kept
//! too. Days are those of the given time zone, weeks begin on Monday. `keep-within 1y6m` keeps what is
//! not older than that before the newest point. Rules do not know of one another: a point stays when
//! any of them keeps it. Points that lack something are counted apart from the others, by the same
//! rules.
//!
//! Whatever the rules say, these stay: points that are held, the newest one that was verified, the newest
//! one that was accepted, those that are younger than `keep-at-least`, and the newest of all. Where a point
//! is nothing like those before it, everything stays until a person accepts it: see [`judge`]. Points of
//! the future, which a wrong clock has made, stay and take the place of no other.

mod alarm;
mod period;
mod reach;
mod written;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::written::Written;
use crate::Schedule;

pub use self::alarm::{ACCEPTED, Alarm, Judgement, SUSPICIOUS, is_reserved, judge};
pub use self::period::Period;
pub use self::reach::{ParseReachError, Reach};

/// What to keep of the points of one application. Without any rule, everything.
///
/// In a file: `{ last = 3, daily = 7, within_hourly = "2d", tags = ["release"], at_least = "1d" }`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Written", into = "Written")]
pub struct Rules {
    /// So many of the newest of each period.
    pub counts: BTreeMap<Period, Count>,
    /// The newest of each period as far back as this.
    pub within: BTreeMap<Period, Reach>,
    /// Those with one of these tags.
    pub tags: BTreeSet<String>,
    /// Nothing that is younger than this goes.
    pub at_least: Option<Reach>,
}

/// How many points a rule keeps.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "CountText", into = "CountText")]
pub enum Count {
    /// So many.
    Most(NonZeroU32),
    /// As many as there are.
    Unlimited,
}

/// A count is a number above 0, or `unlimited`.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("`{0}` is no number of points: give one above 0, or `unlimited`")]
pub struct ParseCountError(String);

/// A restore point, as far as it matters here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Candidate {
    /// When it was taken.
    pub taken: Timestamp,
    /// Its tags.
    pub tags: BTreeSet<String>,
    /// Why it must not go, if it must not.
    pub held: Option<String>,
    /// Whether all of it was read back once, or restored on trial.
    pub verified: bool,
    /// Whether something is missing in it, or its volumes need not agree.
    pub flawed: bool,
    /// The schedules that it was made by, and how many points of each are wanted: see [`Rules::wanted`].
    pub schedules: Vec<(String, Count)>,
    /// The sum of the sizes of its files.
    pub bytes: u64,
    /// How much of that was new.
    pub changed: u64,
}

/// Why a point stays.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// One of the newest of its period.
    Count(Period),
    /// The oldest there is, for fewer are kept than a rule wants.
    Oldest(Period),
    /// Within a rule's reach.
    Within(Period),
    /// It has this tag.
    Tag(String),
    /// One of the newest of its schedule.
    Schedule(String),
    /// It is held, for this.
    Held(String),
    /// The newest that was verified.
    Verified,
    /// The newest that was accepted, by which those after it are judged.
    Accepted,
    /// Too young to go.
    Young,
    /// The newest of all.
    Newest,
    /// Taken later than now: some clock was wrong.
    Future,
    /// No rule says otherwise.
    NoRule,
    /// Nothing goes for now.
    Alarm,
}

/// What becomes of the points of one application.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Plan {
    /// For each point, in the order in which they were given, why it stays; it goes where there is no
    /// reason.
    pub reasons: Vec<Vec<Reason>>,
    /// Why nothing goes for now.
    pub alarm: Option<Alarm>,
}

impl Plan {
    /// Stops a plan by which most of the points would go at once; for where nobody looks at it.
    pub fn stop_if_most_go(&mut self) {
        let (go, of) =
            (self.reasons.iter().filter(|reasons| reasons.is_empty()).count(), self.reasons.len());
        if go > GO_MIN && go > of / 2 {
            self.alarm = Some(Alarm::Most { go, of });
            self.reasons.iter_mut().for_each(|reasons| reasons.push(Reason::Alarm));
        }
    }
}

impl Rules {
    /// Whether nothing at all is asked for.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.within.is_empty() && self.tags.is_empty()
    }

    /// How many points each schedule wants that a point was made by, when the policy has these by now.
    /// A daily one that was moved to another time counts with the daily one that there is now, and so do
    /// hourly, weekly and monthly ones. Of one that is no longer there, or gives no number, all stay,
    /// unless there are rules.
    pub fn wanted(&self, made_by: &[String], schedules: &[Schedule]) -> Vec<(String, Count)> {
        let mut wanted: Vec<(String, Count)> = Vec::new();
        for name in made_by {
            let same = schedules.iter().find(|it| it.name() == *name).or_else(|| {
                let mut alike = schedules.iter().filter(|it| are_alike(&it.name(), name));
                alike.next().filter(|_| alike.next().is_none())
            });
            let count = same.and_then(Schedule::keep).map(Count::Most);
            let Some(count) = count.or_else(|| self.is_empty().then_some(Count::Unlimited)) else {
                continue;
            };
            let name = same.map_or_else(|| name.clone(), Schedule::name);
            if wanted.iter().all(|(other, _)| *other != name) {
                wanted.push((name, count));
            }
        }
        wanted
    }

    /// What becomes of points, in whatever order they come, when these are all there are of an application.
    /// `now` says what time it is, and in which zone days begin.
    pub fn plan(&self, points: &[Candidate], now: &Zoned) -> Plan {
        self.plan_in_spite_of(judge(points, now.timestamp()).alarm, points, now)
    }

    /// The same for some of the points of an application, of which all were judged.
    pub fn plan_in_spite_of(
        &self,
        alarm: Option<Alarm>,
        points: &[Candidate],
        now: &Zoned,
    ) -> Plan {
        let mut order: Vec<usize> = (0..points.len()).collect();
        order.sort_by_key(|index| std::cmp::Reverse(points.get(*index).map(|point| point.taken)));
        let in_order = order.into_iter().filter_map(|index| Some((index, points.get(index)?)));
        let (future, newest_first): (Vec<_>, Vec<_>) =
            in_order.partition(|(_, point)| point.taken > now.timestamp());
        let mut keeping =
            Keeping { reasons: vec![Vec::new(); points.len()], zone: now.time_zone() };
        for (index, _) in future {
            keeping.keep(index, Reason::Future);
        }
        if self.is_empty() && points.iter().all(|point| point.schedules.is_empty()) {
            return Plan { reasons: vec![vec![Reason::NoRule]; points.len()], alarm: None };
        }
        for flawed in [false, true] {
            let group: Vec<_> =
                newest_first.iter().copied().filter(|(_, point)| point.flawed == flawed).collect();
            self.by_rules(&group, &mut keeping);
            by_schedules(&group, &mut keeping);
        }
        if self.is_empty() {
            for (index, _) in newest_first.iter().filter(|(_, it)| it.schedules.is_empty()) {
                keeping.keep(*index, Reason::NoRule);
            }
        }
        self.in_any_case(&newest_first, now, &mut keeping);
        if alarm.is_some() {
            keeping.reasons.iter_mut().for_each(|reasons| reasons.push(Reason::Alarm));
        }
        Plan { reasons: keeping.reasons, alarm }
    }

    fn by_rules(&self, group: &[(usize, &Candidate)], keeping: &mut Keeping<'_>) {
        for (period, count) in &self.counts {
            keeping.count(group, *period, *count);
        }
        let Some((_, newest)) = group.first() else { return };
        for (period, reach) in &self.within {
            let oldest = reach.before(&newest.taken.to_zoned(keeping.zone.clone()));
            let near: Vec<_> =
                group.iter().copied().filter(|(_, point)| point.taken >= oldest).collect();
            for index in keeping.newest_of_each(&near, *period) {
                keeping.keep(index, Reason::Within(*period));
            }
        }
        for (index, point) in group {
            for tag in point.tags.intersection(&self.tags) {
                keeping.keep(*index, Reason::Tag(tag.clone()));
            }
        }
    }

    fn in_any_case(
        &self,
        newest_first: &[(usize, &Candidate)],
        now: &Zoned,
        keeping: &mut Keeping<'_>,
    ) {
        for (index, point) in newest_first {
            if let Some(why) = &point.held {
                keeping.keep(*index, Reason::Held(why.clone()));
            }
            if self.at_least.as_ref().is_some_and(|reach| point.taken >= reach.before(now)) {
                keeping.keep(*index, Reason::Young);
            }
        }
        if let Some((index, _)) = newest_first.iter().find(|(_, point)| point.verified) {
            keeping.keep(*index, Reason::Verified);
        }
        if let Some((index, _)) = newest_first.iter().find(|(_, it)| it.tags.contains(ACCEPTED)) {
            keeping.keep(*index, Reason::Accepted);
        }
        // The newest that lacks nothing, if there is one.
        let sound = newest_first.iter().find(|(_, point)| !point.flawed);
        for (index, _) in sound.into_iter().chain(newest_first.first()) {
            keeping.keep(*index, Reason::Newest);
        }
    }
}

fn by_schedules(group: &[(usize, &Candidate)], keeping: &mut Keeping<'_>) {
    let mut kept: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, point) in group {
        for (schedule, count) in &point.schedules {
            let number = kept.entry(schedule).or_default();
            *number += 1;
            if *number <= count.most() {
                keeping.keep(*index, Reason::Schedule(schedule.clone()));
            }
        }
    }
}

// The first word of a schedule says how often it runs, but for those that may run as often as they like.
fn are_alike(one: &str, other: &str) -> bool {
    let kind = |schedule: &str| schedule.split(' ').next().map(str::to_owned);
    kind(one) == kind(other) && !["every", "cron"].iter().any(|free| one.starts_with(free))
}

struct Keeping<'a> {
    reasons: Vec<Vec<Reason>>,
    zone: &'a TimeZone,
}

impl Keeping<'_> {
    fn keep(&mut self, index: usize, reason: Reason) {
        if let Some(reasons) = self.reasons.get_mut(index)
            && !reasons.contains(&reason)
        {
            reasons.push(reason);
        }
    }

    fn count(&mut self, group: &[(usize, &Candidate)], period: Period, count: Count) {
        let newest = self.newest_of_each(group, period);
        let most = count.most();
        for index in newest.iter().take(most) {
            self.keep(*index, Reason::Count(period));
        }
        if newest.len() < most
            && let Some((oldest, _)) = group.last()
            && !newest.contains(oldest)
        {
            self.keep(*oldest, Reason::Oldest(period));
        }
    }

    fn newest_of_each(&self, group: &[(usize, &Candidate)], period: Period) -> Vec<usize> {
        let mut seen = BTreeSet::new();
        let mut newest = Vec::new();
        for (number, (index, point)) in group.iter().enumerate() {
            if seen.insert(period.mark(&point.taken.to_zoned(self.zone.clone()), number)) {
                newest.push(*index);
            }
        }
        newest
    }
}

impl Count {
    fn most(self) -> usize {
        match self {
            Self::Most(most) => usize::try_from(most.get()).unwrap_or(usize::MAX),
            Self::Unlimited => usize::MAX,
        }
    }
}

impl FromStr for Count {
    type Err = ParseCountError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "unlimited" {
            return Ok(Self::Unlimited);
        }
        text.parse().map(Self::Most).map_err(|_| ParseCountError(text.to_owned()))
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Most(most) => write!(f, "{most}"),
            Self::Unlimited => f.write_str("unlimited"),
        }
    }
}

// In a file a count is a number, or the word.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum CountText {
    Number(u32),
    Word(String),
}

impl TryFrom<CountText> for Count {
    type Error = ParseCountError;

    fn try_from(text: CountText) -> Result<Self, Self::Error> {
        match text {
            CountText::Number(number) => number.to_string().parse(),
            CountText::Word(word) => word.parse(),
        }
    }
}

impl From<Count> for CountText {
    fn from(count: Count) -> Self {
        match count {
            Count::Most(most) => Self::Number(most.get()),
            Count::Unlimited => Self::Word("unlimited".to_owned()),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(Period::Each) => f.write_str("one of the last"),
            Self::Count(period) => write!(f, "{period}"),
            Self::Oldest(Period::Each) => f.write_str("the oldest"),
            Self::Oldest(period) => write!(f, "oldest {period}"),
            Self::Within(Period::Each) => f.write_str("within"),
            Self::Within(period) => write!(f, "{period} within"),
            Self::Tag(tag) => write!(f, "tag `{tag}`"),
            Self::Schedule(schedule) => write!(f, "schedule `{schedule}`"),
            Self::Held(why) => write!(f, "held: {why}"),
            Self::Verified => f.write_str("the newest that was verified"),
            Self::Accepted => f.write_str("the newest that was accepted"),
            Self::Young => f.write_str("too young"),
            Self::Newest => f.write_str("the newest"),
            Self::Future => f.write_str("of the future"),
            Self::NoRule => f.write_str("no rule"),
            Self::Alarm => f.write_str("nothing goes for now"),
        }
    }
}

/// So few may always go.
const GO_MIN: usize = 3;
