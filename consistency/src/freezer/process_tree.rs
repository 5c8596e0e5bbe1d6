//! Processes that have no cgroup of their own: a root and all its descendants, by signals.
//!
//! A descendant whose parent died belongs to somebody else by then and is not found. A process
//! that was stopped before us counts as still, and is not continued by us.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::processes::{self, Stat};
use super::{Freezer, FreezerError, Reading};
use crate::clock::Moment;

#[derive(Debug)]
pub(super) struct ProcessTree {
    root: u32,
    found: BTreeMap<u32, Process>,
    tries: u32,
}

#[derive(Debug)]
struct Process {
    handle: OwnedFd,
    // False for one that somebody else stopped.
    ours: bool,
}

impl ProcessTree {
    /// Opens the root; descendants are looked for at the freeze.
    pub(super) fn open(root: u32) -> Result<Self, FreezerError> {
        let handle = match open_process(root)? {
            Some((handle, stat)) if !stat.is_dead() => handle,
            _ => return Err(error("open", root, Errno::SRCH)),
        };
        let found = BTreeMap::from([(root, Process { handle, ours: false })]);
        Ok(Self { root, found, tries: 0 })
    }

    /// Opens the root and every descendant as if we had stopped them.
    pub(super) fn adopt(root: u32) -> Result<Self, FreezerError> {
        let mut tree = Self { root, found: BTreeMap::new(), tries: 0 };
        for pid in processes::family(root) {
            if let Some((handle, _)) = open_process(pid)? {
                tree.found.insert(pid, Process { handle, ours: true });
            }
        }
        Ok(tree)
    }

    // True when there was one that we had not seen before.
    fn stop_newcomers(&mut self) -> Result<bool, FreezerError> {
        let mut grown = false;
        for pid in processes::family(self.root) {
            if self.found.contains_key(&pid) {
                continue;
            }
            let Some((handle, stat)) = open_process(pid)? else { continue };
            if stat.is_dead() {
                continue;
            }
            grown = true;
            let ours = !stat.is_stopped();
            if ours {
                send(pid, &handle, Signal::STOP)?;
            }
            self.found.insert(pid, Process { handle, ours });
        }
        Ok(grown)
    }

    fn continue_ours(&self) -> Result<(), FreezerError> {
        let mut ours = self.found.iter().filter(|(_, process)| process.ours);
        ours.try_for_each(|(pid, process)| send(*pid, &process.handle, Signal::CONT))
    }

    fn stands_still(&self) -> bool {
        self.found.keys().all(|pid| is_still(*pid))
    }

    fn relaxing(&self) -> bool {
        self.tries > 0 && self.tries.is_multiple_of(TRIES_BETWEEN_THAWS)
    }
}

impl Freezer for ProcessTree {
    fn holds(&self, pid: u32) -> Result<bool, FreezerError> {
        Ok(processes::family(self.root).contains(&pid))
    }

    fn is_foreign(&mut self) -> Result<bool, FreezerError> {
        Ok(processes::stat(&self.root.to_string()).is_some_and(Stat::is_stopped))
    }

    fn freeze(&mut self) -> Result<(), FreezerError> {
        if let Some(root) = self.found.get_mut(&self.root) {
            root.ours = true;
            send(self.root, &root.handle, Signal::STOP)?;
        }
        self.stop_newcomers().map(drop)
    }

    fn settle(&mut self) -> Result<bool, FreezerError> {
        self.tries += 1;
        // One that waits for a child in vfork cannot stop while the child is stopped: let all run
        // for a moment, and try again.
        if self.relaxing() {
            self.continue_ours()?;
            return Ok(false);
        }
        for (pid, process) in self.found.iter().filter(|(_, process)| process.ours) {
            if !is_still(*pid) {
                send(*pid, &process.handle, Signal::STOP)?;
            }
        }
        Ok(!self.stop_newcomers()? && self.stands_still())
    }

    fn thaw(&mut self) -> Result<bool, FreezerError> {
        self.continue_ours()?;
        let mut ours = self.found.iter().filter(|(_, process)| process.ours);
        Ok(!ours.any(|(pid, _)| processes::stat(&pid.to_string()).is_some_and(Stat::is_stopped)))
    }

    fn reading(&mut self) -> Result<Reading, FreezerError> {
        let begin = Moment::now();
        let family = processes::family(self.root);
        let switches = family.iter().map(|pid| processes::switches(*pid)).sum();
        Ok(Reading {
            still: !self.found.is_empty() && family.iter().all(|pid| is_still(*pid)),
            usage: None,
            switches: Some(switches),
            processes: Some(family.len() as u64),
            frozen: None,
            changes: None,
            begin,
            end: Moment::now(),
        })
    }

    // A look costs some milliseconds on a host with a thousand processes.
    fn pause(&self) -> Duration {
        Duration::from_millis(if self.relaxing() { 10 } else { 2 })
    }
}

// The leader may be dead or stopped while other threads of its process run on.
fn is_still(pid: u32) -> bool {
    let stats = processes::threads(pid).into_iter().filter_map(|thread| processes::stat(&thread));
    stats.into_iter().all(|stat| stat.is_stopped() || stat.is_dead())
}

// The process is looked at after it was opened: from then on its number is not given away.
fn open_process(pid: u32) -> Result<Option<(OwnedFd, Stat)>, FreezerError> {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let raw = raw.ok_or_else(|| error("open", pid, Errno::SRCH))?;
    match pidfd_open(raw, PidfdFlags::empty()) {
        Ok(handle) => Ok(processes::stat(&pid.to_string()).map(|stat| (handle, stat))),
        Err(Errno::SRCH | Errno::INVAL) => Ok(None),
        Err(errno) => Err(error("open", pid, errno)),
    }
}

// A process that is gone needs no signal.
fn send(pid: u32, handle: &OwnedFd, signal: Signal) -> Result<(), FreezerError> {
    match pidfd_send_signal(handle, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(errno) => Err(error("signal", pid, errno)),
    }
}

fn error(action: &'static str, pid: u32, errno: Errno) -> FreezerError {
    FreezerError::Process { action, pid, source: errno.into() }
}

const TRIES_BETWEEN_THAWS: u32 = 50;
