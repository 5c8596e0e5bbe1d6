//! What can go wrong with a target that is open, told without allocating.

use std::{fmt, io};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// Why a target cannot be frozen or thawed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Trouble {
    /// Somebody else stopped it already.
    Foreign,
    /// It has more processes than there is room for.
    Full,
    /// The engine refused.
    Engine { status: u16 },
    /// It ended.
    Gone,
    /// The engine does not answer.
    Silent,
    /// It does not run again, although nothing was refused.
    Stuck,
    /// The kernel refused.
    System { act: Act, errno: i32 },
}

/// What was tried.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Act {
    Ask,
    Look,
    Note,
    Read,
    Signal,
    Write,
}

impl Trouble {
    pub(crate) fn system(act: Act) -> impl Fn(Errno) -> Self {
        move |errno| Self::System { act, errno: errno.raw_os_error() }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("somebody else froze it"),
            Self::Engine { status } => write!(f, "the engine answered with status {status}"),
            Self::Full => f.write_str("it has too many processes"),
            Self::Gone => f.write_str("it is gone"),
            Self::Silent => f.write_str("the engine does not answer"),
            Self::Stuck => f.write_str("it does not run again"),
            Self::System { act, errno } => {
                let source = io::Error::from_raw_os_error(*errno);
                write!(f, "{}: {source}", act.text())
            }
        }
    }
}

impl Act {
    fn text(self) -> &'static str {
        match self {
            Self::Ask => "the engine cannot be asked",
            Self::Look => "its processes cannot be looked at",
            Self::Note => "its processes cannot be noted",
            Self::Read => "its state cannot be read",
            Self::Signal => "a process of it cannot be signalled",
            Self::Write => "its state cannot be written",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_said_is_told() {
        let trouble = Trouble::system(Act::Write)(Errno::BUSY);
        assert!(trouble.to_string().starts_with("its state cannot be written: "), "{trouble}");
    }
}
