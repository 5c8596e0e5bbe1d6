//! When a policy runs next, and what it would keep.

use catalog::Task;
use jiff::{Span, Timestamp, Zoned};
use scheduler::Schedule;
use scheduler::retention::Rules;
use scheduler::simulation::simulate;
pub use scheduler::simulation::{GonePoint, SimulatedPoint, Simulation};
use scheduler::timing::Timing;
use scheduler::zone::Zone;
use serde::Serialize;

use crate::config::Config;
use crate::error::ServiceError;

/// The coming runs of one schedule.
#[derive(Clone, Debug, Serialize)]
pub struct Upcoming {
    /// The schedule in its canonical form.
    pub schedule: Schedule,
    /// When it runs, the next first. What its policy's jitter adds depends on the application.
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
    let (timing, _) = find(config, name, zone, after)?;
    let upcoming = |schedule: &Schedule| {
        let timing = Timing { schedules: vec![schedule.clone()], ..timing.clone() };
        let slots = timing.slots(after.timestamp());
        // Those that a blackout defers to the same moment are one run; or none, where it is not made up
        // for.
        let mut runs: Vec<Timestamp> = Vec::new();
        for (slot, run) in slots.map_while(|slot| Some((slot.at, timing.free(slot.at)?))) {
            let is_made = timing.catch_up || slot == run;
            if is_made && runs.last() != Some(&run) {
                runs.push(run);
            }
            if runs.len() > count {
                break;
            }
        }
        let runs = runs.into_iter().take(count).map(|run| run.to_zoned(timing.zone.time_zone()));
        Upcoming { schedule: schedule.clone(), runs: runs.collect() }
    };
    Ok(timing.schedules.iter().map(upcoming).collect())
}

/// What the policy called `name`, or the schedule that `name` is itself, would make and keep in such a
/// time from `from` on, if every run came in time.
pub fn forecast(
    config: &Config,
    name: &str,
    zone: Option<&str>,
    (from, time): (&Zoned, Span),
) -> Result<Simulation, ServiceError> {
    if config.policies.get(name).is_some_and(|policy| policy.task != Task::Backup) {
        return Err(ServiceError::NoPoints(name.to_owned()));
    }
    let (timing, rules) = find(config, name, zone, from)?;
    let tags = config.policies.get(name).map(|policy| policy.tags.as_slice()).unwrap_or_default();
    let until = from.checked_add(time).ok();
    let last = from.checked_add(Span::new().years(FORECAST_YEARS_MAX)).ok();
    let until = until.filter(|until| until > from && last.is_some_and(|last| *until <= last));
    let until = until.ok_or(ServiceError::Forecast)?;
    let delay = timing.delay("");
    Ok(simulate(&timing, (&rules, tags), delay, (from.timestamp(), until.timestamp()))?)
}

/// The same moment in the time zone of this name; without one, as it is.
pub fn in_zone(moment: &Zoned, zone: Option<&str>) -> Result<Zoned, ServiceError> {
    let Some(zone) = zone else { return Ok(moment.clone()) };
    Ok(moment.with_time_zone(zone.parse::<Zone>()?.time_zone()))
}

fn find(
    config: &Config,
    name: &str,
    zone: Option<&str>,
    moment: &Zoned,
) -> Result<(Timing, Rules), ServiceError> {
    let here = Zone::from(moment.time_zone().clone());
    let (mut timing, rules) = match config.policies.get(name) {
        Some(policy) => (policy.timing(&here), policy.keep.clone()),
        None => (Timing::of(name.parse()?, here), Rules::default()),
    };
    if let Some(zone) = zone {
        timing.zone = zone.parse()?;
    }
    Ok((timing, rules))
}

/// Nobody plans further ahead.
const FORECAST_YEARS_MAX: i32 = 10;
