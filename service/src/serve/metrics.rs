//! What the service counts, in the text form of `OpenMetrics`, which Prometheus reads.
//!
//! Counters begin with the process, as usual. What must outlive it, such as when a policy last had its way,
//! comes from the catalog.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};

use catalog::{ApplicationRow, Event, Happening, JobName, RunOutcome, RunRow, Standing, Task};
use jiff::{SignedDuration, Timestamp};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::backup::BackupReport;

/// What a series is about. What is for a repository as a whole has an empty application.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Job {
    task: &'static str,
    application: String,
    policy: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Ended {
    task: &'static str,
    application: String,
    policy: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Application {
    application: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OfTask {
    task: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Policy {
    application: String,
    policy: String,
}

type Histograms<S> = Family<S, Histogram, fn() -> Histogram>;

/// What the service counts.
pub(super) struct Metrics {
    registry: Registry,
    bytes: [(Kind, Family<Application, Counter>); 5],
    freezes: Histograms<Application>,
    durations: Histograms<OfTask>,
    ended: Family<Ended, Counter>,
    put_off: Family<Policy, Counter>,
    missed: Family<Policy, Counter>,
    forgotten: Family<Policy, Counter>,
    not_forgotten: Family<Policy, Counter>,
    alarms: Family<Policy, Counter>,
    given_back: Counter,
    verified: Counter,
    going_on: Gauge,
    waiting: Gauge,
    looked: Gauge,
    standings: Mutex<BTreeMap<JobName, State>>,
}

/// How a job stands.
#[derive(Clone, Copy)]
struct State {
    task: Task,
    standing: Standing,
    /// When runs of it were last left out.
    missed: Option<Timestamp>,
}

/// One of the counts of a backup: its name, what it is, and where it stands.
type Kind = (&'static str, &'static str, fn(&format::manifest::Statistics) -> u64);

const KINDS: [Kind; 5] = [
    ("scanned", "Sizes of the files that backups looked at", |it| it.scanned),
    ("read", "Bytes that backups read from files", |it| it.read),
    ("changed", "Bytes that backups read and the repository did not have", |it| it.changed),
    ("stored", "Bytes that backups put into packs, compressed and sealed", |it| it.stored),
    ("sent", "Bytes that backups sent to the store", |it| it.sent),
];

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("stillpoint");
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version of the service", version);
        let metrics = Self {
            bytes: KINDS.map(|kind| (kind, Family::default())),
            freezes: Family::new_with_constructor(|| Histogram::new(FREEZE_SECONDS)),
            durations: Family::new_with_constructor(|| Histogram::new(RUN_SECONDS)),
            ended: Family::default(),
            put_off: Family::default(),
            missed: Family::default(),
            forgotten: Family::default(),
            not_forgotten: Family::default(),
            alarms: Family::default(),
            given_back: Counter::default(),
            verified: Counter::default(),
            going_on: Gauge::default(),
            waiting: Gauge::default(),
            looked: Gauge::default(),
            standings: Mutex::default(),
            registry: Registry::default(),
        };
        metrics.register(&mut registry);
        Self { registry, ..metrics }
    }

    fn register(&self, to: &mut Registry) {
        for ((name, help, _), family) in &self.bytes {
            to.register(format!("backup_{name}_bytes"), *help, family.clone());
        }
        let help = "From the first freeze to the last thaw";
        to.register("freeze_duration_seconds", help, self.freezes.clone());
        let help = "From the beginning of a run to its end";
        to.register("run_duration_seconds", help, self.durations.clone());
        to.register("runs", "Runs that have ended", self.ended.clone());
        let help = "Runs that met what may pass, and wait for that";
        to.register("runs_put_off", help, self.put_off.clone());
        to.register("runs_missed", "Runs that were left out", self.missed.clone());
        to.register(
            "points_forgotten",
            "Restore points that nothing keeps",
            self.forgotten.clone(),
        );
        let help = "Times that nothing was forgotten, because a point is unlike those before it";
        to.register("retention_alarms", help, self.alarms.clone());
        let help = "Times that what nothing keeps could not be forgotten";
        to.register("retention_failures", help, self.not_forgotten.clone());
        to.register("pruned_bytes", "Bytes that were given back", self.given_back.clone());
        to.register("points_verified", "Restore points that were read", self.verified.clone());
        to.register("runs_going_on", "Runs that go on", self.going_on.clone());
        to.register("runs_waiting", "Runs in the queue", self.waiting.clone());
        let help = "When it was last looked what is due, and that was written down";
        to.register("last_look_timestamp_seconds", help, self.looked.clone());
    }

    /// A backup has made a point.
    pub(super) fn backed_up(&self, report: &BackupReport) {
        let label = Application { application: report.application.clone() };
        for ((_, _, count), family) in &self.bytes {
            family.get_or_create(&label).inc_by(count(&report.statistics));
        }
        if let Some(micros) = report.window_micros {
            let window = std::time::Duration::from_micros(micros);
            self.freezes.get_or_create(&label).observe(window.as_secs_f64());
        }
    }

    /// A run has ended at this moment.
    pub(super) fn ended(&self, run: &RunRow, outcome: &RunOutcome, ended: Timestamp) {
        // What somebody asked for has no policy.
        let asked = || JobName { application: run.application.clone(), policy: String::new() };
        let job = run.job().unwrap_or_else(asked);
        let took = run.start.map(|start| ended.duration_since(start.started));
        self.job_ended((run.task, &job), outcome, (ended, took));
    }

    fn job_ended(
        &self,
        (task, job): (Task, &JobName),
        outcome: &RunOutcome,
        (ended, took): (Timestamp, Option<SignedDuration>),
    ) {
        let Job { task, application, policy } = labels(task, job);
        let label = Ended { task, application, policy, outcome: outcome.name() };
        self.ended.get_or_create(&label).inc();
        if let Some(took) = took {
            // The clock may have been set back.
            let took = took.max(SignedDuration::ZERO);
            self.durations.get_or_create(&OfTask { task }).observe(took.as_secs_f64());
        }
        if let Some(State { standing, .. }) = self.standings().get_mut(job) {
            match outcome {
                RunOutcome::Succeeded => standing.succeeded = Some(ended),
                RunOutcome::Failed { .. } => standing.failed = Some(ended),
                RunOutcome::Partial | RunOutcome::Abandoned | RunOutcome::Cancelled => {}
            }
        }
    }

    /// Something was recorded.
    pub(super) fn happened(&self, event: &Event) {
        let label = || Policy {
            application: event.application.clone().unwrap_or_default(),
            policy: event.policy.clone().unwrap_or_default(),
        };
        let count = |family: &Family<Policy, Counter>, count| {
            family.get_or_create(&label()).inc_by(count);
        };
        match &event.happening {
            Happening::Missed { count: missed, .. } => {
                count(&self.missed, *missed);
                self.was_missed(event);
            }
            Happening::PutOff { .. } => count(&self.put_off, 1),
            Happening::Forgotten { count: forgotten } => count(&self.forgotten, *forgotten),
            Happening::NotForgotten { .. } => count(&self.not_forgotten, 1),
            Happening::Alarm { .. } => count(&self.alarms, 1),
            Happening::Pruned { bytes, .. } => {
                self.given_back.inc_by(*bytes);
            }
            Happening::Verified { points } => {
                self.verified.inc_by(*points);
            }
            _ => {}
        }
    }

    fn was_missed(&self, event: &Event) {
        let Some(policy) = event.policy.clone() else { return };
        let job = JobName { application: event.application.clone(), policy };
        if let Some(state) = self.standings().get_mut(&job) {
            state.missed = Some(event.moment);
        }
    }

    /// It was looked what is due.
    pub(super) fn looked(&self, now: Timestamp) {
        self.looked.set(now.as_second());
    }

    /// How many runs go on and wait.
    pub(super) fn queue(&self, going_on: usize, waiting: usize) {
        self.going_on.set(i64::try_from(going_on).unwrap_or(i64::MAX));
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// A job is looked after from now on. Its counters begin at nothing, so that the first that they count
    /// is an increase.
    pub(super) fn met(&self, name: JobName, task: Task, standing: Standing) {
        let Job { task: label, application, policy } = labels(task, &name);
        for outcome in OUTCOMES {
            let (application, policy) = (application.clone(), policy.clone());
            let ended = Ended { task: label, application, policy, outcome };
            self.ended.get_or_create(&ended).inc_by(0);
        }
        let policy = Policy { application, policy };
        for family in [&self.missed, &self.put_off, &self.alarms, &self.not_forgotten] {
            family.get_or_create(&policy).inc_by(0);
        }
        self.standings().insert(name, State { task, standing, missed: None });
    }

    /// A job has another run.
    pub(super) fn due(&self, name: &JobName, due: Timestamp) {
        if let Some(state) = self.standings().get_mut(name) {
            state.standing.due = Some(due);
        }
    }

    /// Only these jobs are looked after.
    pub(super) fn retain(&self, is_known: impl Fn(&JobName) -> bool) {
        self.standings().retain(|name, _| is_known(name));
    }

    /// Everything, with the newest points of these applications.
    pub(super) fn text(&self, applications: &[ApplicationRow]) -> Result<String, Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &self.states(applications))?;
        encode_eof(&mut text)?;
        Ok(text)
    }

    // What is, and need not have become so while this process lived.
    fn states(&self, applications: &[ApplicationRow]) -> Registry {
        let mut registry = Registry::with_prefix("stillpoint");
        for (name, help, moment) in MOMENTS {
            let family = Family::<Job, Gauge>::default();
            for (job, state) in self.standings().iter() {
                if let Some(moment) = moment(state) {
                    family.get_or_create(&labels(state.task, job)).set(moment.as_second());
                }
            }
            registry.register(format!("last_{name}_timestamp_seconds"), help, family);
        }
        let newest = Family::<Application, Gauge>::default();
        for row in applications {
            if let Some(taken) = row.newest {
                let label = Application { application: row.name.clone() };
                let gauge = newest.get_or_create(&label);
                // The same name may be on several platforms.
                gauge.set(taken.as_second().max(gauge.get()));
            }
        }
        let help = "When the newest restore point was taken, by whomever";
        registry.register("newest_point_timestamp_seconds", help, newest);
        registry
    }

    fn standings(&self) -> MutexGuard<'_, BTreeMap<JobName, State>> {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn labels(task: Task, JobName { application, policy }: &JobName) -> Job {
    let (application, policy) = (application.clone().unwrap_or_default(), policy.clone());
    Job { task: task.name(), application, policy }
}

/// A moment of a job: its name, what it is, and where it stands.
type Moment = (&'static str, &'static str, fn(&State) -> Option<Timestamp>);

const MOMENTS: [Moment; 4] = [
    ("due", "The last moment for which a policy has wanted a run", |it| it.standing.due),
    ("success", "When the last run of a policy ended that did all of what it was for", |it| {
        it.standing.succeeded
    }),
    ("failure", "When the last run of a policy ended that failed", |it| it.standing.failed),
    ("missed", "When runs of a policy were last found to be left out", |it| it.missed),
];
/// How runs of the service end.
const OUTCOMES: [&str; 3] = ["succeeded", "partial", "failed"];
/// From what nobody notices to what a freeze may last.
const FREEZE_SECONDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// From a second to half a day.
const RUN_SECONDS: [f64; 9] = [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0];
