//! Ways to make every process of a container stand still, and to see that it did.
//!
//! Nothing here waits: whoever drives a [`Freezer`] comes back after [`Freezer::pause`] or when
//! [`Freezer::events`] has something to say. Everything a thaw needs is opened before the freeze.

mod cgroup;
mod cgroup_v1;
mod cgroup_v2;
mod process_tree;
mod processes;
mod reading;

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use platform::application::FreezeTarget;
use rustix::process::{getpid, getppid};
use thiserror::Error;

pub(crate) use self::reading::Reading;

/// One target, opened.
pub(crate) trait Freezer: fmt::Debug + Send {
    /// Whether this process is among those that would be frozen.
    fn holds(&self, pid: u32) -> Result<bool, FreezerError>;

    /// Whether somebody else froze it, so that a thaw is not ours to give.
    fn is_foreign(&mut self) -> Result<bool, FreezerError>;

    /// Asks for the freeze and returns at once.
    fn freeze(&mut self) -> Result<(), FreezerError>;

    /// Does what is due after `freeze`; true when every process stands still.
    fn settle(&mut self) -> Result<bool, FreezerError>;

    /// Asks for the thaw and reads it back; true when the processes run again or are gone.
    fn thaw(&mut self) -> Result<bool, FreezerError>;

    /// What can be measured now.
    fn reading(&mut self) -> Result<Reading, FreezerError>;

    /// How long to wait before the next `settle`, if there are no events.
    fn pause(&self) -> Duration;

    /// A descriptor that has `POLLPRI` when something may have changed.
    fn events(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Takes note that `events` had something to say, and makes it wait for the next.
    fn notice(&mut self) {}
}

/// Why a target cannot be frozen, thawed or read.
#[derive(Debug, Error)]
pub enum FreezerError {
    /// A control file of a cgroup did not do as it should.
    #[error("cannot {action} `{}`", path.display())]
    Cgroup {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The freeze would hit ourselves, and then nobody could end it.
    #[error("it holds Stillpoint itself")]
    Ourselves,
    /// A process did not take its signal or could not be read.
    #[error("cannot {action} process {pid}")]
    Process {
        /// What was tried.
        action: &'static str,
        /// On which process.
        pid: u32,
        /// What the kernel said.
        source: io::Error,
    },
    /// Somebody else stopped it already.
    #[error("somebody else froze it")]
    Foreign,
    /// It ended.
    #[error("it is gone")]
    Gone,
}

/// Opens a target and everything its thaw will need; nothing is written.
pub(crate) fn open(target: &FreezeTarget) -> Result<Box<dyn Freezer>, FreezerError> {
    let freezer: Box<dyn Freezer> = match target {
        FreezeTarget::CgroupV1(path) => Box::new(cgroup_v1::CgroupV1::open(path)?),
        FreezeTarget::CgroupV2(path) => Box::new(cgroup_v2::CgroupV2::open(path)?),
        FreezeTarget::ProcessTree(root) => Box::new(process_tree::ProcessTree::open(*root)?),
    };
    let parent = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    let own = getpid().as_raw_nonzero().get().unsigned_abs();
    for pid in parent.into_iter().chain([own]) {
        if freezer.holds(pid)? {
            return Err(FreezerError::Ourselves);
        }
    }
    Ok(freezer)
}

/// Thaws a target without a warden, whoever froze it; the last resort, and harmless.
///
/// Gives up after a second; false means that it may be frozen still.
pub fn thaw(target: &FreezeTarget) -> Result<bool, FreezerError> {
    let mut freezer: Box<dyn Freezer> = match target {
        FreezeTarget::ProcessTree(root) => Box::new(process_tree::ProcessTree::adopt(*root)?),
        cgroup => open(cgroup)?,
    };
    for _ in 0..THAW_TRIES {
        if freezer.thaw()? {
            return Ok(true);
        }
        thread::sleep(THAW_PAUSE);
    }
    Ok(false)
}

const THAW_TRIES: u32 = 10;
const THAW_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
pub(crate) mod tests;
