//! Policies as the configuration has them: when applications are backed up, and which points stay.

use std::time::Duration;

use catalog::Task;
use jiff::SignedDuration;
use scheduler::Schedule;
use scheduler::blackout::Blackout;
use scheduler::retention::Rules;
use scheduler::timing::Timing;
use scheduler::zone::Zone;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::length;

/// When applications are backed up, how, and which of the points stay.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// What its runs do. All but `backup` is for the repository, and not for applications.
    #[serde(default)]
    pub task: Task,
    /// When it runs.
    pub schedules: Vec<Schedule>,
    /// The time zone of the schedules, such as `Europe/Berlin`; that of this machine by default.
    pub zone: Option<Zone>,
    /// By how much a run may begin later, such as `10m`, so that not all begin at once. It is the same
    /// each time for an application.
    #[serde(default, deserialize_with = "jitter")]
    pub jitter: Duration,
    /// When no run begins.
    #[serde(default)]
    pub blackouts: Vec<Blackout>,
    /// Whether a run that could not begin in time begins when it can.
    #[serde(default = "yes")]
    pub catch_up: bool,
    /// Which points stay, besides those that the schedules want.
    #[serde(default)]
    pub keep: Rules,
    /// The repository, by its name; the only one by default, or `main`. No more than one so far.
    #[serde(default)]
    pub repositories: Vec<String>,
    /// The tags that its points get.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Whether an application that would stand still for too long is read without a freeze, instead of
    /// not at all.
    #[serde(default)]
    pub degrade: bool,
    /// After how long people are told that it has not succeeded, such as `6h`; 2 hours by default.
    #[serde(default = "two_hours", deserialize_with = "some_length")]
    pub stale_after: Duration,
    /// Whether snapshots stay on this host, and how many of an application's do.
    pub keep_local: Option<u32>,
    /// A check reads the packs that this machine has not read for so long, such as `30d`, the oldest first.
    #[serde(default, deserialize_with = "length")]
    pub read_data_within: Option<Duration>,
    /// A check reads no further packs after so long, such as `2h`.
    #[serde(default, deserialize_with = "length")]
    pub limit_time: Option<Duration>,
}

impl PolicyConfig {
    /// When its runs begin, on a machine in the time zone `here`.
    pub fn timing(&self, here: &Zone) -> Timing {
        Timing {
            schedules: self.schedules.clone(),
            zone: self.zone.as_ref().unwrap_or(here).clone(),
            jitter: self.jitter,
            blackouts: self.blackouts.clone(),
            catch_up: self.catch_up,
        }
    }

    /// The first key that is given and means nothing for its task.
    pub(super) fn meaningless(&self) -> Option<&'static str> {
        let of_backups = [
            ("keep", self.keep != Rules::default()),
            ("tags", !self.tags.is_empty()),
            ("degrade", self.degrade),
            ("keep_local", self.keep_local.is_some()),
        ];
        let of_checks = [
            ("read_data_within", self.read_data_within.is_some()),
            ("limit_time", self.limit_time.is_some()),
        ];
        let reads = self.read_data_within.is_some();
        if self.task == Task::Check && self.limit_time.is_some() && !reads {
            return Some("limit_time");
        }
        let is_backup = self.task == Task::Backup;
        let given = of_backups.into_iter().filter(|_| !is_backup);
        let given = given.chain(of_checks.into_iter().filter(|_| self.task != Task::Check));
        let counts = self.schedules.iter().any(|schedule| schedule.keep().is_some());
        let counts = (counts && !is_backup).then_some("keep");
        given.filter(|(_, is_given)| *is_given).map(|(key, _)| key).next().or(counts)
    }
}

fn yes() -> bool {
    true
}

fn jitter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let length = SignedDuration::deserialize(deserializer)?;
    let length = Duration::try_from(length).ok().filter(|length| *length <= JITTER_MAX);
    length.ok_or_else(|| D::Error::custom("a jitter is between 0s and 24h"))
}

fn two_hours() -> Duration {
    Duration::from_hours(2)
}

fn some_length<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    length::parse(&text).map_err(D::Error::custom)
}

fn length<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    length::parse(&text).map(Some).map_err(D::Error::custom)
}

/// Who runs later than that runs on another day.
const JITTER_MAX: Duration = Duration::from_hours(24);
