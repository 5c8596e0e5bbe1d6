//! The verb that freezes an application to see how that goes.

use service::error::ServiceError;
use service::quiesce::{Trial, quiesce};

use super::Context;
use crate::arguments::QuiesceArguments;
use crate::exit::Exit;

impl Context {
    pub(super) async fn quiesce(&self, trial: &QuiesceArguments) -> Result<Exit, ServiceError> {
        let trial = Trial {
            name: trial.application.clone(),
            hooks: trial.hooks.are_run(),
            deadline: trial.deadline.deadline(),
            machine: self.machine()?,
        };
        let report = quiesce(trial).await?;
        let exit = if report.refused.is_empty() { Exit::Success } else { Exit::Failure };
        Ok(self.answer(&report, exit))
    }
}
