//! Runs that somebody calls off.

use catalog::{RunId, RunOutcome, Task};

use super::Service;
use crate::api::CallOff;
use crate::backup::Stage;
use crate::error::ServiceError;

impl Service {
    /// Ends a run that waits at once, and one that goes on as soon as nothing of it stands still. One that
    /// makes a point known, or files, is nearly done or cannot be stopped.
    pub(super) async fn end_early(&mut self, run: RunId) -> Result<CallOff, ServiceError> {
        let Some(row) = self.catalog.run(run).await? else { return Ok(CallOff::Unknown) };
        if row.end.is_some() {
            return Ok(CallOff::Ended);
        }
        if let Some(going) = self.going_on.get_mut(&run) {
            let cannot_end = row.task == Task::Restore;
            if cannot_end || going.progress.stage() == Stage::Committing {
                return Ok(CallOff::TooLate);
            }
            going.is_called_off = true;
            self.abort_called_off();
            return Ok(CallOff::Ending);
        }
        if row.start.is_some() {
            return Ok(CallOff::Elsewhere);
        }
        self.end_run(&row, RunOutcome::Cancelled).await?;
        self.queue.remove(&run);
        self.runs.remove(&run);
        self.discard_pending();
        Ok(CallOff::Done)
    }

    /// Cuts off what is called off, where nothing stands still. Answers whether something does.
    pub(super) fn abort_called_off(&self) -> bool {
        let mut stands_still = false;
        for going in self.going_on.values().filter(|going| going.is_called_off) {
            match going.progress.stage() {
                Stage::Freezing => stands_still = true,
                Stage::Committing => {}
                Stage::Preparing | Stage::ReadingAhead | Stage::Uploading(_) => going.task.abort(),
            }
        }
        stands_still
    }
}
