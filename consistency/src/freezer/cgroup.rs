//! Control files of cgroups, held open.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{Act, FreezerError, Trouble};

/// One control file; reading and writing it again needs no lookup and no memory.
#[derive(Debug)]
pub(super) struct Control {
    file: File,
}

/// What a control file says.
pub(super) struct Text {
    buffer: [u8; TEXT_BYTES_MAX],
    length: usize,
}

impl Text {
    /// The whole of it; nothing if it is no text.
    pub(super) fn as_str(&self) -> &str {
        let text = self.buffer.get(..self.length).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

impl Control {
    pub(super) fn open(directory: &Path, name: &str) -> Result<Self, FreezerError> {
        Self::open_with(OpenOptions::new().read(true), directory.join(name))
    }

    pub(super) fn open_writable(directory: &Path, name: &str) -> Result<Self, FreezerError> {
        Self::open_with(OpenOptions::new().read(true).write(true), directory.join(name))
    }

    fn open_with(options: &OpenOptions, path: PathBuf) -> Result<Self, FreezerError> {
        match options.open(&path) {
            Ok(file) => Ok(Self { file }),
            Err(source) => Err(FreezerError::Cgroup { action: "open", path, source }),
        }
    }

    /// The whole text; `None` when the cgroup is gone.
    pub(super) fn read(&self) -> Result<Option<Text>, Trouble> {
        let mut text = Text { buffer: [0; TEXT_BYTES_MAX], length: 0 };
        while let Some(rest) = text.buffer.get_mut(text.length..).filter(|rest| !rest.is_empty()) {
            match rustix::io::pread(&self.file, rest, text.length as u64) {
                Ok(0) => break,
                Ok(count) => text.length += count,
                Err(Errno::INTR) => {}
                Err(Errno::NODEV) => return Ok(None),
                Err(errno) => return Err(Trouble::system(Act::Read)(errno)),
            }
        }
        Ok(Some(text))
    }

    /// Writes the text in one go; false when the cgroup is gone.
    pub(super) fn write(&self, text: &str) -> Result<bool, Trouble> {
        loop {
            match rustix::io::pwrite(&self.file, text.as_bytes(), 0) {
                Ok(_) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(Errno::NODEV) => return Ok(false),
                Err(errno) => return Err(Trouble::system(Act::Write)(errno)),
            }
        }
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The value of `key` in a text of lines `key value`.
pub(super) fn field(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?;
    rest.trim().parse().ok()
}

/// Every process in a cgroup and in those below it.
pub(super) fn processes(directory: &Path) -> Result<Vec<u32>, FreezerError> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        let path = directory.join("cgroup.procs");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if is_gone(&error) => continue,
            Err(source) => return Err(FreezerError::Cgroup { action: "read", path, source }),
        };
        found.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        let below = entries.flatten().filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()));
        pending.extend(below.map(|entry| entry.path()));
    }
    Ok(found)
}

// A threaded cgroup has no list of processes; its threads belong to one further up.
fn is_gone(error: &io::Error) -> bool {
    let gone = [Errno::NODEV, Errno::NOENT, Errno::OPNOTSUPP];
    error.raw_os_error().is_some_and(|raw| gone.iter().any(|errno| errno.raw_os_error() == raw))
}

// The longest file read here, `cpu.stat`, has some hundred bytes.
const TEXT_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "frozen_usec 12\nfrozen 1\nodd\n";
        assert_eq!(field(text, "frozen"), Some(1));
        assert_eq!(field(text, "frozen_usec"), Some(12));
        assert_eq!(field(text, "populated"), None);
        assert_eq!(field(text, "odd"), None);
    }
}
