//! The end of a service: nothing stays frozen, and what is nearly done is finished.

use std::time::Duration;

use catalog::Task;
use tokio::time::{Instant, sleep, timeout};

use super::{Service, notify};
use crate::backup::Stage;
use crate::error::ServiceError;
use crate::thaw::settle_first;

impl Service {
    /// Ends every run: one whose application stands still goes on until that runs again, one that has
    /// not got so far is cut off, and one that is uploading or restoring has `grace` to finish. What was cut
    /// off waits for the next service. Where an application still seems to stand still long after that, its
    /// warden has seen to it, and nobody waits for the rest.
    pub(super) async fn stop(&mut self, grace: Duration) -> Result<(), ServiceError> {
        let deadline = Instant::now() + grace;
        self.hear_nobody();
        while !self.going_on.is_empty() {
            let is_over = Instant::now() >= deadline;
            self.abort_called_off();
            for (run, going) in &self.going_on {
                let restores = self.runs.get(run).is_some_and(|run| run.task == Task::Restore);
                let goes = match going.progress.stage() {
                    _ if restores => is_over,
                    Stage::Preparing | Stage::ReadingAhead => true,
                    Stage::Freezing => Instant::now() >= deadline + FREEZE_MAX,
                    Stage::Uploading(_) | Stage::Committing => is_over,
                };
                if goes {
                    going.task.abort();
                }
            }
            notify::alive(self.going_on.len(), 0);
            self.status.health.turned(None);
            tokio::select! {
                Some(ended) = self.workers.join_next_with_id() => self.ended(ended).await,
                () = sleep(LOOK_AGAIN) => {}
            }
        }
        // Who was told, and that was not written down, would be told again.
        let told = async { while self.posting.join_next().await.is_some() {} };
        let _ = timeout(POSTING_MAX, told).await;
        settle_first(&self.setup.machine).await;
        Ok(())
    }
}

/// How long those may take who are being told.
const POSTING_MAX: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// No freeze lasts as long, nor what follows it.
const FREEZE_MAX: Duration = Duration::from_mins(1);
