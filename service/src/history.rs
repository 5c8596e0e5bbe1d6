//! What this host's catalog knows of runs and events.

use catalog::{Event, RunRow};
use serde::Serialize;

use crate::engine::is_alive;
use crate::error::ServiceError;
use crate::machine::Machine;

/// What ran, goes on and waits, and what happened besides.
#[derive(Clone, Debug, Serialize)]
pub struct History {
    /// The runs, the newest first.
    pub runs: Vec<Run>,
    /// The events, the newest first.
    pub events: Vec<Event>,
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// What is recorded of it.
    #[serde(flatten)]
    pub row: RunRow,
    /// What it is doing.
    pub state: State,
}

/// What a run is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits for its turn.
    Waits,
    /// It goes on.
    GoesOn,
    /// Its process died; the service does it again.
    CutOff,
    /// It has ended.
    Ended,
}

impl Machine {
    /// The last runs and events, so many of each.
    pub async fn history(&self, limit: u32) -> Result<History, ServiceError> {
        let catalog = self.open_catalog().await?;
        let (runs, events) = (catalog.runs(limit).await, catalog.events(limit).await);
        catalog.close().await;
        let runs = runs?.into_iter().map(|row| Ok(Run { state: state(&row)?, row }));
        Ok(History { runs: runs.collect::<Result<_, ServiceError>>()?, events: events? })
    }
}

/// What a run is doing.
pub(crate) fn state(row: &RunRow) -> Result<State, ServiceError> {
    Ok(match (&row.end, row.start) {
        (Some(_), _) => State::Ended,
        (None, None) => State::Waits,
        (None, Some(start)) if is_alive(start.process)? => State::GoesOn,
        (None, Some(_)) => State::CutOff,
    })
}
