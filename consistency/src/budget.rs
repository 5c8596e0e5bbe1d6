//! How long a freeze may last before somebody takes a container for dead.
//!
//! A health check that cannot run while its container stands still counts as failed, and some of
//! them in a row have the container restarted; a lease that is not renewed in time goes to somebody
//! else. Half of that is the budget: the other half is for what was due when the freeze began.

use std::time::Duration;

use jiff::SignedDuration;
use platform::application::{Activity, Application, Member};
use thiserror::Error;

/// A budget below this leaves no room for a freeze that goes wrong.
pub const BUDGET_MIN: Duration = Duration::from_secs(1);

/// How long a freeze may last, and why not longer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Budget {
    /// After this the warden thaws.
    pub limit: Duration,
    /// What limits it.
    pub because: Because,
}

/// What limits a freeze.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Because {
    /// The operator's maximum.
    Maximum,
    /// The health check of this container.
    HealthCheck(String),
    /// The lease of this container.
    Lease(String),
}

/// Why there is no budget.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum BudgetError {
    /// What a container declares is no time.
    #[error("the lease `{lease}` of container `{member}` is no time such as 5s or 1m")]
    Lease {
        /// The container.
        member: String,
        /// What it declares.
        lease: String,
    },
    /// There is too little time to freeze at all.
    #[error("only {} ms are left for a freeze, {because}", limit.as_millis())]
    TooShort {
        /// What there would be.
        limit: Duration,
        /// What limits it.
        because: Because,
    },
}

impl std::fmt::Display for Because {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Maximum => f.write_str("which is the maximum"),
            Self::HealthCheck(member) => {
                write!(f, "half of what the health check of container `{member}` bears")
            }
            Self::Lease(member) => write!(f, "half of the lease of container `{member}`"),
        }
    }
}

/// The budget of a freeze that may last `maximum` at the most.
///
/// # Errors
/// [`BudgetError::TooShort`] when a health check or a lease leaves less than [`BUDGET_MIN`], and
/// [`BudgetError::Lease`] when a lease is no time.
pub fn budget(application: &Application, maximum: Duration) -> Result<Budget, BudgetError> {
    let mut budget = Budget { limit: maximum, because: Because::Maximum };
    let running = application.members.iter().filter(|m| m.activity == Activity::Running);
    for member in running {
        let name = || member.name.clone();
        let health = member.watch.health.map(|time| (time, Because::HealthCheck(name())));
        let lease = lease(member)?.map(|time| (time, Because::Lease(name())));
        for (time, because) in health.into_iter().chain(lease) {
            if time / 2 < budget.limit {
                budget = Budget { limit: time / 2, because };
            }
        }
    }
    let Budget { limit, because } = &budget;
    if *limit < BUDGET_MIN && *because != Because::Maximum {
        return Err(BudgetError::TooShort { limit: *limit, because: because.clone() });
    }
    Ok(budget)
}

fn lease(member: &Member) -> Result<Option<Duration>, BudgetError> {
    let Some(lease) = &member.watch.lease else { return Ok(None) };
    let time = lease.parse::<SignedDuration>().ok().and_then(|time| time.try_into().ok());
    let refused = || BudgetError::Lease { member: member.name.clone(), lease: lease.clone() };
    time.map(Some).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use platform::application::Watch;

    use super::*;

    const MAXIMUM: Duration = Duration::from_secs(10);

    fn application<const N: usize>(
        watches: [(Activity, Option<u64>, Option<&str>); N],
    ) -> Application {
        let member =
            |(number, (activity, health, lease)): (usize, (_, Option<u64>, Option<&str>))| {
                let watch = Watch {
                    health: health.map(Duration::from_secs),
                    lease: lease.map(ToOwned::to_owned),
                };
                let (name, started) = (format!("m{number}"), String::new());
                Member { name, started, activity, watch, ..Member::default() }
            };
        Application {
            name: "shop".to_owned(),
            platform: "test",
            members: watches.into_iter().enumerate().map(member).collect(),
            ..Application::default()
        }
    }

    #[test]
    fn half_of_the_tightest_counts_and_never_more_than_the_operator_allows() {
        use Activity::{Running, Stopped};
        let seconds = |watches| {
            let budget = budget(&watches, MAXIMUM).unwrap();
            (budget.limit.as_millis(), budget.because)
        };
        assert_eq!(seconds(application([])), (10_000, Because::Maximum));
        let lax = application([(Running, Some(60), Some("1m"))]);
        assert_eq!(seconds(lax), (10_000, Because::Maximum));
        let tight = application([(Running, Some(9), None), (Running, Some(60), Some("2500 ms"))]);
        assert_eq!(seconds(tight), (1_250, Because::Lease("m1".into())));
        let healthy = application([(Running, Some(9), Some("10s"))]);
        assert_eq!(seconds(healthy), (4_500, Because::HealthCheck("m0".into())));
        let stopped = application([(Stopped, Some(3), Some("nonsense"))]);
        assert_eq!(seconds(stopped), (10_000, Because::Maximum));
    }

    #[test]
    fn too_short_a_time_and_what_is_no_time_are_refused() {
        let refused = |lease| {
            let application = application([(Activity::Running, None, Some(lease))]);
            budget(&application, MAXIMUM).unwrap_err()
        };
        let limit = Duration::from_millis(750);
        let because = Because::Lease("m0".into());
        assert_eq!(refused("1500ms"), BudgetError::TooShort { limit, because });
        for lease in ["", "soon", "-5s", "5"] {
            let error = BudgetError::Lease { member: "m0".to_owned(), lease: lease.to_owned() };
            assert_eq!(refused(lease), error);
        }
        // The operator's own word is not questioned.
        let short = Duration::from_millis(10);
        assert_eq!(budget(&application([]), short).unwrap().limit, short);
    }
}
