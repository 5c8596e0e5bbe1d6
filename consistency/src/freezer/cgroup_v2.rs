//! Containers that have a cgroup in a version 2 hierarchy: one write freezes all below it, and
//! the kernel says when it is done.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cgroup::{self, Control};
use super::{Freezer, FreezerError, Reading};
use crate::clock::Moment;

#[derive(Debug)]
pub(super) struct CgroupV2 {
    directory: PathBuf,
    freeze: Control,
    events: Control,
    usage: Control,
    // Only newer kernels count the time spent frozen.
    local: Option<Control>,
    changes: u64,
    gone: bool,
}

impl CgroupV2 {
    pub(super) fn open(directory: &Path) -> Result<Self, FreezerError> {
        let local = Control::open(directory, "cgroup.stat.local").ok();
        Ok(Self {
            directory: directory.to_owned(),
            freeze: Control::open_writable(directory, "cgroup.freeze")?,
            events: Control::open(directory, "cgroup.events")?,
            usage: Control::open(directory, "cpu.stat")?,
            local,
            changes: 0,
            gone: false,
        })
    }

    // `None` when the cgroup is gone.
    fn frozen(&self) -> Result<Option<bool>, FreezerError> {
        Ok(self.events.read()?.map(|text| cgroup::field(&text, "frozen") == Some(1)))
    }

    fn frozen_micros(&self) -> Result<Option<u64>, FreezerError> {
        let Some(local) = &self.local else { return Ok(None) };
        Ok(local.read()?.and_then(|text| cgroup::field(&text, "frozen_usec")))
    }
}

impl Freezer for CgroupV2 {
    fn holds(&self, pid: u32) -> Result<bool, FreezerError> {
        Ok(cgroup::processes(&self.directory)?.contains(&pid))
    }

    fn is_foreign(&mut self) -> Result<bool, FreezerError> {
        let told = self.freeze.read()?.is_some_and(|text| text.trim() == "1");
        Ok(told || self.frozen()? == Some(true))
    }

    fn freeze(&mut self) -> Result<(), FreezerError> {
        if self.freeze.write("1")? { Ok(()) } else { Err(FreezerError::Gone) }
    }

    fn settle(&mut self) -> Result<bool, FreezerError> {
        self.frozen()?.ok_or(FreezerError::Gone)
    }

    fn thaw(&mut self) -> Result<bool, FreezerError> {
        if !self.freeze.write("0")? {
            return Ok(true);
        }
        Ok(self.frozen()? != Some(true))
    }

    fn reading(&mut self) -> Result<Reading, FreezerError> {
        let begin = Moment::now();
        let frozen = self.frozen_micros()?;
        let usage = self.usage.read()?.and_then(|text| cgroup::field(&text, "usage_usec"));
        let still = self.frozen()? == Some(true);
        let changes = Some(self.changes);
        let end = Moment::now();
        Ok(Reading { begin, end, still, usage, switches: None, processes: None, frozen, changes })
    }

    // The events tell; this is for one that got lost.
    fn pause(&self) -> Duration {
        Duration::from_millis(20)
    }

    fn events(&self) -> Option<BorrowedFd<'_>> {
        (!self.gone).then(|| self.events.as_fd())
    }

    // Reading makes the kernel wait for the next change; of a cgroup that is gone it would report
    // changes for ever.
    fn notice(&mut self) {
        self.changes += 1;
        self.gone = matches!(self.frozen(), Ok(None));
    }
}
