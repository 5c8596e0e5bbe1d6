//! A year of a large estate: 1,000 applications with 16,000 volumes in 20 time zones, through schedules,
//! queue and retention, with runs that take their time. An application is backed up as a whole, so its
//! volumes show in the sizes of its points alone: they grow from run to run, some lose one of theirs, and
//! some nearly all, which retention has to notice.

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
use scheduler::retention::{Candidate, Rules, SUSPICIOUS, judge};
use scheduler::timing::Timing;

const APPLICATIONS: usize = 1000;
const VOLUMES: usize = 16;
/// Of so many applications, these two lose nearly all of their volumes, and a single one.
const STRUCK: usize = 250;
/// When.
const LOSS: &str = "2026-12-01T00:00Z";
const LOSES_MOST: usize = 1;
const LOSES_ONE: usize = 2;
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
    volumes: [Volume; VOLUMES],
    alarms: u64,
}

/// A volume of an application, as far as its points tell.
#[derive(Clone, Copy)]
struct Volume {
    bytes: u64,
    /// What each run finds more of.
    growth: u64,
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

impl Volume {
    /// From 64 to 128 MiB, of which a thousandth comes with each run.
    fn new(number: usize) -> Self {
        let bytes = (64 << 20) + u64::try_from(number * 7919).unwrap() % 64 * (1 << 20);
        Self { bytes, growth: bytes / 1000 }
    }
}

impl Application {
    /// What the next point has, and how much of that is new: what came, and as much that was changed.
    fn sizes(&mut self) -> (u64, u64) {
        self.volumes.iter_mut().for_each(|volume| volume.bytes += volume.growth);
        let bytes = self.volumes.iter().map(|volume| volume.bytes).sum();
        let growth: u64 = self.volumes.iter().map(|volume| volume.growth).sum();
        (bytes, if self.made == 0 { bytes } else { growth * 2 })
    }

    fn lose(&mut self, volumes: usize) {
        self.volumes[..volumes].fill(Volume { bytes: 0, growth: 0 });
    }
}

impl Estate {
    fn new(from: Timestamp) -> Self {
        let application = |number: usize| {
            let timing = timing(number);
            let delay = timing.delay(&format!("application-{number}"));
            let (run, points) = (None, Vec::new());
            let volumes = std::array::from_fn(|volume| Volume::new(number * VOLUMES + volume));
            let (handled, made, missed, alarms) = (from, 0, 0, 0);
            Application { timing, delay, handled, run, made, missed, points, volumes, alarms }
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
        let (bytes, changed) = application.sizes();
        let candidate = Candidate {
            taken: now,
            tags: BTreeSet::new(),
            held: None,
            verified: false,
            flawed: false,
            schedules: rules.wanted(&schedules, &application.timing.schedules),
            bytes,
            changed,
        };
        application.points.insert(0, candidate);
        application.made += 1;
        for suspect in judge(&application.points, now).suspects {
            application.points[suspect].tags.insert(SUSPICIOUS.to_owned());
        }
        let plan =
            rules.plan(&application.points, &now.to_zoned(application.timing.zone.time_zone()));
        if plan.alarm.is_some() {
            application.alarms += 1;
            let go = plan.reasons.iter().filter(|reasons| reasons.is_empty()).count();
            assert_eq!(go, 0, "{number}: points go in spite of {:?}", plan.alarm);
        }
        let mut stays = plan.reasons.iter().map(|reasons| !reasons.is_empty());
        application.points.retain(|_| stays.next().unwrap());
        self.begin(now);
    }

    fn run_until(&mut self, until: Timestamp) {
        while let Some(Reverse((now, happens))) = self.coming.peek().copied()
            && now <= until
        {
            self.coming.pop();
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
    estate.run_until(at(LOSS));
    for (number, application) in estate.applications.iter_mut().enumerate() {
        match number % STRUCK {
            LOSES_MOST => application.lose(VOLUMES - 1),
            LOSES_ONE => application.lose(1),
            _ => {}
        }
    }
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
        assert!(stay >= least, "{number}: {stay} points");
        if number % STRUCK == LOSES_MOST {
            assert!(application.alarms > 0, "{number} lost nearly all of its volumes, unnoticed");
            let before = application.points.iter().filter(|point| point.taken < at(LOSS)).count();
            assert!(before >= least, "{number}: what was there before went");
        } else {
            assert!(stay <= most, "{number}: {stay} points");
            assert_eq!(application.alarms, 0, "{number}");
        }
        let newest = application.points[0].taken;
        let age = until.duration_since(newest);
        let old = SignedDuration::from_hours(if hourly { 3 } else { 27 });
        assert!(age < old, "{number}: the newest is {age} old");
        runs += application.made;
    }
    assert!(runs > 700_000, "{runs} runs");
    assert!(estate.most_waiting > 10, "{} waited at once", estate.most_waiting);
}
