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
    lock: File,
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
            let pid = pid.lines().next().unwrap_or_default().to_owned();
            return Err(ServiceError::Served { state_dir: state_dir.to_owned(), pid });
        }
        let mut instance = Self { lock: file };
        instance.tell("").map_err(failed)?;
        Ok(instance)
    }

    /// Tells whoever reads the file, beside who has the directory, what it works with.
    pub(crate) fn tell(&mut self, what: &str) -> io::Result<()> {
        self.lock.set_len(0)?;
        self.lock.rewind()?;
        write!(self.lock, "{}\n{what}\n", std::process::id())
    }
}

/// What the last service of a state directory has worked with.
pub(crate) fn told(state_dir: &Path) -> Option<String> {
    let text = std::fs::read_to_string(state_dir.join(NAME)).ok()?;
    text.lines().nth(1).filter(|told| !told.is_empty()).map(ToOwned::to_owned)
}

fn open(state_dir: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(state_dir)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(state_dir.join(NAME))
}

const NAME: &str = "serve.pid";
