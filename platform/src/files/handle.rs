//! Handles that name a file without opening it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Statx, StatxFlags, openat, statx};

/// A handle on whatever has this name, symbolic links included.
pub(super) fn pin(dir: impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
    let name = component(name)?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(dir, name, flags, Mode::empty())?)
}

/// A handle on what this path leads to.
pub(super) fn pin_path(path: &std::path::Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// A path that leads to the very file of a handle, even if that is a symbolic link.
///
/// Calls on extended attributes and modes take no handle of the kind that [`pin`] makes.
pub(super) fn path_of(handle: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", handle.as_fd().as_raw_fd()))
}

/// What the kernel knows of the file of a handle.
pub(super) fn stat(handle: impl AsFd) -> io::Result<Statx> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
    Ok(statx(handle, "", flags, StatxFlags::BASIC_STATS)?)
}

/// The name itself, if it can name something in a directory and nothing elsewhere.
pub(super) fn component(name: &[u8]) -> io::Result<&[u8]> {
    if matches!(name, b"" | b"." | b"..") || name.iter().any(|byte| matches!(byte, b'/' | 0)) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{}` is no file name", name.escape_ascii()),
        ));
    }
    Ok(name)
}
