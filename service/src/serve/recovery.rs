//! What the service before has left: runs that were cut off.

use repository::error::chain;

use super::Service;
use crate::engine::is_alive;
use crate::error::ServiceError;

impl Service {
    /// Has every run wait again that a service which is gone has begun. Whether its point was made all the
    /// same is found out when its turn comes.
    pub(super) async fn recover(&mut self) -> Result<(), ServiceError> {
        for run in self.catalog.unfinished_runs().await? {
            let (Some(start), Some(_)) = (run.start, &run.occasion) else { continue };
            if is_alive(start.process)? {
                continue;
            }
            if run.attempts >= ATTEMPTS_MAX {
                let error = format!("it was cut off {} times", run.attempts);
                tracing::error!(run = %run.id, application = %run.application, "{error}");
                self.fail(run.id, &error).await?;
                continue;
            }
            tracing::warn!(run = %run.id, application = %run.application, "a run was cut off; it is done again");
            if let Err(error) = self.catalog.requeue_run(run.id).await {
                tracing::error!(run = %run.id, "it cannot wait again: {}", chain(&error));
            }
        }
        Ok(())
    }
}

/// A run that kills the service does so again.
const ATTEMPTS_MAX: u32 = 5;
