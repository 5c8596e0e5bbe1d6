//! The verbs for who is told of what.

use service::error::ServiceError;
use service::{clock, notices};

use super::Context;
use crate::arguments::NotificationsVerb;
use crate::exit::Exit;

impl Context {
    pub(super) async fn notifications(
        &self,
        verb: &NotificationsVerb,
    ) -> Result<Exit, ServiceError> {
        let NotificationsVerb::Test { name } = verb;
        let trials = notices::try_out(&self.config, name.as_deref(), clock::now()).await?;
        let all_told = trials.iter().all(|trial| trial.error.is_none());
        Ok(self.answer(&trials, if all_told { Exit::Success } else { Exit::Failure }))
    }
}
