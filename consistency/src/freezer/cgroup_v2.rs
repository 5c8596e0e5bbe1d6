//! Containers that have a cgroup in a version 2 hierarchy: one write freezes all below it, and
//! the kernel says when it is done.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cgroup::{self, Control};
use super::{Freezer, FreezerError, Note, Trouble};

#[derive(Debug)]
pub(super) struct CgroupV2 {
    directory: PathBuf,
    freeze: Control,
    events: Control,
    gone: bool,
}

impl CgroupV2 {
    pub(super) fn open(directory: &Path) -> Result<Self, FreezerError> {
        Ok(Self {
            directory: directory.to_owned(),
            freeze: Control::open_writable(directory, "cgroup.freeze")?,
            events: Control::open(directory, "cgroup.events")?,
            gone: false,
        })
    }

    // `None` when the cgroup is gone.
    fn frozen(&self) -> Result<Option<bool>, Trouble> {
        is_frozen(&self.events)
    }
}

/// Whether every process stands still, by the file of events; `None` when the cgroup is gone.
pub(super) fn is_frozen(events: &Control) -> Result<Option<bool>, Trouble> {
    Ok(events.read()?.map(|text| cgroup::field(text.as_str(), "frozen") == Some(1)))
}

impl Freezer for CgroupV2 {
    fn processes(&self) -> Result<Vec<u32>, FreezerError> {
        cgroup::processes(&self.directory)
    }

    fn is_foreign(&mut self) -> Result<bool, Trouble> {
        let told = self.freeze.read()?.is_some_and(|text| text.as_str().trim() == "1");
        Ok(told || self.frozen()? == Some(true))
    }

    fn freeze(&mut self, _note: Note<'_>) -> Result<(), Trouble> {
        if self.freeze.write("1")? { Ok(()) } else { Err(Trouble::Gone) }
    }

    fn settle(&mut self, _note: Note<'_>) -> Result<bool, Trouble> {
        self.frozen()?.ok_or(Trouble::Gone)
    }

    fn thaw(&mut self) -> Result<bool, Trouble> {
        if !self.freeze.write("0")? {
            return Ok(true);
        }
        Ok(self.frozen()? != Some(true))
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
    fn notice(&mut self) -> bool {
        self.gone = matches!(self.frozen(), Ok(None));
        !self.gone
    }
}
