//! Measuring a target from outside: whether it stands still, and what it has used so far.
//!
//! This is the service's part, which may allocate and open what it likes; the warden only freezes
//! and thaws.

use std::fmt;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use platform::application::{EnginePause, FreezeTarget};
use platform::cgroup::Hierarchies;
use platform::files::mounts::MountTable;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::cgroup::{self, Control};
use super::engine::{self, PausedGauge};
use super::{FreezerError, Reading, Trouble, cgroup_v1, cgroup_v2, processes};
use crate::clock::Moment;

/// A target that is looked at.
pub(crate) trait Gauge: fmt::Debug + Send {
    /// What can be measured now.
    fn reading(&mut self) -> Result<Reading, FreezerError>;
}

/// Opens a target to be looked at.
pub(crate) fn gauge(target: &FreezeTarget) -> Result<Box<dyn Gauge>, FreezerError> {
    Ok(match target {
        FreezeTarget::CgroupV1(path) => Box::new(GaugeV1::open(path)?),
        FreezeTarget::CgroupV2(path) => Box::new(GaugeV2::open(path)?),
        FreezeTarget::ProcessTree(root) => Box::new(GaugeTree { root: *root }),
        FreezeTarget::Engine(target) => {
            Box::new(GaugeEngine { target: target.clone(), paused: PausedGauge::open(target)? })
        }
    })
}

#[derive(Debug)]
struct GaugeV1 {
    directory: PathBuf,
    state: Control,
    usage: Option<Control>,
}

impl GaugeV1 {
    fn open(directory: &Path) -> Result<Self, FreezerError> {
        let state = Control::open(directory, cgroup_v1::FILE)?;
        Ok(Self { directory: directory.to_owned(), state, usage: accounting(directory) })
    }
}

impl Gauge for GaugeV1 {
    fn reading(&mut self) -> Result<Reading, FreezerError> {
        let begin = Moment::now();
        let found = cgroup::processes(&self.directory)?;
        let switches = found.iter().map(|pid| processes::switches(*pid)).sum();
        let usage = self.usage.as_ref().and_then(|usage| usage.read().ok().flatten());
        let state = self.state.read().unwrap_or_default();
        Ok(Reading {
            still: state.is_some_and(|text| text.as_str().trim() == "FROZEN"),
            usage: usage.and_then(|text| text.as_str().trim().parse().ok()),
            switches: Some(switches),
            processes: Some(found.len() as u64),
            ..Reading::since(begin)
        })
    }
}

#[derive(Debug)]
struct GaugeV2 {
    events: Control,
    usage: Control,
    // Only newer kernels count the time spent frozen.
    local: Option<Control>,
    changes: u64,
}

impl GaugeV2 {
    fn open(directory: &Path) -> Result<Self, FreezerError> {
        Ok(Self {
            events: Control::open(directory, "cgroup.events")?,
            usage: Control::open(directory, "cpu.stat")?,
            local: Control::open(directory, "cgroup.stat.local").ok(),
            changes: 0,
        })
    }

    // Reading `cgroup.events` makes the kernel wait for the next change, so this comes first.
    fn count_change(&mut self) {
        let mut fds = [PollFd::from_borrowed_fd(self.events.as_fd(), PollFlags::PRI)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut fds, Some(&now)).is_ok_and(|count| count > 0) {
            self.changes += 1;
        }
    }
}

impl Gauge for GaugeV2 {
    fn reading(&mut self) -> Result<Reading, FreezerError> {
        let value = |control: &Control, key| {
            let text: Result<_, Trouble> = control.read();
            text.ok().flatten().and_then(|text| cgroup::field(text.as_str(), key))
        };
        let begin = Moment::now();
        let frozen = self.local.as_ref().and_then(|local| value(local, "frozen_usec"));
        self.count_change();
        Ok(Reading {
            still: matches!(cgroup_v2::is_frozen(&self.events), Ok(Some(true))),
            usage: value(&self.usage, "usage_usec"),
            frozen,
            changes: Some(self.changes),
            ..Reading::since(begin)
        })
    }
}

#[derive(Debug)]
struct GaugeTree {
    root: u32,
}

impl Gauge for GaugeTree {
    fn reading(&mut self) -> Result<Reading, FreezerError> {
        let begin = Moment::now();
        let family = processes::family(self.root);
        let switches = family.iter().map(|pid| processes::switches(*pid)).sum();
        Ok(Reading {
            still: processes::stat(self.root).is_some()
                && family.iter().all(|pid| processes::is_still(*pid)),
            switches: Some(switches),
            processes: Some(family.len() as u64),
            ..Reading::since(begin)
        })
    }
}

/// A container that the engine paused, of which nothing but its processes can be seen.
#[derive(Debug)]
struct GaugeEngine {
    target: EnginePause,
    paused: PausedGauge,
}

impl Gauge for GaugeEngine {
    fn reading(&mut self) -> Result<Reading, FreezerError> {
        let begin = Moment::now();
        let found = engine::inside(&self.target)?;
        let switches = found.iter().map(|pid| processes::switches(*pid)).sum();
        let lives = processes::stat(self.target.root).is_some();
        let still = lives && self.paused.is_paused().unwrap_or(false);
        Ok(Reading {
            still,
            switches: Some(switches),
            processes: Some(found.len() as u64),
            ..Reading::since(begin)
        })
    }
}

// The CPU counter of the same processes, where the hierarchies have the same shape.
fn accounting(directory: &Path) -> Option<Control> {
    let hierarchies = Hierarchies::among(&MountTable::read().ok()?);
    let companion = companion(&hierarchies, directory)?;
    let sorted = |directory: &Path| {
        let mut found = cgroup::processes(directory).ok()?;
        found.sort_unstable();
        Some(found)
    };
    (sorted(&companion)? == sorted(directory)?).then_some(())?;
    Control::open(&companion, "cpuacct.usage").ok()
}

// The directory of the cgroup of the same name in the `cpuacct` hierarchy.
fn companion(hierarchies: &Hierarchies, directory: &Path) -> Option<PathBuf> {
    let cgroup = hierarchies.freezer.as_ref()?.cgroup(directory)?;
    hierarchies.accounting.as_ref()?.directory(&cgroup)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_counter_lies_at_the_same_path_of_its_own_hierarchy() {
        let mounts = b"\
30 27 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup x rw,cpu,cpuacct
31 27 0:31 / /sys/fs/cgroup/freezer rw - cgroup x rw,freezer
";
        let hierarchies = Hierarchies::among(&MountTable::parse(mounts).unwrap());
        let found = companion(&hierarchies, Path::new("/sys/fs/cgroup/freezer/docker/ab"));
        assert_eq!(found, Some(PathBuf::from("/sys/fs/cgroup/cpu,cpuacct/docker/ab")));
        assert_eq!(companion(&hierarchies, Path::new("/elsewhere")), None);
        assert_eq!(companion(&Hierarchies::default(), Path::new("/sys/fs/cgroup/freezer/a")), None);
    }
}
