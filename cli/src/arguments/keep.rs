//! What can be typed to say which points stay.
#![allow(clippy::doc_markdown, reason = "these comments are the help that people read")]

use clap::Args;
use service::retention::{Count, Period, Reach, Rules};

/// Which points stay; all others go. Each rule is for itself, and a point stays when one keeps it.
#[derive(Args, Debug)]
pub(crate) struct KeepArguments {
    /// Forget all but so many of the newest points of each application; a number or `unlimited`,
    /// here and below
    #[arg(long = "keep-last", value_name = "COUNT", help_heading = KEEP)]
    last: Option<Count>,
    /// Keep the newest point of so many hours that have one
    #[arg(long = "keep-hourly", value_name = "COUNT", help_heading = KEEP)]
    hourly: Option<Count>,
    /// Keep the newest point of so many days that have one
    #[arg(long = "keep-daily", value_name = "COUNT", help_heading = KEEP)]
    daily: Option<Count>,
    /// Keep the newest point of so many weeks that have one
    #[arg(long = "keep-weekly", value_name = "COUNT", help_heading = KEEP)]
    weekly: Option<Count>,
    /// Keep the newest point of so many months that have one
    #[arg(long = "keep-monthly", value_name = "COUNT", help_heading = KEEP)]
    monthly: Option<Count>,
    /// Keep the newest point of so many years that have one
    #[arg(long = "keep-yearly", value_name = "COUNT", help_heading = KEEP)]
    yearly: Option<Count>,
    /// Keep the points that are no older than this before the newest, such as 14d or 1y6m
    #[arg(long = "keep-within", value_name = "TIME", help_heading = KEEP)]
    within: Option<Reach>,
    /// Of these keep one an hour
    #[arg(long = "keep-within-hourly", value_name = "TIME", help_heading = KEEP)]
    within_hourly: Option<Reach>,
    /// Of these keep one a day
    #[arg(long = "keep-within-daily", value_name = "TIME", help_heading = KEEP)]
    within_daily: Option<Reach>,
    /// Of these keep one a week
    #[arg(long = "keep-within-weekly", value_name = "TIME", help_heading = KEEP)]
    within_weekly: Option<Reach>,
    /// Of these keep one a month
    #[arg(long = "keep-within-monthly", value_name = "TIME", help_heading = KEEP)]
    within_monthly: Option<Reach>,
    /// Of these keep one a year
    #[arg(long = "keep-within-yearly", value_name = "TIME", help_heading = KEEP)]
    within_yearly: Option<Reach>,
    /// Keep the points with this tag
    #[arg(long = "keep-tag", value_name = "TAG", help_heading = KEEP)]
    tag: Vec<String>,
}

impl KeepArguments {
    /// The rules, if any were given. Points younger than `at_least` stay in any case.
    pub(crate) fn rules(&self, at_least: Option<Reach>) -> Option<Rules> {
        let counts = [
            (Period::Each, self.last),
            (Period::Hourly, self.hourly),
            (Period::Daily, self.daily),
            (Period::Weekly, self.weekly),
            (Period::Monthly, self.monthly),
            (Period::Yearly, self.yearly),
        ];
        let within = [
            (Period::Each, self.within),
            (Period::Hourly, self.within_hourly),
            (Period::Daily, self.within_daily),
            (Period::Weekly, self.within_weekly),
            (Period::Monthly, self.within_monthly),
            (Period::Yearly, self.within_yearly),
        ];
        let rules = Rules {
            counts: counts.into_iter().filter_map(|(period, it)| Some((period, it?))).collect(),
            within: within.into_iter().filter_map(|(period, it)| Some((period, it?))).collect(),
            tags: self.tag.iter().cloned().collect(),
            at_least,
        };
        (!rules.is_empty()).then_some(rules)
    }
}

const KEEP: &str = "Rules";
