//! When a policy runs next.

use jiff::Zoned;
use jiff::tz::TimeZone;
use scheduler::Schedule;
use serde::Serialize;

use crate::config::Config;
use crate::error::ServiceError;

/// The coming runs of one schedule.
#[derive(Clone, Debug, Serialize)]
pub struct Upcoming {
    /// The schedule in its canonical form.
    pub schedule: Schedule,
    /// When it runs, the next first.
    pub runs: Vec<Zoned>,
}

/// The coming runs of the policy called `name`, or of the schedule that `name` is itself.
pub fn next(
    config: &Config,
    name: &str,
    zone: Option<&str>,
    after: &Zoned,
    count: usize,
) -> Result<Vec<Upcoming>, ServiceError> {
    let policy = config.policies.get(name);
    let schedules = match policy {
        Some(policy) => policy.schedules.clone(),
        None => vec![name.parse()?],
    };
    let zone = zone.or_else(|| policy.and_then(|policy| policy.zone.as_deref()));
    let after = in_zone(after, zone)?;
    let upcoming = |schedule: Schedule| {
        let runs = std::iter::successors(schedule.next(&after), |run| schedule.next(run));
        Upcoming { runs: runs.take(count).collect(), schedule }
    };
    Ok(schedules.into_iter().map(upcoming).collect())
}

/// The same moment in the time zone of this name; without one, as it is.
pub fn in_zone(moment: &Zoned, zone: Option<&str>) -> Result<Zoned, ServiceError> {
    let Some(zone) = zone else { return Ok(moment.clone()) };
    let found = TimeZone::get(zone).map_err(|_| ServiceError::UnknownZone(zone.to_owned()))?;
    Ok(moment.with_time_zone(found))
}
