//! Rules as they are written in a file: one key for each.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Count, Period, Reach, Rules};

#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Written {
    last: Option<Count>,
    hourly: Option<Count>,
    daily: Option<Count>,
    weekly: Option<Count>,
    monthly: Option<Count>,
    yearly: Option<Count>,
    within: Option<Reach>,
    within_hourly: Option<Reach>,
    within_daily: Option<Reach>,
    within_weekly: Option<Reach>,
    within_monthly: Option<Reach>,
    within_yearly: Option<Reach>,
    tags: BTreeSet<String>,
    at_least: Option<Reach>,
}

impl From<Written> for Rules {
    fn from(written: Written) -> Self {
        let counts = [
            (Period::Each, written.last),
            (Period::Hourly, written.hourly),
            (Period::Daily, written.daily),
            (Period::Weekly, written.weekly),
            (Period::Monthly, written.monthly),
            (Period::Yearly, written.yearly),
        ];
        let within = [
            (Period::Each, written.within),
            (Period::Hourly, written.within_hourly),
            (Period::Daily, written.within_daily),
            (Period::Weekly, written.within_weekly),
            (Period::Monthly, written.within_monthly),
            (Period::Yearly, written.within_yearly),
        ];
        Self {
            counts: counts.into_iter().filter_map(|(period, it)| Some((period, it?))).collect(),
            within: within.into_iter().filter_map(|(period, it)| Some((period, it?))).collect(),
            tags: written.tags,
            at_least: written.at_least,
        }
    }
}

impl From<Rules> for Written {
    fn from(rules: Rules) -> Self {
        let count = |period| rules.counts.get(&period).copied();
        let within = |period| rules.within.get(&period).copied();
        Self {
            last: count(Period::Each),
            hourly: count(Period::Hourly),
            daily: count(Period::Daily),
            weekly: count(Period::Weekly),
            monthly: count(Period::Monthly),
            yearly: count(Period::Yearly),
            within: within(Period::Each),
            within_hourly: within(Period::Hourly),
            within_daily: within(Period::Daily),
            within_weekly: within(Period::Weekly),
            within_monthly: within(Period::Monthly),
            within_yearly: within(Period::Yearly),
            tags: rules.tags,
            at_least: rules.at_least,
        }
    }
}
