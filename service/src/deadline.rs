//! How long a freeze may last: what the operator allows, and what the containers bear.

use std::time::Duration;

use consistency::{Because, Budget, BudgetError};
use platform::application::Application;

/// How long a freeze may last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Deadline {
    /// At the most.
    pub maximum: Duration,
    /// Whether it may last that long although a health check or a lease runs out before.
    pub over_budget: bool,
}

impl Deadline {
    /// At most this, and not longer than the containers bear.
    pub fn at_most(maximum: Duration) -> Self {
        Self { maximum, over_budget: false }
    }

    /// What that means for an application as it stands.
    pub(crate) fn budget(self, application: &Application) -> Result<Budget, BudgetError> {
        if self.over_budget {
            return Ok(Budget { limit: self.maximum, because: Because::Maximum });
        }
        consistency::budget(application, self.maximum)
    }
}
