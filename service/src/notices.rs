//! What people are told without having asked: that a policy is in trouble, and that it is over.
//!
//! What is to be told is written down first, together with what it is about, and told afterwards, again and
//! again until somebody has it or it is given up (`serve/tell.rs`).

mod channel;
mod judge;
mod mail;
mod post;

use std::fmt;

use catalog::{JobName, NewNotice, RunOutcome, RunRow, Task};
use format::ids::PointId;
use jiff::Timestamp;
use repository::error::chain;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::error::ServiceError;

pub use self::channel::{Address, ChannelConfig, ChannelError, PingConfig, WebhookConfig};
pub(crate) use self::judge::judge;
pub use self::mail::{MailConfig, MailError};
pub(crate) use self::post::post_due;

/// What somebody can be told of.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Occurrence {
    /// A policy that was well is in trouble: a run failed.
    Failure,
    /// It has not succeeded for too long.
    Staleness,
    /// It has succeeded again.
    Recovery,
    /// No point goes by any rule until a person has looked: see [`Alarm`](scheduler::retention::Alarm).
    RetentionStopped,
    /// A run begins.
    RunStarted,
    /// A run did all of what it was for.
    RunSucceeded,
    /// A run ended otherwise.
    RunFailed,
    /// Somebody tries whether he is told.
    Test,
}

/// Something to be told.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Notice {
    /// What it is about.
    pub kind: Occurrence,
    /// This machine.
    pub host: String,
    /// What the policy does.
    pub task: Task,
    /// The application; absent where it is about a repository as a whole.
    pub application: Option<String>,
    /// The policy.
    pub policy: String,
    /// When it was so.
    pub moment: Timestamp,
    /// How the run ended, where it is about one.
    pub outcome: Option<String>,
    /// Why the run failed, or no point goes.
    pub error: Option<String>,
    /// The restore point that the run made.
    pub point: Option<PointId>,
    /// When the policy last succeeded.
    pub succeeded: Option<Timestamp>,
    /// Since when it should have.
    pub unmet: Option<Timestamp>,
}

impl Notice {
    /// Of a job, without more.
    pub(crate) fn of(
        (kind, task): (Occurrence, Task),
        job: &JobName,
        host: &str,
        moment: Timestamp,
    ) -> Self {
        Self {
            kind,
            host: host.to_owned(),
            task,
            application: job.application.clone(),
            policy: job.policy.clone(),
            moment,
            outcome: None,
            error: None,
            point: None,
            succeeded: None,
            unmet: None,
        }
    }

    /// One of a failure, to try templates on.
    fn sample() -> Self {
        let job = JobName { application: Some("shop".into()), policy: "nightly".into() };
        let kind = (Occurrence::Failure, Task::Backup);
        let notice = Self::of(kind, &job, "sirius", Timestamp::UNIX_EPOCH);
        Self { error: Some("the repository is \"full\"".into()), ..notice }
    }

    /// One with which somebody tries whether he is told.
    pub fn test(host: &str, moment: Timestamp) -> Self {
        let job = JobName { application: None, policy: "test".into() };
        Self::of((Occurrence::Test, Task::Backup), &job, host, moment)
    }

    /// Of a run that has ended.
    pub(crate) fn of_run(
        run: &RunRow,
        (outcome, point): (&RunOutcome, Option<PointId>),
        host: &str,
        moment: Timestamp,
    ) -> Option<Self> {
        let kind = match outcome {
            RunOutcome::Succeeded => Occurrence::RunSucceeded,
            _ => Occurrence::RunFailed,
        };
        let error = match outcome {
            RunOutcome::Failed { error } => Some(error.clone()),
            _ => None,
        };
        let notice = Self::of((kind, run.task), &run.job()?, host, moment);
        Some(Self { outcome: Some(outcome.name().to_owned()), error, point, ..notice })
    }

    /// As it waits in the catalog for a channel.
    pub(crate) fn to(&self, channel: &str) -> NewNotice {
        let notice = serde_json::to_string(self).unwrap_or_default();
        let mut subject =
            format!("{}/{}", self.application.as_deref().unwrap_or_default(), self.policy);
        // Whether runs succeed has nothing to do with it, and makes nothing of it old.
        if self.kind == Occurrence::RetentionStopped {
            subject.push_str("/retention");
        }
        NewNotice { channel: channel.to_owned(), subject, moment: self.moment, notice }
    }
}

/// In a line.
impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == Occurrence::Test {
            return write!(f, "Stillpoint on {}: this is a test", self.host);
        }
        write!(f, "{}", self.task.name())?;
        if let Some(application) = &self.application {
            write!(f, " of {application}")?;
        }
        write!(f, " by {} on {}: ", self.policy, self.host)?;
        match self.kind {
            Occurrence::RunStarted => write!(f, "a run begins"),
            Occurrence::RunSucceeded => write!(f, "a run has succeeded"),
            Occurrence::Recovery => write!(f, "it has succeeded again"),
            Occurrence::Failure | Occurrence::RunFailed => {
                let outcome = self.outcome.as_deref().unwrap_or("failed");
                write!(f, "a run ended: {outcome}")?;
                self.error.as_ref().map_or(Ok(()), |error| write!(f, ": {error}"))
            }
            Occurrence::Staleness => match self.succeeded {
                Some(when) => write!(f, "it has not succeeded since {when:.0}"),
                None => write!(f, "it has never succeeded"),
            },
            Occurrence::RetentionStopped => {
                let why = self.error.as_deref().unwrap_or_default();
                write!(f, "no point goes any more: {why}")
            }
            Occurrence::Test => Ok(()),
        }
    }
}

/// Tells whoever has this channel that somebody tries it; all of them where none is named. Answers who was
/// told, and why not.
pub async fn try_out(
    config: &Config,
    name: Option<&str>,
    moment: Timestamp,
) -> Result<Vec<Trial>, ServiceError> {
    if let Some(unknown) = name.filter(|name| !config.notifications.contains_key(*name)) {
        return Err(ServiceError::UnknownChannel(unknown.to_owned()));
    }
    let notice = Notice::test(&host(), moment);
    let mut trials = Vec::new();
    for (channel, how) in &config.notifications {
        if name.is_none_or(|name| name == channel) {
            let error = how.tell(&notice).await.err().map(|error| chain(&error));
            trials.push(Trial { channel: channel.clone(), error });
        }
    }
    Ok(trials)
}

/// This machine, by its name.
pub(crate) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether somebody was told on trial.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// By which channel.
    pub channel: String,
    /// Why not; absent where he was.
    pub error: Option<String>,
}
