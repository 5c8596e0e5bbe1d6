//! Who descends from whom, found out through a descriptor of `/proc` and in memory that is there.

use std::io::Write as _;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, RawDir, SeekFrom, openat, seek};
use rustix::io::{Errno, read, retry_on_intr};

use super::super::{Act, Trouble};
use super::{Stat, parse_stat};

/// Every process of the host, and among them a root and its descendants.
#[derive(Debug)]
pub(in super::super) struct Census {
    proc: OwnedFd,
    // Parent and child, by parent.
    children: Vec<(u32, u32)>,
    family: Vec<u32>,
}

impl Census {
    /// Takes all the memory that it will ever need.
    pub(in super::super) fn new(proc: OwnedFd) -> Self {
        let children = Vec::with_capacity(HOST_PROCESSES_MAX);
        Self { proc, children, family: Vec::with_capacity(HOST_PROCESSES_MAX) }
    }

    /// Finds a process and all its descendants as of now; [`Census::member`] tells them.
    pub(in super::super) fn family(&mut self, root: u32) -> Result<(), Trouble> {
        self.children.clear();
        let (proc, children) = (&self.proc, &mut self.children);
        let mut full = false;
        each_number(proc, |pid| {
            let Some(stat) = stat(proc, pid) else { return };
            if children.len() < HOST_PROCESSES_MAX {
                children.push((stat.parent, pid));
            } else {
                full = true;
            }
        })?;
        if full {
            return Err(Trouble::Full);
        }
        self.children.sort_unstable();
        self.family.clear();
        self.family.push(root);
        let mut next = 0;
        while let Some(parent) = self.family.get(next).copied() {
            next += 1;
            let first = self.children.partition_point(|(above, _)| *above < parent);
            let below = self.children.get(first..).unwrap_or_default();
            for (_, child) in below.iter().take_while(|(above, _)| *above == parent) {
                // Numbers are used again while we look: no process is its own ancestor.
                if *child != root && self.family.len() < HOST_PROCESSES_MAX {
                    self.family.push(*child);
                }
            }
        }
        Ok(())
    }

    /// One of the family that was found, counted from 0.
    pub(in super::super) fn member(&self, number: usize) -> Option<u32> {
        self.family.get(number).copied()
    }

    /// A process; `None` when there is none.
    pub(in super::super) fn stat(&self, pid: u32) -> Option<Stat> {
        stat(&self.proc, pid)
    }

    /// Whether every thread of a process stands still.
    pub(in super::super) fn is_still(&self, pid: u32) -> bool {
        let mut still = true;
        let Some(threads) = open(&self.proc, pid, "/task", OFlags::DIRECTORY) else { return true };
        let looked = each_number(&threads, |thread| {
            let stat = stat(&threads, thread);
            still &= stat.is_none_or(|stat| stat.is_stopped() || stat.is_dead());
        });
        still && looked.is_ok()
    }
}

/// A descriptor of `/proc`.
pub(in super::super) fn open_proc() -> Result<OwnedFd, Errno> {
    openat(CWD, "/proc", OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

fn each_number(directory: &OwnedFd, mut each: impl FnMut(u32)) -> Result<(), Trouble> {
    seek(directory, SeekFrom::Start(0)).map_err(Trouble::system(Act::Look))?;
    let mut buffer = [MaybeUninit::uninit(); 8192];
    let mut entries = RawDir::new(directory.as_fd(), &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = match entry {
            Ok(entry) => entry,
            // The process of these threads has ended.
            Err(Errno::NOENT | Errno::SRCH) => return Ok(()),
            Err(errno) => return Err(Trouble::system(Act::Look)(errno)),
        };
        if let Some(number) = entry.file_name().to_str().ok().and_then(|name| name.parse().ok()) {
            each(number);
        }
    }
    Ok(())
}

fn stat(directory: &OwnedFd, number: u32) -> Option<Stat> {
    let file = open(directory, number, "/stat", OFlags::empty())?;
    let mut buffer = [0; STAT_BYTES_MAX];
    let length = retry_on_intr(|| read(&file, &mut buffer)).ok()?;
    parse_stat(buffer.get(..length)?)
}

fn open(directory: &OwnedFd, number: u32, name: &str, flags: OFlags) -> Option<OwnedFd> {
    let mut buffer = [0; PATH_BYTES_MAX];
    let mut rest = &mut buffer[..];
    write!(rest, "{number}{name}").ok()?;
    let length = PATH_BYTES_MAX - rest.len();
    let path = buffer.get(..length)?;
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    retry_on_intr(|| openat(directory, path, flags, Mode::empty())).ok()
}

// A host with more is told so, and has cgroups.
const HOST_PROCESSES_MAX: usize = 65_536;
// Some fifty numbers of at most 20 digits, and a name.
const STAT_BYTES_MAX: usize = 2048;
const PATH_BYTES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_census_finds_the_same_family_as_everybody_else() {
        let parent = super::super::stat(std::process::id()).unwrap().parent;
        let mut census = Census::new(open_proc().unwrap());
        census.family(parent).unwrap();
        assert!(census.family.contains(&std::process::id()) && census.family.contains(&parent));
        assert_eq!(census.member(0), Some(parent));
        census.family(std::process::id()).unwrap();
        assert!(!census.family.contains(&parent));
        assert_eq!(census.stat(parent), super::super::stat(parent));
        assert!(!census.is_still(std::process::id()));
    }
}
