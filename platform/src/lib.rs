//! What runs: applications, their containers, volumes and files.
//!
//! [`Platform`] is the port; [`docker`] and [`host`] are the platforms. [`files`] reads and
//! writes files with everything that a POSIX filesystem knows about them.

pub mod application;
pub mod cgroup;
pub mod docker;
pub mod driver;
pub mod error;
pub mod files;
pub mod host;
pub mod process;
pub mod session;

mod kernel;

use async_trait::async_trait;

use crate::application::Application;
use crate::error::PlatformError;
use crate::session::{Command, Session, Standing};

/// Something that runs applications: a container engine, an orchestrator, this host.
#[async_trait]
pub trait Platform: Send + Sync {
    /// The platform's name in configuration, manifests and messages, such as `docker`.
    fn name(&self) -> &'static str;

    /// Every application that can be seen, in the order of their names.
    async fn applications(&self) -> Result<Vec<Application>, PlatformError>;

    /// One application as it stands right now, or [`PlatformError::UnknownApplication`].
    async fn application(&self, name: &str) -> Result<Application, PlatformError>;

    /// Which of several such platforms it is: the address of an engine; empty where there is but one.
    fn address(&self) -> &str;

    /// Whether a command can be run in the container of this id.
    async fn standing(&self, container: &str) -> Result<Standing, PlatformError>;

    /// Starts a command in the container of this id; on a host without containers, beside it.
    async fn command(
        &self,
        container: &str,
        command: &Command,
    ) -> Result<Box<dyn Session>, PlatformError>;
}
