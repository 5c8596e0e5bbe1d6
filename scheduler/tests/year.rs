//! A year of a large estate: 1,000 applications in 20 time zones, through schedules, queue and retention,
//! with runs that take their time. How many volumes an application has makes no difference here: it is
//! backed up as a whole.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use scheduler::queue::{Limits, Priority, Queue, Ticket};
use scheduler::retention::{Candidate, Rules};
use scheduler::timing::Timing;

const APPLICATIONS: usize = 1000;
/// Every so manieth application is backed up by the hour.
const HOURLY: usize = 20;
const ZONES: [&str; 20] = [
    "UTC",
    "Europe/Berlin",
    "Europe/London",
    "Europe/Moscow",
    "America/New_York",
    "America/Los_Angeles",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Santiago",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "Asia/Tehran",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Australia/Lord_Howe",
    "Australia/Adelaide",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Apia",
];

/// One application under one policy.
struct Application {
    timing: Timing,
    delay: Duration,
    handled: Timestamp,
    /// The schedules that its run stands for, while one waits or goes on.
    run: Option<Vec<String>>,
    made: u64,
    missed: u64,
    points: Vec<Candidate>,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Happens {
    /// Its run ends.
    End(usize),
    /// Something of it may be due.
    Look(usize),
}

struct Estate {
    applications: Vec<Application>,
    queue: Queue<usize>,
    coming: BinaryHeap<Reverse<(Timestamp, Happens)>>,
    going_on: BTreeSet<usize>,
    most_waiting: usize,
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn timing(number: usize) -> Timing {
    let schedules: &[&str] = if number.is_multiple_of(HOURLY) {
        &["hourly keep 24", "daily 02:00 keep 7"]
    } else {
        &["daily 02:00 keep 7", "weekly sunday@02:00 keep 4", "monthly 31@02:00 keep 12"]
    };
    Timing {
        schedules: schedules.iter().map(|text| text.parse().unwrap()).collect(),
        zone: ZONES[number % ZONES.len()].parse().unwrap(),
        jitter: Duration::from_hours(1),
        blackouts: Vec::new(),
        catch_up: true,
    }
}

impl Estate {
    fn new(from: Timestamp) -> Self {
        let application = |number: usize| {
            let timing = timing(number);
            let delay = timing.delay(&format!("application-{number}"));
            let (run, points) = (None, Vec::new());
            Application { timing, delay, handled: from, run, made: 0, missed: 0, points }
        };
        let limits =
            Limits { runs: 8, per_repository: 8, upkeep: 1, overtaken: 100, waiting: APPLICATIONS };
        Self {
            applications: (0..APPLICATIONS).map(application).collect(),
            queue: Queue::new(limits),
            coming: (0..APPLICATIONS).map(|it| Reverse((from, Happens::Look(it)))).collect(),
            going_on: BTreeSet::new(),
            most_waiting: 0,
        }
    }

    fn look(&mut self, number: usize, now: Timestamp) {
        let application = &mut self.applications[number];
        let looked = (application.handled, &BTreeSet::new());
        let mut due = application.timing.due(looked, now, application.delay);
        application.handled = due.handled.unwrap_or(application.handled);
        if application.run.is_some() {
            // Its run stands for this one.
            due.give_up();
        }
        application.missed += due.missed.map_or(0, |missed| missed.count);
        if let Some(slot) = due.run {
            application.run = Some(slot.schedules.iter().map(scheduler::Schedule::name).collect());
            let (priority, repository) = (Priority::Scheduled, "main".to_owned());
            let subject = Some(format!("application-{number}"));
            let (is_upkeep, alone) = (false, false);
            let ticket = Ticket { id: number, priority, is_upkeep, subject, repository, alone };
            self.queue.add(ticket).expect("each application waits once");
            self.most_waiting = self.most_waiting.max(self.queue.waiting().len());
        }
        self.coming.push(Reverse((due.next.unwrap(), Happens::Look(number))));
        self.begin(now);
    }

    fn begin(&mut self, now: Timestamp) {
        while let Some(Ticket { id, .. }) = self.queue.begin(|_| true) {
            assert!(self.going_on.insert(id), "two runs of one application at once");
            // From one to five minutes.
            let seconds = 60 + (id * 7919 + usize::try_from(now.as_second()).unwrap()) % 240;
            let end = now + SignedDuration::from_secs(seconds.try_into().unwrap());
            self.coming.push(Reverse((end, Happens::End(id))));
        }
    }

    fn end(&mut self, number: usize, now: Timestamp) {
        self.queue.end(&number);
        self.going_on.remove(&number);
        let application = &mut self.applications[number];
        let rules = Rules::default();
        let schedules = application.run.take().unwrap();
        let candidate = Candidate {
            taken: now,
            tags: BTreeSet::new(),
            held: None,
            verified: false,
            flawed: false,
            schedules: rules.wanted(&schedules, &application.timing.schedules),
            bytes: 1000,
            changed: 10,
        };
        application.points.insert(0, candidate);
        application.made += 1;
        let plan =
            rules.plan(&application.points, &now.to_zoned(application.timing.zone.time_zone()));
        let mut stays = plan.reasons.iter().map(|reasons| !reasons.is_empty());
        application.points.retain(|_| stays.next().unwrap());
        self.begin(now);
    }

    fn run_until(&mut self, until: Timestamp) {
        while let Some(Reverse((now, happens))) = self.coming.pop()
            && now <= until
        {
            match happens {
                Happens::Look(number) => self.look(number, now),
                Happens::End(number) => self.end(number, now),
            }
        }
    }
}

#[test]
fn every_slot_has_a_run_or_is_missed_and_what_stays_is_what_is_wanted() {
    let (from, until) = (at("2026-01-01T00:00Z"), at("2027-01-01T00:00Z"));
    let mut estate = Estate::new(from);
    estate.run_until(until);
    let mut runs = 0;
    for (number, application) in estate.applications.iter().enumerate() {
        let slots = application.timing.slots(from);
        let slots = slots.take_while(|slot| slot.at <= application.handled).count() as u64;
        let pending = u64::from(application.run.is_some());
        assert_eq!(application.made + application.missed + pending, slots, "{number}");
        let hourly = number.is_multiple_of(HOURLY);
        // What counts for two schedules is one point, and the weekly and monthly ones may be among those
        // of the last days.
        let (least, most) = if hourly { (24, 31) } else { (7, 23) };
        let stay = application.points.len();
        assert!((least..=most).contains(&stay), "{number}: {stay} points");
        let newest = application.points[0].taken;
        let age = until.duration_since(newest);
        let old = SignedDuration::from_hours(if hourly { 3 } else { 27 });
        assert!(age < old, "{number}: the newest is {age} old");
        runs += application.made;
    }
    assert!(runs > 700_000, "{runs} runs");
    assert!(estate.most_waiting > 10, "{} waited at once", estate.most_waiting);
}
