//! What can go wrong with a platform.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a platform could not answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlatformError {
    /// The engine does not answer at all.
    #[error("the {platform} engine at `{address}` cannot be reached")]
    Unreachable {
        /// Which platform.
        platform: &'static str,
        /// The socket or address that was tried.
        address: String,
        /// What the connection said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The engine answered with an error.
    #[error("the {platform} engine could not {action}")]
    Refused {
        /// Which platform.
        platform: &'static str,
        /// What was asked for, such as `list containers`.
        action: String,
        /// The engine's answer.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no application of that name.
    #[error("there is no application `{name}` on {platform}")]
    UnknownApplication {
        /// Which platform.
        platform: &'static str,
        /// The name that was asked for.
        name: String,
    },
    /// An address that no engine of this host can have.
    #[error("`{address}` is no socket of a {platform} engine on this host, such as unix:///path")]
    UnsupportedAddress {
        /// Which platform.
        platform: &'static str,
        /// The address that was given.
        address: String,
    },
    /// The declaration of an application makes no sense.
    #[error("the declaration of application `{application}` is wrong: {reason}")]
    Declaration {
        /// The application.
        application: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A declared process that must not be frozen, or the system or we would stand still too.
    #[error(
        "process `{process}` of application `{application}` must not be frozen: pid {pid} is {reason}"
    )]
    ForbiddenTarget {
        /// The application.
        application: String,
        /// The name of the process in its declaration.
        process: String,
        /// The number of the process that was found.
        pid: u32,
        /// What that process is.
        reason: &'static str,
    },
    /// A file that says what runs cannot be read.
    #[error("`{}` cannot be read", .path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
