//! What `/proc` tells about processes and their threads.
//!
//! [`Census`] is for the warden: it looks through a descriptor of `/proc` and needs no memory
//! that it does not have from the start. The functions are for everybody else.

mod census;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde::{Deserialize, Serialize};

pub(super) use self::census::{Census, open_proc};

/// A line of `/proc/<pid>/stat`, as far as it matters here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Stat {
    pub(super) parent: u32,
    pub(super) state: char,
    /// Whether it runs nothing of its own any more, and what it holds is being let go.
    pub(super) exiting: bool,
    /// Clock ticks since boot; with the pid it names a process for good.
    pub(super) started: u64,
}

/// One process, and no later one of the same number.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// Clock ticks since boot.
    pub(crate) started: u64,
}

impl Process {
    /// The process that has this number now.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = stat(pid).filter(|stat| !stat.is_dead())?;
        Some(Self { pid, started: stat.started })
    }

    /// Whether it is there still.
    pub(crate) fn lives(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Whether it was killed, and may not have let go yet of all that it held.
    pub(crate) fn is_ending(self) -> bool {
        stat(self.pid).is_none_or(|stat| stat.started != self.started || stat.exiting)
    }
}

impl Stat {
    /// Whether there is nothing left that could run.
    pub(super) fn is_dead(self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }

    /// Whether a signal stopped it.
    pub(super) fn is_stopped(self) -> bool {
        self.state == 'T'
    }
}

/// A process; `None` when there is none.
pub(super) fn stat(pid: u32) -> Option<Stat> {
    stat_at(&pid.to_string())
}

/// Whether every thread of a process stands still: the leader may be dead or stopped while others
/// run on.
pub(super) fn is_still(pid: u32) -> bool {
    let stats = threads(pid).into_iter().filter_map(|thread| stat_at(&thread));
    stats.into_iter().all(|stat| stat.is_stopped() || stat.is_dead())
}

/// How often the threads of a process were switched to or away from, all together.
pub(super) fn switches(pid: u32) -> u64 {
    let count = |thread: &String| {
        let status = fs::read(format!("/proc/{thread}/status")).unwrap_or_default();
        parse_switches(&String::from_utf8_lossy(&status))
    };
    threads(pid).iter().map(count).sum()
}

/// A process and all its descendants.
pub(super) fn family(root: u32) -> BTreeSet<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for pid in numbers("/proc") {
        if let Some(stat) = stat(pid) {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let mut family = BTreeSet::new();
    let mut pending = vec![root];
    while let Some(pid) = pending.pop() {
        if family.insert(pid) {
            pending.extend(children.get(&pid).into_iter().flatten());
        }
    }
    family
}

fn stat_at(path: &str) -> Option<Stat> {
    parse_stat(&fs::read(format!("/proc/{path}/stat")).ok()?)
}

fn threads(pid: u32) -> Vec<String> {
    let names = numbers(&format!("/proc/{pid}/task"));
    names.into_iter().map(|thread| format!("{pid}/task/{thread}")).collect()
}

fn numbers(directory: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

// The name in parentheses may hold anything, parentheses and line ends included.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let close = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let flags: u32 = fields.nth(FLAGS_AFTER_PARENT)?.parse().ok()?;
    let started = fields.nth(STARTED_AFTER_FLAGS)?.parse().ok()?;
    Some(Stat { parent, state, exiting: flags & PF_EXITING != 0, started })
}

fn parse_switches(status: &str) -> u64 {
    let count = |line: &str| {
        let (key, value) = line.split_once(':')?;
        key.ends_with("voluntary_ctxt_switches").then(|| value.trim().parse().unwrap_or(0))
    };
    status.lines().filter_map(count).sum::<u64>()
}

// `ppid` is field 4, `flags` field 9 and `starttime` field 22 of proc_pid_stat(5).
const FLAGS_AFTER_PARENT: usize = 9 - 4 - 1;
const STARTED_AFTER_FLAGS: usize = 22 - 9 - 1;
// From `linux/sched.h`.
const PF_EXITING: u32 = 0x4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_mislead() {
        let text = b"12 (a) R (b\n) T 7 1 1 0 -1 4 0 0 0 0 1 2 3 4 20 0 1 0 987654 8 9";
        let expected = Stat { parent: 7, state: 'T', exiting: true, started: 987_654 };
        assert_eq!(parse_stat(text), Some(expected));
    }

    #[test]
    fn torn_lines_are_no_process() {
        for text in [&b""[..], b"12 (a", b"12 (a)", b"12 (a) R", b"12 (a) R 1 2 3", b"\xff)\xff"] {
            assert_eq!(parse_stat(text), None, "{text:?}");
        }
    }

    #[test]
    fn both_kinds_of_switches_count() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t37\n";
        assert_eq!(parse_switches(status), 42);
    }

    #[test]
    fn we_belong_to_our_parents_family() {
        let own = std::process::id();
        let parent = stat(own).unwrap().parent;
        assert!(family(parent).contains(&own));
        assert!(!family(own).contains(&parent));
        assert!(!threads(own).is_empty());
    }

    #[test]
    fn a_namesake_is_another_process() {
        let own = Process::of(std::process::id()).unwrap();
        assert!(own.lives() && !own.is_ending());
        let other = Process { started: own.started + 1, ..own };
        assert!(!other.lives() && other.is_ending());
    }
}
