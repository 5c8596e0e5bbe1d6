//! A command that runs beside an application's processes, for whoever talks to it.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::error::PlatformError;

/// What to run.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Command {
    /// The program and its arguments, which no shell looks at.
    pub words: Vec<String>,
    /// The user, by name or number; the container's own by default.
    pub user: Option<String>,
}

/// What a command has written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Written {
    /// To its standard output.
    Output(Bytes),
    /// To its standard error.
    Error(Bytes),
}

/// Whether a command can be run in a container.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// Now.
    Runs,
    /// Not as long as it is stopped or stands still.
    Waits,
    /// Never: there is no such container any more.
    Gone,
}

/// A command at work. Dropping it closes its standard input and does not end it.
#[async_trait]
pub trait Session: Send {
    /// Writes to its standard input.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), PlatformError>;

    /// Closes its standard input.
    async fn close(&mut self) -> Result<(), PlatformError>;

    /// What it writes next; nothing when it has closed both its output and its error.
    async fn read(&mut self) -> Result<Option<Written>, PlatformError>;

    /// With which status it ended; nothing as long as it runs.
    async fn status(&mut self) -> Result<Option<i64>, PlatformError>;

    /// Sends a signal to it, and to what it has started.
    async fn signal(&mut self, signal: Signal) -> Result<(), PlatformError>;

    /// Ends it, and what it has started: with a second to do so by itself, and then at once.
    async fn kill(&mut self) -> Result<(), PlatformError> {
        self.signal(Signal::TERM).await?;
        sleep(GRACE).await;
        self.signal(Signal::KILL).await
    }
}

const GRACE: Duration = Duration::from_secs(1);
