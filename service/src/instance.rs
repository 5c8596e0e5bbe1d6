//! One service for each state directory, and nobody replaces its catalog meanwhile.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::error::ServiceError;

/// The state directory is ours until this is dropped, or we die.
#[derive(Debug)]
pub(crate) struct Instance {
    _lock: File,
}

impl Instance {
    /// # Errors
    /// When another process has it.
    pub(crate) fn take(state_dir: &Path) -> Result<Self, ServiceError> {
        let failed = |source| ServiceError::System { action: "take the state directory", source };
        let mut file = open(state_dir).map_err(failed)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            file.read_to_string(&mut pid).map_err(failed)?;
            let pid = pid.trim().to_owned();
            return Err(ServiceError::Served { state_dir: state_dir.to_owned(), pid });
        }
        write_pid(&mut file).map_err(failed)?;
        Ok(Self { _lock: file })
    }
}

/// Whether a process has the state directory: a service, most likely.
pub(crate) fn is_taken(state_dir: &Path) -> bool {
    File::open(state_dir.join(NAME))
        .is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockShared).is_err())
}

fn open(state_dir: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(state_dir)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(state_dir.join(NAME))
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

const NAME: &str = "serve.pid";
