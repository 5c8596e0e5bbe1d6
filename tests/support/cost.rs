//! What a command costs.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::world::{Output, Running};

/// The unit of `/proc/<pid>/stat`, which Linux has fixed for programs.
const TICK: Duration = Duration::from_millis(10);
/// Fields of `/proc/<pid>/stat` behind the name: the time of the process, and of the kernel for it.
const TIMES: std::ops::Range<usize> = 11..13;

/// What a command has used.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// The time of all its threads, in steps of 10 ms, the kernel's work for it included.
    pub cpu: Duration,
    /// From its start to its end.
    pub time: Duration,
    /// The most bytes of memory that it had at once, up to about a millisecond before its end.
    pub memory: u64,
}

/// Waits for a command and looks at what it costs.
pub fn measured(running: Running) -> (Output, Cost) {
    let raw = i32::try_from(running.id()).expect("a process id");
    let pid = Pid::from_raw(raw).expect("no process has the number 0");
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let begin = Instant::now();
    let mut memory = 0;
    while waitid(WaitId::Pid(pid), ended).expect("a child can be awaited").is_none() {
        memory = memory.max(most_memory(raw));
        sleep(Duration::from_millis(1));
    }
    // Nobody has asked for its status, so that the kernel still knows it.
    let cost = Cost { cpu: cpu(raw), time: begin.elapsed(), memory };
    (running.finish(), cost)
}

fn most_memory(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) << 10
}

fn cpu(pid: i32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is known");
    let (_, fields) = stat.rsplit_once(") ").expect("the name is in brackets");
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = fields[TIMES].iter().map(|ticks| ticks.parse::<u32>().expect("a number"));
    TICK * ticks.sum::<u32>()
}
