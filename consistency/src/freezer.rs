//! Ways to make every process of a container stand still, and to see that it did.
//!
//! Nothing here waits: whoever drives a [`Freezer`] comes back after [`Freezer::pause`] or when
//! [`Freezer::events`] has something to say. Everything a thaw needs is opened and allocated
//! before the freeze. A [`Gauge`] measures from outside, and freezes nothing.

mod cgroup;
mod cgroup_v1;
mod cgroup_v2;
mod engine;
mod gauge;
mod process_tree;
mod processes;
mod reading;
mod trouble;

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Duration;

use platform::application::FreezeTarget;
use thiserror::Error;

pub(crate) use self::gauge::{Gauge, gauge};
pub(crate) use self::process_tree::resume;
pub(crate) use self::processes::Process;
pub(crate) use self::reading::Reading;
pub(crate) use self::trouble::{Act, Trouble};
use crate::needed::Needed;

/// Told of every process before it is stopped; a process that cannot be noted is left alone.
pub(crate) type Note<'a> = &'a mut dyn FnMut(Process) -> Result<(), Trouble>;

/// One target, opened. After that nothing here allocates, and only processes that have no cgroup
/// are looked for in `/proc`.
pub(crate) trait Freezer: fmt::Debug + Send {
    /// Every process that would be frozen now.
    fn processes(&self) -> Result<Vec<u32>, FreezerError>;

    /// Whether somebody else froze it, so that a thaw is not ours to give.
    fn is_foreign(&mut self) -> Result<bool, Trouble>;

    /// Asks for the freeze and returns at once.
    fn freeze(&mut self, note: Note<'_>) -> Result<(), Trouble>;

    /// Does what is due after `freeze`; true when every process stands still.
    fn settle(&mut self, note: Note<'_>) -> Result<bool, Trouble>;

    /// Asks for the thaw and reads it back; true when the processes run again or are gone.
    fn thaw(&mut self) -> Result<bool, Trouble>;

    /// Whether a thaw that is not done yet waits for somebody's answer, which is no failure.
    fn awaits_answer(&self) -> bool {
        false
    }

    /// How long to wait before the next `settle`, if there are no events.
    fn pause(&self) -> Duration;

    /// A descriptor that has `POLLPRI` when something may have changed.
    fn events(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Takes note that `events` had something to say, and makes it wait for the next; false when
    /// nothing more will come.
    fn notice(&mut self) -> bool {
        false
    }
}

/// Why a target cannot be opened.
#[derive(Debug, Error)]
pub(crate) enum FreezerError {
    /// A file of a cgroup could not be opened or read.
    #[error("cannot {action} `{}`", path.display())]
    Cgroup { action: &'static str, path: PathBuf, source: io::Error },
    /// The engine that is to pause it cannot be reached.
    #[error("cannot connect to the engine at `{}`", socket.display())]
    Engine { socket: PathBuf, source: io::Error },
    /// The freeze would hit somebody without whom nobody could end it.
    #[error("it holds {what}, which must not be frozen")]
    Needed { what: String },
    /// A process could not be opened.
    #[error("cannot {action} process {pid}")]
    Process { action: &'static str, pid: u32, source: io::Error },
}

/// Opens a target and everything its thaw will need; nothing is written.
pub(crate) fn open(
    target: &FreezeTarget,
    needed: &[Needed],
) -> Result<Box<dyn Freezer>, FreezerError> {
    let freezer: Box<dyn Freezer> = match target {
        FreezeTarget::Engine(target) => Box::new(engine::Engine::open(target)?),
        target => open_to_thaw(target)?,
    };
    holds_nobody(&*freezer, needed)?;
    Ok(freezer)
}

/// Looks whether a freeze would hit somebody whom it must not hit.
pub(crate) fn holds_nobody(freezer: &dyn Freezer, needed: &[Needed]) -> Result<(), FreezerError> {
    let processes = freezer.processes()?;
    let ours = Needed { pid: std::process::id(), what: "Stillpoint's warden".to_owned() };
    let mut found = needed.iter().chain([&ours]).filter(|needed| processes.contains(&needed.pid));
    let Some(needed) = found.next() else { return Ok(()) };
    Err(FreezerError::Needed { what: needed.what.clone() })
}

/// The same for what was frozen by a warden that is gone, whoever is in it.
pub(crate) fn open_to_thaw(target: &FreezeTarget) -> Result<Box<dyn Freezer>, FreezerError> {
    Ok(match target {
        FreezeTarget::CgroupV1(path) => Box::new(cgroup_v1::CgroupV1::open(path)?),
        FreezeTarget::CgroupV2(path) => Box::new(cgroup_v2::CgroupV2::open(path)?),
        FreezeTarget::Engine(target) => Box::new(engine::Engine::open_to_thaw(target)?),
        FreezeTarget::ProcessTree(root) => Box::new(process_tree::ProcessTree::open(*root)?),
    })
}

#[cfg(test)]
pub(crate) mod tests;
