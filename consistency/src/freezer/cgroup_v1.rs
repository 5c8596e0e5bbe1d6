//! Containers that have a cgroup in the version 1 `freezer` hierarchy.
//!
//! That freezer can stick half-way. Writing again, with a short sleep and now and then a brief
//! thaw in between, gets it through: the way of runc, which did not fail in 250 rounds here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cgroup::{self, Control};
use super::{Freezer, FreezerError, Note, Trouble};

#[derive(Debug)]
pub(super) struct CgroupV1 {
    directory: PathBuf,
    state: Control,
    tries: u32,
}

impl CgroupV1 {
    pub(super) fn open(directory: &Path) -> Result<Self, FreezerError> {
        let state = Control::open_writable(directory, FILE)?;
        Ok(Self { directory: directory.to_owned(), state, tries: 0 })
    }

    fn is(&self, state: &str) -> Result<bool, Trouble> {
        Ok(self.state.read()?.is_some_and(|text| text.as_str().trim() == state))
    }

    fn relaxing(&self) -> bool {
        self.tries > 0 && self.tries.is_multiple_of(TRIES_BETWEEN_THAWS)
    }
}

impl Freezer for CgroupV1 {
    fn processes(&self) -> Result<Vec<u32>, FreezerError> {
        cgroup::processes(&self.directory)
    }

    fn is_foreign(&mut self) -> Result<bool, Trouble> {
        Ok(!self.is("THAWED")?)
    }

    fn freeze(&mut self, _note: Note<'_>) -> Result<(), Trouble> {
        if self.state.write("FROZEN")? { Ok(()) } else { Err(Trouble::Gone) }
    }

    fn settle(&mut self, _note: Note<'_>) -> Result<bool, Trouble> {
        if self.is("FROZEN")? {
            return Ok(true);
        }
        self.tries += 1;
        let state = if self.relaxing() { "THAWED" } else { "FROZEN" };
        if !self.state.write(state)? {
            return Err(Trouble::Gone);
        }
        Ok(!self.relaxing() && self.is("FROZEN")?)
    }

    fn thaw(&mut self) -> Result<bool, Trouble> {
        if !self.state.write("THAWED")? {
            return Ok(true);
        }
        Ok(self.state.read()?.is_none_or(|text| text.as_str().trim() == "THAWED"))
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(if self.relaxing() { 10 } else { 1 })
    }
}

pub(super) const FILE: &str = "freezer.state";
const TRIES_BETWEEN_THAWS: u32 = 50;
