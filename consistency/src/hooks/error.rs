//! What can go wrong with hooks.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use platform::error::PlatformError;
use thiserror::Error;

/// Why a freeze is not begun, or not believed, because of a hook.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HookError {
    /// What is declared makes no sense.
    #[error("the hooks of container `{member}` are declared wrongly: {reason}")]
    Declaration {
        /// The container.
        member: String,
        /// What is wrong.
        reason: String,
    },
    /// A hook before the freeze failed.
    #[error("hook `{hook}` of container `{member}` failed")]
    Failed {
        /// The container.
        member: String,
        /// Which of its hooks.
        hook: &'static str,
        /// How it failed.
        source: Box<HookFailure>,
    },
    /// What a hook held was lost before it was given back.
    #[error("hook `{hook}` of container `{member}` did not hold until the thaw")]
    Lost {
        /// The container.
        member: String,
        /// Which of its hooks.
        hook: &'static str,
        /// How it was lost.
        source: Box<HookFailure>,
    },
    /// What is owed after the freeze cannot be written down, so nothing was begun.
    #[error("cannot write down in `{}` what is to be run after the freeze", path.display())]
    Journal {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// How one command failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HookFailure {
    /// A hook that holds something ended before it was told to.
    #[error("it ended too early{}", quoted(said))]
    Died {
        /// The last line that it wrote.
        said: String,
    },
    /// It held for so long that it was told to end.
    #[error("it was let go after {} s", limit.as_secs())]
    LetGo {
        /// For how long a hook may hold.
        limit: Duration,
    },
    /// The platform could not run it, or lost it.
    #[error("the platform could not run it")]
    Platform(#[from] PlatformError),
    /// It took too long, and was killed.
    #[error("it was not done within {} ms{}", timeout.as_millis(), quoted(said))]
    Slow {
        /// The time it had.
        timeout: Duration,
        /// The last line that it wrote.
        said: String,
    },
    /// It ended with an error.
    #[error("it ended with status {status}{}", quoted(said))]
    Status {
        /// Its status.
        status: i64,
        /// The last line that it wrote.
        said: String,
    },
}

fn quoted(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(", and said: {said}") }
}
