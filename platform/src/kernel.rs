//! What the kernel tells about processes and cgroups: all reading of `/proc` and of the cgroup
//! filesystems is here.

pub(crate) mod process;

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use self::process::Process;
use crate::application::FreezeTarget;

/// Trees that the kernel makes up, and that hold no files of an application.
pub(crate) const KERNEL_TREES: [&str; 3] = ["/proc", "/sys", "/dev"];

/// A process by its number; `None` when there is none, or only its remains.
pub(crate) fn process(pid: u32) -> io::Result<Option<Process>> {
    let Some(text) = proc_file(pid, "stat")? else { return Ok(None) };
    let process = Process::parse(&text).ok_or_else(|| garbled("the state of a process"))?;
    Ok(Some(process).filter(|process| !process.ended))
}

/// This process and its ancestors, without the first process of all.
pub(crate) fn own_lineage() -> io::Result<Vec<u32>> {
    let mut lineage = vec![std::process::id()];
    while let Some(pid) = lineage.last()
        && let Some(process) = process(*pid)?
        && process.parent > 1
        // Ends even if the numbers were reused while we looked.
        && !lineage.contains(&process.parent)
    {
        lineage.push(process.parent);
    }
    Ok(lineage)
}

/// The processes of a cgroup and of all below it; 0 stands for one that we cannot see.
pub(crate) fn processes_below(cgroup: &Path) -> io::Result<Vec<u32>> {
    let mut pids = processes_in(cgroup)?;
    let mut waiting = vec![cgroup.to_owned()];
    while let Some(directory) = waiting.pop() {
        for child in directories(&directory)? {
            pids.extend(processes_in(&child)?);
            waiting.push(child);
        }
    }
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

/// The directories in a cgroup in the order of their names; none if it is gone.
pub(crate) fn directories(cgroup: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let Some(entries) = present(fs::read_dir(cgroup))? else { return Ok(found) };
    for entry in entries {
        let Some(entry) = present(entry)? else { break };
        if present(entry.file_type())?.is_some_and(|kind| kind.is_dir()) {
            found.push(entry.path());
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// How a cgroup is frozen, if its directory exists and can be frozen.
pub(crate) fn freezable_v2(directory: PathBuf) -> Option<FreezeTarget> {
    directory.join("cgroup.freeze").exists().then_some(FreezeTarget::CgroupV2(directory))
}

/// The same in the version 1 hierarchy.
pub(crate) fn freezable_v1(directory: PathBuf) -> Option<FreezeTarget> {
    directory.join("freezer.state").exists().then_some(FreezeTarget::CgroupV1(directory))
}

/// Whether somebody has frozen it, or is about to.
pub(crate) fn is_frozen(target: &FreezeTarget) -> bool {
    let (path, frozen) = match target {
        FreezeTarget::CgroupV2(directory) => (directory.join("cgroup.freeze"), "1"),
        FreezeTarget::CgroupV1(directory) => (directory.join("freezer.state"), "FR"),
        FreezeTarget::ProcessTree(_) | FreezeTarget::Engine(_) => return false,
    };
    fs::read_to_string(path).is_ok_and(|state| state.starts_with(frozen))
}

/// The inode of a directory: another one of the same name has another.
pub(crate) fn inode(directory: &Path) -> io::Result<u64> {
    Ok(fs::metadata(directory)?.ino())
}

/// The number in a pid file; `None` when there is no such file.
pub(crate) fn pid_in_file(path: &Path) -> io::Result<Option<u32>> {
    // Not blocking, in case somebody put a pipe there.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let Some(file) = present(OpenOptions::new().read(true).custom_flags(flags).open(path))? else {
        return Ok(None);
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut text = Vec::new();
    file.take(4096).read_to_end(&mut text)?;
    process::parse_pid_file(&text).map(Some).ok_or_else(|| garbled("the pid file"))
}

fn processes_in(cgroup: &Path) -> io::Result<Vec<u32>> {
    let text = match fs::read_to_string(cgroup.join("cgroup.procs")) {
        // A threaded cgroup shows its processes in the one above.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NOTSUP) => return Ok(Vec::new()),
        text => present(text)?.unwrap_or_default(),
    };
    text.lines().map(|line| line.parse().map_err(|_| garbled("the list of a cgroup"))).collect()
}

/// A file of a process below `/proc`; `None` when there is no such process.
pub(crate) fn proc_file(pid: u32, name: &str) -> io::Result<Option<Vec<u8>>> {
    present(fs::read(format!("/proc/{pid}/{name}")))
}

// Processes and cgroups come and go while they are looked at.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::SRCH | Errno::NODEV) => Ok(None),
            _ => Err(error),
        },
    }
}

/// The error of a text of the kernel that is not as it should be.
pub(crate) fn garbled(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} cannot be understood"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_among_the_processes() {
        let own = std::process::id();
        let process = process(own).unwrap().unwrap();
        assert!(process.started > 0);
        let lineage = own_lineage().unwrap();
        assert_eq!(lineage[0], own);
        assert!(!lineage.contains(&1) && !lineage.contains(&0));
    }

    #[test]
    fn what_is_not_there_is_none() {
        assert_eq!(process(u32::MAX).unwrap(), None);
        assert_eq!(pid_in_file(Path::new("/nowhere/at/all")).unwrap(), None);
        assert!(processes_below(Path::new("/nowhere/at/all")).unwrap().is_empty());
    }
}
