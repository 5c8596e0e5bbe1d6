//! What can be typed about freezes.
#![allow(clippy::doc_markdown, reason = "these comments are the help that people read")]

use std::time::Duration;

use clap::Args;
use service::deadline::Deadline;
use service::engine::FREEZE_DEADLINE;
use service::local::KEEP_DEFAULT;

/// Whether there is a freeze.
#[derive(Args, Debug)]
pub(crate) struct FreezeArguments {
    /// Do not freeze; the volumes may not agree with one another
    #[arg(long, conflicts_with_all = ["path", "over_budget"])]
    pub(crate) no_freeze: bool,
    /// Where it would stand still for too long, take a point of level fuzzy instead of none
    #[arg(long, conflicts_with_all = ["path", "no_freeze", "dry_run"])]
    pub(crate) degrade: bool,
}

/// How long a freeze may last.
#[derive(Args, Debug)]
pub(crate) struct DeadlineArguments {
    /// After how many seconds the application runs again, whatever happens; earlier where a health
    /// check or a lease would run out
    #[arg(long = "deadline", value_name = "SECONDS", default_value_t = FREEZE_DEADLINE.as_secs(),
          value_parser = clap::value_parser!(u64).range(1..=300))]
    seconds: u64,
    /// Freeze for as long as --deadline says, whatever health checks and leases bear
    #[arg(long)]
    over_budget: bool,
}

impl DeadlineArguments {
    /// Whether it is what everybody has who asks for nothing else.
    pub(crate) fn is_usual(&self) -> bool {
        self.seconds == FREEZE_DEADLINE.as_secs() && !self.over_budget
    }

    pub(crate) fn deadline(&self) -> Deadline {
        let maximum = Duration::from_secs(self.seconds);
        Deadline { maximum, over_budget: self.over_budget }
    }
}

/// Which hooks are run.
#[derive(Args, Debug)]
pub(crate) struct HookArguments {
    /// Leave out the hooks of the application, and what is known about its databases
    #[arg(long)]
    no_hooks: bool,
}

impl HookArguments {
    /// Whether any are.
    pub(crate) fn are_run(&self) -> bool {
        !self.no_hooks
    }
}

/// What to freeze on trial.
#[derive(Args, Debug)]
pub(crate) struct QuiesceArguments {
    /// The application
    #[arg(value_name = "APP")]
    pub(crate) application: String,
    /// Only on trial; there is no other way yet
    #[arg(long, required = true)]
    test: bool,
    #[command(flatten)]
    pub(crate) hooks: HookArguments,
    #[command(flatten)]
    pub(crate) deadline: DeadlineArguments,
}

/// What to snapshot.
#[derive(Args, Debug)]
pub(crate) struct SnapshotArguments {
    /// The application
    #[arg(value_name = "APP")]
    pub(crate) application: String,
    /// How many local snapshots of the application stay, with this one; the oldest are removed
    #[arg(long, value_name = "COUNT", default_value_t = KEEP_DEFAULT,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep: u32,
    #[command(flatten)]
    pub(crate) hooks: HookArguments,
    #[command(flatten)]
    pub(crate) deadline: DeadlineArguments,
}
