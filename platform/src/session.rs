//! A command that runs beside an application's processes, for whoever talks to it.

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

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

    /// Ends it at once, and what it has started.
    async fn kill(&mut self) -> Result<(), PlatformError>;
}
