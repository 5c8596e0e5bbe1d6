//! The directory in which snapshots lie, on each filesystem that has some.

use std::io;

use rustix::process::geteuid;

use super::directory::Dir;
use super::inspect::inspect_open;

/// Its name, at the mount point or as far up as its owner may write.
pub const SNAPSHOT_HOME: &str = ".stillpoint";

/// The names in a directory without that of one with snapshots, which no restore may take away.
pub fn names_but_ours(dir: &Dir) -> io::Result<Vec<Vec<u8>>> {
    let home = SNAPSHOT_HOME.as_bytes();
    let mut names = dir.names()?;
    // What others have made under this name is theirs.
    names.retain(|name| {
        name != home || !dir.open_dir(home).is_ok_and(|d| is_private(&d).unwrap_or(false))
    });
    Ok(names)
}

/// Whether a directory is ours, and nobody else may enter it.
pub fn is_private(dir: &Dir) -> io::Result<bool> {
    let metadata = inspect_open(dir)?.metadata;
    Ok(metadata.uid == geteuid().as_raw() && metadata.mode & OTHERS == 0)
}

/// What the group and everybody else may do.
const OTHERS: u32 = 0o077;
