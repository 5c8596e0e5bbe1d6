//! The service with a clock that is driven.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use service::clock::Clock as _;
use service::config::Config;
use service::engine::Engine;
use service::history::{History, State};
use service::key::NewKey;
use service::serve::{Order, Setup, serve};
use service::{Happening, PointRow, Task, Zone, keys};
use tests::directory::{Directory, bytes_of};
use tests::driven::DrivenClock;
use tests::http::{self, value};
use tests::lab;
use tests::machine::machine;
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::JoinSet;

use super::{Application, configuration};

/// What gives each point something of its own that does not compress.
const NOISE: &str =
    "date >> /data/log; head -c 262144 /dev/urandom > /data/new; mv /data/new /data/noise";

/// A machine with a service whose clock we have.
pub(super) struct Served {
    pub(super) directory: Directory,
    pub(super) clock: Arc<DrivenClock>,
    pub(super) setup: Setup,
    serving: JoinSet<()>,
    orders: Option<Sender<Order>>,
}

impl Served {
    pub(super) async fn new(policies: &str, rate: u32) -> Self {
        let directory = Directory::new();
        let file = directory.join("config.toml");
        fs::write(&file, configuration(directory.path(), policies)).unwrap();
        let config = Config::read(&file).unwrap();
        let clock = Arc::new(DrivenClock::new(at("2026-03-01T00:00:30Z"), rate));
        let repository = &config.repositories["main"];
        let location = repository.url.parse().unwrap();
        keys::init(&location, &NewKey::File(directory.join("key")), false).await.unwrap();
        let machine = machine(directory.path(), Arc::<DrivenClock>::clone(&clock));
        let repository = Some((location, repository.key().unwrap()));
        let socket = directory.join("stillpoint.sock");
        let here = Zone::UTC;
        let setup = Setup { config, machine, cache_dir: None, repository, socket, here };
        Self { directory, clock, setup, serving: JoinSet::new(), orders: None }
    }

    pub(super) fn start(&mut self) {
        let (orders, inbox) = channel(1);
        let setup = self.setup.clone();
        self.serving.spawn(async move { serve(setup, inbox).await.unwrap() });
        self.orders = Some(orders);
    }

    pub(super) async fn stop(&mut self) {
        let orders = self.orders.take().unwrap();
        orders.send(Order::Stop(Duration::from_mins(1))).await.unwrap();
        self.serving.join_next().await.unwrap().unwrap();
    }

    async fn reload(&mut self, policies: &str) {
        let file = self.directory.join("config.toml");
        fs::write(&file, configuration(self.directory.path(), policies)).unwrap();
        self.setup.config = Config::read(&file).unwrap();
        let order = Order::Reload(Box::new(self.setup.clone()));
        self.orders.as_ref().unwrap().send(order).await.unwrap();
    }

    pub(super) async fn wait_for(&self, moment: Timestamp) {
        while self.clock.now() < moment {
            tokio::time::sleep(self.clock.until(moment)).await;
        }
    }

    async fn metrics(&self) -> String {
        let socket = self.setup.socket.clone();
        let asked = tokio::task::spawn_blocking(move || http::get(&socket, "/metrics"));
        let (status, metrics) = asked.await.unwrap().unwrap();
        assert_eq!(status, 200, "{metrics}");
        metrics
    }

    pub(super) async fn history(&self) -> History {
        self.setup.machine.history(10_000).await.unwrap()
    }

    pub(super) async fn points(&self) -> Vec<PointRow> {
        let (location, key) = self.setup.repository.clone().unwrap();
        let (key, machine) = (key.read().unwrap(), self.setup.machine.clone());
        let settings = service::engine::Settings { location, key, cache_dir: None, machine };
        let engine = Engine::open(settings).await.unwrap();
        let points = engine.points(None).await.unwrap();
        engine.close().await;
        points
    }
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// When the points of a policy were due, the first first.
fn dues(points: &[PointRow], policy: &str) -> Vec<Timestamp> {
    let occasions = points.iter().filter_map(|point| point.occasion.as_ref());
    let mut dues: Vec<_> = occasions.filter(|it| it.policy == policy).map(|it| it.due).collect();
    dues.sort_unstable();
    dues
}

/// How often a policy missed a run, and when the last of these was due.
fn all_missed(history: &History, policy: &str) -> (u64, Option<Timestamp>) {
    let events = history.events.iter().filter(|event| event.policy.as_deref() == Some(policy));
    let missed = events.filter_map(|event| match event.happening {
        Happening::Missed { count, last, .. } => Some((count, last)),
        _ => None,
    });
    missed.fold((0, None), |(sum, newest), (count, last)| (sum + count, newest.max(Some(last))))
}

fn missed(history: &History, policy: &str) -> u64 {
    all_missed(history, policy).0
}

// They were asked for just before the service was stopped.
fn assert_metrics(metrics: &str, history: &History) {
    let count = |name: &str, labels: &[(&str, &str)]| value(metrics, name, labels).unwrap_or(0.0);
    let near = |counted: f64, recorded: u64, what: &str| {
        let recorded = u32::try_from(recorded).unwrap();
        let difference = f64::from(recorded) - counted;
        assert!((0.0..=2.0).contains(&difference), "{what}: {counted} and {recorded}\n{metrics}");
    };
    let of = |task: Task| {
        history.runs.iter().filter(move |run| run.row.task == task && run.row.end.is_some())
    };
    for task in [Task::Backup, Task::Prune, Task::Check, Task::Verify] {
        let labels = [("task", task.name()), ("outcome", "succeeded")];
        near(count("stillpoint_runs_total", &labels), of(task).count() as u64, task.name());
    }
    for name in ["stillpoint_run_duration_seconds_count", "stillpoint_run_duration_seconds_sum"] {
        assert!(count(name, &[("task", "backup")]) > 10.0, "{name}\n{metrics}");
    }
    let freezes = count("stillpoint_freeze_duration_seconds_count", &[]);
    near(freezes, of(Task::Backup).count() as u64, "freezes");
    near(
        count("stillpoint_runs_missed_total", &[("policy", "often")]),
        missed(history, "often"),
        "missed",
    );
    let forgotten = history.events.iter().filter_map(|event| match event.happening {
        Happening::Forgotten { count } => Some(count),
        _ => None,
    });
    near(count("stillpoint_points_forgotten_total", &[]), forgotten.sum(), "forgotten");
    for name in ["pruned", "backup_scanned", "backup_read", "backup_stored", "backup_sent"] {
        let name = format!("stillpoint_{name}_bytes_total");
        assert!(count(&name, &[]) > 0.0, "{name}\n{metrics}");
    }
    let nightly = [("task", "backup"), ("policy", "nightly")];
    let [due, succeeded] =
        ["stillpoint_last_due_timestamp_seconds", "stillpoint_last_success_timestamp_seconds"]
            .map(|name| count(name, &nightly));
    let last = at("2026-03-03T02:00Z").as_second();
    assert_eq!(due.to_string(), last.to_string(), "{metrics}");
    assert!(succeeded >= due && succeeded < due + 43200.0, "{metrics}");
    let newest = count("stillpoint_newest_point_timestamp_seconds", &[]);
    assert!(newest >= due, "{metrics}");
}

// Much of what was sent belonged to points that are no more; how much depends on the runs that were missed.
fn assert_given_back(repository: &Path, metrics: &str, history: &History) {
    let given_back = history.events.iter().filter_map(|event| match event.happening {
        Happening::Pruned { bytes, .. } => Some(bytes),
        _ => None,
    });
    let given_back = given_back.sum::<u64>();
    assert!(given_back > 0, "{:?}", history.events);
    let sent = value(metrics, "stillpoint_backup_sent_bytes_total", &[]).unwrap();
    let left = u32::try_from(bytes_of(repository)).unwrap();
    println!("{sent} bytes were sent, {given_back} given back, and {left} are left");
    assert!(f64::from(left) < sent * 0.9, "{left} of {sent} bytes, {given_back} given back");
}

// A run may take longer than an hour of that clock: the next is missed then, and that is recorded.
#[tokio::test(flavor = "multi_thread")]
async fn three_days_leave_the_points_that_the_policies_want_and_no_more_space() {
    let application = Application::with(&lab::btrfs(), "often,nightly", NOISE);
    let policies = "[policies.often]\nschedules = [\"hourly keep 6\"]\n\
        [policies.nightly]\nschedules = ['daily \"02:00\"']\nkeep = { daily = 2 }\n\
        [policies.tidy]\ntask = \"prune\"\nschedules = [\"every 6h\"]\n\
        [policies.proof]\ntask = \"check\"\nschedules = [\"daily\"]\nread_data_within = \"2d\"\n\
        [policies.trust]\ntask = \"verify\"\nschedules = [\"daily 12:00\"]\n";
    let mut served = Served::new(policies, 2000).await;
    served.start();
    served.wait_for(at("2026-03-04T00:30:00Z")).await;
    let metrics = served.metrics().await;
    served.stop().await;
    let (points, history) = (served.points().await, served.history().await);
    assert!(points.iter().all(|point| point.application == application.name));
    assert_eq!(dues(&points, "nightly"), [at("2026-03-02T02:00Z"), at("2026-03-03T02:00Z")]);
    // The last six, and the newest that was verified, which may be older.
    let is_of_count = |point: &&PointRow| point.annotations.verified.is_none();
    let counted: Vec<_> = points.iter().filter(is_of_count).cloned().collect();
    let hourly = dues(&counted, "often");
    assert!([5, 6].contains(&hourly.len()), "{hourly:?}");
    assert!(dues(&points, "often").len() <= 7, "{points:?}");
    assert!(*hourly.first().unwrap() >= at("2026-03-03T12:00Z"), "{hourly:?}");
    // Each hour has a run, or is recorded as missed.
    let runs: Vec<_> = history.runs.iter().filter_map(|run| run.row.occasion.as_ref()).collect();
    let hours: BTreeSet<_> =
        runs.iter().filter(|it| it.policy == "often").map(|it| it.due).collect();
    let (missed, last_missed) = all_missed(&history, "often");
    let last = hours.last().copied().max(last_missed).unwrap();
    let last = last.duration_since(at("2026-03-01T00:00Z")).as_hours();
    let counted = hours.len() as u64 + missed;
    assert_eq!(counted, u64::try_from(last).unwrap());
    assert!(hours.len() > 20, "{} of {last} hours had a run", hours.len());
    // One that still waited when the service was stopped waits for the next.
    for run in history.runs.iter().filter(|run| run.state != State::Waits) {
        let end = run.row.end.as_ref().unwrap();
        assert_eq!(end.outcome, service::RunOutcome::Succeeded, "{run:?}");
    }
    assert!(history.events.iter().any(|it| matches!(it.happening, Happening::Forgotten { .. })));
    assert_given_back(&served.directory.join("repository"), &metrics, &history);
    assert!(history.events.iter().any(|it| it.happening == Happening::Verified { points: 1 }));
    assert!(points.iter().any(|point| point.annotations.verified.is_some()), "{points:?}");
    for task in [Task::Prune, Task::Check, Task::Verify] {
        assert!(history.runs.iter().any(|run| run.row.task == task), "{}", task.name());
    }
    assert!(!application.is_frozen());
    assert_metrics(&metrics, &history);
    drop(served.directory);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_doubles_nothing_and_skips_nothing_in_silence() {
    let _application = Application::start("often");
    let mut served = Served::new("[policies.often]\nschedules = [\"hourly\"]\n", 1500).await;
    served.start();
    served.wait_for(at("2026-03-01T04:30:00Z")).await;
    served.clock.set_by(SignedDuration::from_hours(-24));
    served.wait_for(at("2026-02-28T07:30:00Z")).await;
    served.clock.set_by(SignedDuration::from_hours(48));
    served.wait_for(at("2026-03-02T09:30:00Z")).await;
    served.stop().await;
    let history = served.history().await;
    let points = served.points().await;
    let dues = dues(&points, "often");
    let distinct: BTreeSet<_> = dues.iter().copied().collect();
    assert_eq!(distinct.len(), dues.len(), "{dues:?}");
    let ended = history.runs.iter().filter(|run| run.state == State::Ended);
    assert_eq!(points.len(), ended.count());
    // The hours before, between and after.
    let hours = |from: &str, to: &str| distinct.range(at(from)..at(to)).count() as u64;
    assert!(hours("2026-03-01T01:00Z", "2026-03-01T05:00Z") >= 2, "{dues:?}");
    assert!(hours("2026-02-28T05:00Z", "2026-02-28T08:00Z") >= 1, "{dues:?}");
    assert!(hours("2026-03-02T07:00Z", "2026-03-02T10:00Z") >= 1, "{dues:?}");
    let went_back =
        history.events.iter().filter(|it| matches!(it.happening, Happening::ClockWentBack { .. }));
    assert_eq!(went_back.count(), 1, "{:?}", history.events);
    // From when it was set back on, every hour once.
    let runs = history.runs.iter().filter_map(|run| run.row.occasion.as_ref());
    let runs: BTreeSet<_> = runs.map(|occasion| occasion.due).collect();
    let (missed, last_missed) = all_missed(&history, "often");
    let last = runs.last().copied().max(last_missed).unwrap();
    let last = last.duration_since(at("2026-02-28T04:00Z")).as_hours();
    assert_eq!(runs.len() as u64 + missed, u64::try_from(last).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_is_waited_for_and_so_is_the_end_of_a_blackout() {
    let _application = Application::start("often");
    let policies = "[policies.often]\nschedules = [\"every 1m\", \"every 2m\"]\n";
    let mut served = Served::new(policies, 20).await;
    let points = served.directory.join("repository/out");
    fs::write(&points, "no directory").unwrap();
    served.start();
    let is_put_off = |event: &service::Event| matches!(event.happening, Happening::PutOff { .. });
    while !served.history().await.events.iter().any(is_put_off) {
        assert!(served.clock.now() < at("2026-03-01T00:10Z"), "it was not put off");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    served.reload(&format!("{policies}blackouts = [\"00:00-00:20\"]\n")).await;
    // From when it has been read again nothing begins.
    let is_read = |event: &service::Event| matches!(event.happening, Happening::Reloaded);
    let is_waiting = |history: &History| {
        history.events.iter().any(is_read)
            && history.runs.iter().all(|run| run.state == State::Waits)
    };
    while !is_waiting(&served.history().await) {
        assert!(served.clock.now() < at("2026-03-01T00:20Z"), "it was not read again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    fs::remove_file(&points).unwrap();
    let first_end = async || served.history().await.runs.last().unwrap().row.end.clone();
    while first_end().await.is_none() {
        assert!(served.clock.now() < at("2026-03-01T01:30Z"), "the run does not end");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    served.stop().await;
    let history = served.history().await;
    let first = history.runs.last().unwrap();
    let end = first.row.end.as_ref().unwrap();
    assert_eq!(end.outcome, service::RunOutcome::Succeeded, "{history:?}");
    assert!(first.row.attempts > 1, "{first:?}");
    assert!(first.row.start.unwrap().started >= at("2026-03-01T00:20Z"), "{first:?}");
    // While it waited it came to stand for the moments that followed.
    let occasion = first.row.occasion.as_ref().unwrap();
    assert_eq!(occasion.due, at("2026-03-01T00:01Z"));
    assert_eq!(occasion.schedules, ["every 1m", "every 2m"]);
    assert!(missed(&history, "often") > 0, "{history:?}");
    let point = &served.points().await[0];
    assert_eq!(point.occasion.as_ref(), Some(occasion));
    assert!(
        point.taken >= at("2026-03-01T00:20Z"),
        "the snapshot of a moment that is over: {point:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_changed_runs_when_it_says_from_then_on() {
    let _application = Application::start("moved");
    let policy = |schedule: &str| format!("[policies.moved]\nschedules = ['{schedule}']\n");
    let mut served = Served::new(&policy("monthly 1@00:15"), 1000).await;
    served.start();
    served.wait_for(at("2026-03-01T03:30:00Z")).await;
    served.reload(&policy("daily \"02:00\"")).await;
    served.wait_for(at("2026-03-01T04:30:00Z")).await;
    served.reload(&policy("daily \"05:00\"")).await;
    served.wait_for(at("2026-03-01T06:30:00Z")).await;
    served.stop().await;
    let (points, history) = (served.points().await, served.history().await);
    assert_eq!(dues(&points, "moved"), [at("2026-03-01T00:15Z"), at("2026-03-01T05:00Z")]);
    assert_eq!(missed(&history, "moved"), 0, "{:?}", history.events);
}
