//! What is frozen, written down before it is, so that whoever comes next can thaw it.
//!
//! One file for each freeze, `<run>.journal`: a line of JSON, the line of the deadline, a line
//! with one mark for each target, and a line for each process that was stopped by a signal. The
//! warden writes it whole and synchronises it before it freezes anything; from then on it only
//! overwrites bytes that are there. It holds a lock on it as long as it lives.
//!
//! A freeze does not outlive the machine's uptime, so the file lies where nothing else does:
//! usually below `/run`, in memory.

mod record;
mod sweep;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use platform::application::FreezeTarget;
use rustix::fs::{FlockOperation, flock};
use rustix::io::{pwrite, retry_on_intr};
use rustix::process::geteuid;

pub(crate) use self::record::Mark;
use self::record::{Content, Header, PROCESS_BYTES, Place, process_line, until_line};
pub(crate) use self::sweep::{Sweep, sweep_one};
pub use self::sweep::{Swept, Thawed, Which, sweep};
use crate::clock::Moment;
use crate::freezer::{Act, Process, Trouble};

/// The journal of a freeze, held open and locked by its warden.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    place: Place,
    processes: usize,
}

impl Journal {
    /// Writes the intent to freeze these targets, and makes sure that it is stored.
    pub(crate) fn create(
        directory: &Path,
        name: &str,
        targets: &[FreezeTarget],
    ) -> io::Result<Self> {
        make_directory(directory)?;
        let header = Header::of(targets)?;
        let (text, place) = header.text()?;
        let path = path_of(directory, name);
        let new = path.with_extension(NEW);
        let mut file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&new)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        file.write_all(&text)?;
        file.sync_all()?;
        // Not by renaming: it must never take the place of another one.
        fs::hard_link(&new, &path)?;
        fs::remove_file(&new)?;
        File::open(directory)?.sync_all()?;
        Ok(Self { file, path, place, processes: 0 })
    }

    /// Writes down when everything is thawed in any case.
    pub(crate) fn begin(&self, until: Moment) -> Result<(), Trouble> {
        self.overwrite(&until_line(until), self.place.until)
    }

    /// Writes down what becomes of one target.
    pub(crate) fn mark(&self, target: usize, mark: Mark) -> Result<(), Trouble> {
        self.overwrite(&[mark.byte()], self.place.marks + target as u64)
    }

    /// Writes down a process that is about to be stopped.
    pub(crate) fn note(&mut self, target: usize, process: Process) -> Result<(), Trouble> {
        if self.processes >= self.place.process_lines {
            return Err(Trouble::Full);
        }
        let at = self.place.processes + (self.processes * PROCESS_BYTES) as u64;
        self.overwrite(&process_line(target, process), at)?;
        self.processes += 1;
        Ok(())
    }

    /// Removes it: nothing is frozen any more.
    pub(crate) fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }

    fn overwrite(&self, bytes: &[u8], at: u64) -> Result<(), Trouble> {
        let written = retry_on_intr(|| pwrite(&self.file, bytes, at));
        match written.map_err(Trouble::system(Act::Note))? {
            count if count == bytes.len() => Ok(()),
            _ => Err(Trouble::Full),
        }
    }
}

/// Where the journal of a run lies.
pub(crate) fn path_of(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.{EXTENSION}"))
}

// Whoever may write here can have things thawed: only we may.
fn make_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).recursive(true).create(directory)?;
    belongs_to_us(directory)
}

fn belongs_to_us(directory: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(directory)?;
    if !metadata.is_dir() || metadata.uid() != geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
        let text = format!("`{}` is not a directory of ours alone", directory.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(())
}

// Reads a journal that somebody may be writing.
fn read(file: &File) -> io::Result<Content> {
    let mut text = Vec::new();
    io::Read::read_to_end(&mut &*file, &mut text)?;
    Content::parse(&text)
}

const EXTENSION: &str = "journal";
const NEW: &str = "new";

#[cfg(test)]
mod tests;
