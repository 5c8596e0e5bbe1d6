//! The verb that freezes an application to see how that goes.

use service::error::ServiceError;
use service::quiesce::quiesce;

use super::Context;
use crate::arguments::QuiesceArguments;
use crate::exit::Exit;

impl Context {
    pub(super) async fn quiesce(&self, trial: &QuiesceArguments) -> Result<Exit, ServiceError> {
        let (name, deadline) = (&trial.application, trial.deadline.deadline());
        let report = quiesce(&self.platforms(), self.warden()?, name, deadline).await?;
        let exit = if report.refused.is_empty() { Exit::Success } else { Exit::Failure };
        Ok(self.answer(&report, exit))
    }
}
