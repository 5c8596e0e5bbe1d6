//! What can go wrong with a platform.

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
}
