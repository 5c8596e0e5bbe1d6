//! The target of a restore: everything is made beneath it, through open directories.

use std::fs;
use std::io;
use std::path::Path;

use format::raw::RawPath;
use platform::files::Dir;

/// The directory that one volume is made in.
pub(crate) struct Target {
    /// Where the volume's own name is made.
    pub(crate) parent: Dir,
    /// That name.
    pub(crate) name: Vec<u8>,
}

impl Target {
    /// Makes the target, and in it the directories above `destination`, where they are missing.
    pub(crate) fn make(target: &Path, destination: &RawPath) -> io::Result<Self> {
        fs::create_dir_all(target)?;
        let mut parent = Dir::open(target)?;
        let (name, parts) = split(destination);
        for part in parts {
            parent = match parent.create_dir(part) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => parent.open_dir(part)?,
                made => made?,
            };
        }
        Ok(Self { parent, name })
    }

    /// The target as it is; `None` where something above the volume is missing or no directory.
    pub(crate) fn find(target: &Path, destination: &RawPath) -> Option<Self> {
        let mut parent = Dir::open(target).ok()?;
        let (name, parts) = split(destination);
        for part in parts {
            parent = parent.open_dir(part).ok()?;
        }
        Some(Self { parent, name })
    }
}

fn split(destination: &RawPath) -> (Vec<u8>, Vec<&[u8]>) {
    let mut parts: Vec<&[u8]> = destination.as_bytes().split(|b| *b == b'/').collect();
    (parts.pop().unwrap_or_default().to_vec(), parts)
}
