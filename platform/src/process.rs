//! Processes of this host, told from later ones with the same number.

use std::io;

use crate::kernel;

/// One process, and no other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProcessIdentity {
    /// Its number.
    pub pid: u32,
    /// When it was started, in clock ticks since the boot.
    pub start_ticks: u64,
}

impl ProcessIdentity {
    /// This process.
    pub fn current() -> io::Result<Self> {
        let pid = std::process::id();
        let process = kernel::process(pid)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { pid, start_ticks: process.started })
    }

    /// Whether the process still exists and has not ended.
    pub fn is_alive(&self) -> io::Result<bool> {
        let found = kernel::process(self.pid)?;
        Ok(found.is_some_and(|process| process.started == self.start_ticks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_a_namesake_is_not() {
        let current = ProcessIdentity::current().unwrap();
        assert!(current.is_alive().unwrap());
        let namesake = ProcessIdentity { start_ticks: current.start_ticks + 1, ..current };
        assert!(!namesake.is_alive().unwrap());
    }
}
