//! What can go wrong between an application and its group snapshot.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use format::raw::RawPath;
use platform::driver::Driver;
use thiserror::Error;

/// Why there is no group snapshot. Whatever the reason, everything was thawed, unless it is
/// [`ConsistencyError::StillFrozen`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConsistencyError {
    /// A container could not be frozen.
    #[error("container `{member}` cannot be frozen")]
    FreezeFailed {
        /// The container.
        member: String,
        /// What the warden said.
        source: WardenSaid,
    },
    /// There is no way to freeze a running container.
    #[error("container `{member}` runs, and no way to freeze it was found")]
    NoFreezer {
        /// The container.
        member: String,
    },
    /// Some containers did not stand still in time.
    #[error("{} not frozen within {} ms", quoted(members), deadline.as_millis())]
    SlowFreeze {
        /// The containers.
        members: Vec<String>,
        /// The time they had.
        deadline: Duration,
    },
    /// The snapshots were not made in time.
    #[error("the snapshots were not done within {} ms", deadline.as_millis())]
    SlowSnapshot {
        /// The time they had.
        deadline: Duration,
    },
    /// A volume could not be snapshotted.
    #[error("volume `{volume}` cannot be snapshotted")]
    Snapshot {
        /// The volume.
        volume: RawPath,
        /// Why not.
        source: SnapshotError,
    },
    /// Some containers may be frozen still.
    #[error("{} may still be frozen", quoted(members))]
    StillFrozen {
        /// The containers.
        members: Vec<String>,
    },
    /// The warden could not be started, or does not do as it should.
    #[error("the warden could not {action}")]
    Warden {
        /// What was asked of it.
        action: &'static str,
        /// What went wrong.
        source: io::Error,
    },
    /// The warden ended before the freeze did.
    #[error("the warden was gone before the snapshots were done")]
    WardenLost,
    /// A container ran again before the snapshots were done.
    #[error("container `{member}` was thawed before the snapshots were done")]
    Woke {
        /// The container.
        member: String,
    },
}

/// Why one volume could not be snapshotted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The freeze ended first.
    #[error("the freeze was over before it was done")]
    Abandoned,
    /// The operating system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A driver that was asked for does not work there.
    #[error("`{driver}` cannot be used: `{}` is on {filesystem}", path.display())]
    NotPossible {
        /// The driver.
        driver: Driver,
        /// What was to be snapshotted.
        path: PathBuf,
        /// The type of its filesystem.
        filesystem: String,
    },
    /// Something else is mounted there than when the snapshot was prepared.
    #[error("what is mounted in `{}` changed while its snapshot was prepared", path.display())]
    Remounted {
        /// Where the volume lies.
        path: PathBuf,
    },
    /// It was to be read while everything stood still, and could not be.
    #[error("it could not be read while everything stood still")]
    Unread {
        /// Why not.
        source: Box<dyn Error + Send + Sync>,
    },
    /// There is nowhere to put a snapshot.
    #[error("no directory on the filesystem of `{}` can be written", path.display())]
    NoPlace {
        /// What was to be snapshotted.
        path: PathBuf,
    },
    /// No filesystem is mounted there.
    #[error("no mounted filesystem holds `{}`", path.display())]
    Unmounted {
        /// The path.
        path: PathBuf,
    },
    /// There was no thread to make it in.
    #[error("no thread can be started")]
    Thread {
        /// What the operating system said.
        source: io::Error,
    },
    /// The thread that made it ended early; this is a fault of ours.
    #[error("the thread that made it ended early")]
    Unfinished,
}

/// The warden's own words.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{0}")]
pub struct WardenSaid(pub(crate) String);

/// An error and everything behind it, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

fn quoted(members: &[String]) -> String {
    let names: Vec<_> = members.iter().map(|name| format!("`{name}`")).collect();
    let noun = if names.len() == 1 { "container" } else { "containers" };
    format!("{noun} {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_containers_are_named() {
        let members = vec!["db".to_owned(), "web".to_owned()];
        let error = ConsistencyError::SlowFreeze { members, deadline: Duration::from_secs(2) };
        assert_eq!(error.to_string(), "containers `db`, `web` not frozen within 2000 ms");
    }

    #[test]
    fn a_chain_is_told_from_the_outside_in() {
        let source = io::Error::other("no such thing");
        let error = SnapshotError::Io { action: "clone", path: "/a".into(), source };
        assert_eq!(chain(&error), "cannot clone `/a`: no such thing");
    }
}
