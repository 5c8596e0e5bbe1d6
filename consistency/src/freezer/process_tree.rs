//! Processes that have no cgroup of their own: a root and all its descendants, by signals.
//!
//! A descendant whose parent died belongs to somebody else by then and is not found. A process
//! that was stopped before us counts as still, and is not continued by us. Every process is noted
//! before it is stopped, so that whoever finds the note can continue it.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::processes::{self, Census, Process, Stat};
use super::{Act, Freezer, FreezerError, Note, Trouble};

#[derive(Debug)]
pub(super) struct ProcessTree {
    root: u32,
    found: Vec<Found>,
    census: Census,
    tries: u32,
}

#[derive(Debug)]
struct Found {
    process: Process,
    handle: OwnedFd,
    // False for one that somebody else stopped.
    ours: bool,
}

impl ProcessTree {
    /// Opens the root; descendants are looked for at the freeze.
    pub(super) fn open(root: u32) -> Result<Self, FreezerError> {
        let failure = |errno: Errno| FreezerError::Process {
            action: "open",
            pid: root,
            source: errno.into(),
        };
        let census = Census::new(processes::open_proc().map_err(failure)?);
        let handle = open_process(root).map_err(failure)?.ok_or_else(|| failure(Errno::SRCH))?;
        // It is looked at after it was opened: from then on its number is not given away.
        let stat = census.stat(root).filter(|stat| !stat.is_dead());
        let stat = stat.ok_or_else(|| failure(Errno::SRCH))?;
        let process = Process { pid: root, started: stat.started };
        let mut found = Vec::with_capacity(FAMILY_MAX);
        found.push(Found { process, handle, ours: false });
        Ok(Self { root, found, census, tries: 0 })
    }

    // True when there was one that we had not seen before.
    fn stop_newcomers(&mut self, note: Note<'_>) -> Result<bool, Trouble> {
        let mut grown = false;
        self.census.family(self.root)?;
        let mut next = 0;
        while let Some(pid) = self.census.member(next) {
            next += 1;
            if self.found.iter().any(|found| found.process.pid == pid) {
                continue;
            }
            let handle = open_process(pid).map_err(Trouble::system(Act::Look))?;
            let Some((handle, stat)) = handle.zip(self.census.stat(pid)) else { continue };
            if stat.is_dead() {
                continue;
            }
            if self.found.len() == FAMILY_MAX {
                return Err(Trouble::Full);
            }
            grown = true;
            let (process, ours) = (Process { pid, started: stat.started }, !stat.is_stopped());
            if ours {
                note(process)?;
                send(&handle, Signal::STOP)?;
            }
            self.found.push(Found { process, handle, ours });
        }
        Ok(grown)
    }

    fn ours(&self) -> impl Iterator<Item = &Found> {
        self.found.iter().filter(|found| found.ours)
    }

    fn continue_ours(&self) -> Result<(), Trouble> {
        // One that cannot be signalled must not keep the others stopped.
        let mut result = Ok(());
        for found in self.ours() {
            result = result.and(send(&found.handle, Signal::CONT));
        }
        result
    }

    fn relaxing(&self) -> bool {
        self.tries > 0 && self.tries.is_multiple_of(TRIES_BETWEEN_THAWS)
    }
}

impl Freezer for ProcessTree {
    fn processes(&self) -> Result<Vec<u32>, FreezerError> {
        Ok(processes::family(self.root).into_iter().collect())
    }

    fn is_foreign(&mut self) -> Result<bool, Trouble> {
        Ok(self.census.stat(self.root).is_some_and(Stat::is_stopped))
    }

    fn freeze(&mut self, note: Note<'_>) -> Result<(), Trouble> {
        if let Some(root) = self.found.first_mut() {
            note(root.process)?;
            root.ours = true;
            send(&root.handle, Signal::STOP)?;
        }
        self.stop_newcomers(note).map(drop)
    }

    fn settle(&mut self, note: Note<'_>) -> Result<bool, Trouble> {
        self.tries += 1;
        // One that waits for a child in vfork cannot stop while the child is stopped: let all run
        // for a moment, and try again.
        if self.relaxing() {
            self.continue_ours()?;
            return Ok(false);
        }
        for found in self.ours().filter(|found| !self.census.is_still(found.process.pid)) {
            send(&found.handle, Signal::STOP)?;
        }
        let grown = self.stop_newcomers(note)?;
        Ok(!grown && self.found.iter().all(|found| self.census.is_still(found.process.pid)))
    }

    fn thaw(&mut self) -> Result<bool, Trouble> {
        self.continue_ours()?;
        let stopped =
            |found: &Found| self.census.stat(found.process.pid).is_some_and(Stat::is_stopped);
        Ok(!self.ours().any(stopped))
    }

    // A look costs some milliseconds on a host with a thousand processes.
    fn pause(&self) -> Duration {
        Duration::from_millis(if self.relaxing() { 10 } else { 2 })
    }
}

/// Continues a process that was noted; true when it runs or is gone. Another process of its
/// number is left alone.
pub(crate) fn resume(process: Process) -> Result<bool, Trouble> {
    let Some(handle) = open_process(process.pid).map_err(Trouble::system(Act::Look))? else {
        return Ok(true);
    };
    // Looked at after it was opened: from then on its number is not given away.
    if !process.lives() {
        return Ok(true);
    }
    // Also one that does not stand still: its stop may be on the way, and this takes it back.
    send(&handle, Signal::CONT)?;
    Ok(!processes::stat(process.pid).is_some_and(Stat::is_stopped))
}

fn open_process(pid: u32) -> Result<Option<OwnedFd>, Errno> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) => Ok(Some(handle)),
        Err(Errno::SRCH | Errno::INVAL) => Ok(None),
        Err(errno) => Err(errno),
    }
}

// A process that is gone needs no signal.
fn send(handle: &OwnedFd, signal: Signal) -> Result<(), Trouble> {
    match pidfd_send_signal(handle, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(errno) => Err(Trouble::system(Act::Signal)(errno)),
    }
}

const TRIES_BETWEEN_THAWS: u32 = 50;
/// So many processes of one target can be stopped by signals.
const FAMILY_MAX: usize = 4096;
