//! Containers that have a cgroup in the version 1 `freezer` hierarchy.
//!
//! That freezer can stick half-way. Writing again, with a short sleep and now and then a brief
//! thaw in between, gets it through: the way of runc, which did not fail in 250 rounds here.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cgroup::{self, Control};
use super::{Freezer, FreezerError, Reading, processes};
use crate::clock::Moment;

#[derive(Debug)]
pub(super) struct CgroupV1 {
    directory: PathBuf,
    state: Control,
    usage: Option<Control>,
    tries: u32,
}

impl CgroupV1 {
    pub(super) fn open(directory: &Path) -> Result<Self, FreezerError> {
        Ok(Self {
            directory: directory.to_owned(),
            state: Control::open_writable(directory, "freezer.state")?,
            usage: accounting(directory),
            tries: 0,
        })
    }

    fn is(&self, state: &str) -> Result<bool, FreezerError> {
        Ok(self.state.read()?.is_some_and(|text| text.trim() == state))
    }

    fn relaxing(&self) -> bool {
        self.tries > 0 && self.tries.is_multiple_of(TRIES_BETWEEN_THAWS)
    }
}

impl Freezer for CgroupV1 {
    fn holds(&self, pid: u32) -> Result<bool, FreezerError> {
        Ok(cgroup::processes(&self.directory)?.contains(&pid))
    }

    fn is_foreign(&mut self) -> Result<bool, FreezerError> {
        Ok(!self.is("THAWED")?)
    }

    fn freeze(&mut self) -> Result<(), FreezerError> {
        if self.state.write("FROZEN")? { Ok(()) } else { Err(FreezerError::Gone) }
    }

    fn settle(&mut self) -> Result<bool, FreezerError> {
        if self.is("FROZEN")? {
            return Ok(true);
        }
        self.tries += 1;
        let state = if self.relaxing() { "THAWED" } else { "FROZEN" };
        if !self.state.write(state)? {
            return Err(FreezerError::Gone);
        }
        Ok(!self.relaxing() && self.is("FROZEN")?)
    }

    fn thaw(&mut self) -> Result<bool, FreezerError> {
        if !self.state.write("THAWED")? {
            return Ok(true);
        }
        Ok(self.state.read()?.is_none_or(|text| text.trim() == "THAWED"))
    }

    fn reading(&mut self) -> Result<Reading, FreezerError> {
        let begin = Moment::now();
        let found = cgroup::processes(&self.directory)?;
        let switches = found.iter().map(|pid| processes::switches(*pid)).sum();
        let usage = match &self.usage {
            Some(control) => control.read()?.and_then(|text| text.trim().parse().ok()),
            None => None,
        };
        Ok(Reading {
            still: self.is("FROZEN")?,
            usage,
            switches: Some(switches),
            processes: Some(found.len() as u64),
            frozen: None,
            changes: None,
            begin,
            end: Moment::now(),
        })
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(if self.relaxing() { 10 } else { 1 })
    }
}

// The CPU counter of the same processes, where the hierarchies have the same shape.
fn accounting(directory: &Path) -> Option<Control> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let companion = companion(&mounts, directory)?;
    let sorted = |directory: &Path| {
        let mut found = cgroup::processes(directory).ok()?;
        found.sort_unstable();
        Some(found)
    };
    (sorted(&companion)? == sorted(directory)?).then_some(())?;
    Control::open(&companion, "cpuacct.usage").ok()
}

// The directory of the same name in the `cpuacct` hierarchy.
fn companion(mounts: &str, directory: &Path) -> Option<PathBuf> {
    let hierarchy = |controller: &str| {
        mounts.lines().find_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let (point, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
            let fits = kind == "cgroup" && options.split(',').any(|option| option == controller);
            fits.then(|| PathBuf::from(point))
        })
    };
    let below = directory.strip_prefix(hierarchy("freezer")?).ok()?;
    Some(hierarchy("cpuacct")?.join(below))
}

const TRIES_BETWEEN_THAWS: u32 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_counter_lies_at_the_same_path_of_its_own_hierarchy() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
            cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0\n\
            cgroup /sys/fs/cgroup/freezer cgroup rw,relatime,freezer 0 0\n";
        let found = companion(mounts, Path::new("/sys/fs/cgroup/freezer/docker/ab"));
        assert_eq!(found, Some(PathBuf::from("/sys/fs/cgroup/cpu,cpuacct/docker/ab")));
        assert_eq!(companion(mounts, Path::new("/elsewhere")), None);
        assert_eq!(companion("cgroup", Path::new("/sys/fs/cgroup/freezer/a")), None);
    }
}
