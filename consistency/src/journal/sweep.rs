//! Thawing what journals say is frozen, when the warden that should have done it cannot.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use platform::application::{EnginePause, FreezeTarget};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::Serialize;

use super::record::{Content, Mark, Written, boot};
use super::{EXTENSION, NEW, belongs_to_us, read};
use crate::clock::Moment;
use crate::error::chain;
use crate::freezer;

/// Which freezes to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Which {
    /// Those whose warden is gone, or should have thawed a second ago and did not.
    Abandoned,
    /// Every one, also those that are going on.
    All,
}

/// What was found in the journals.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Swept {
    /// What was frozen and runs again.
    pub thawed: Vec<Thawed>,
    /// What may be frozen still, and why; one sentence each.
    pub failures: Vec<String>,
}

/// Something that was frozen and runs again.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Thawed {
    /// A cgroup, or a process.
    pub target: String,
}

/// Thaws what the journals in a directory say is frozen, and removes them.
///
/// Blocks until every thaw was read back, or for some seconds if one cannot be had.
pub fn sweep(journals: &Path, which: Which) -> Swept {
    let mut swept = Swept::default();
    let entries = match belongs_to_us(journals).and_then(|()| fs::read_dir(journals)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return swept,
        Err(error) => {
            swept.failures.push(format!("journals of freezes cannot be read: {error}"));
            return swept;
        }
        Ok(entries) => entries,
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort_unstable();
    for path in paths {
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some(EXTENSION | NEW)) {
            sweep_one(&path, which, &mut swept);
        }
    }
    swept
}

/// What became of one journal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sweep {
    /// Nothing of it is frozen.
    Done,
    /// Its warden is at work.
    Busy,
    /// Something may be frozen still.
    Failed,
}

/// The same for one journal.
pub(crate) fn sweep_one(path: &Path, which: Which, swept: &mut Swept) -> Sweep {
    match try_sweep(path, which, swept) {
        Ok(sweep) => sweep,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Sweep::Done,
        Err(error) => {
            swept.failures.push(format!("the journal `{}` is left: {error}", path.display()));
            Sweep::Failed
        }
    }
}

fn try_sweep(path: &Path, which: Which, swept: &mut Swept) -> io::Result<Sweep> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut locked = lock(&file);
    if path.extension().is_some_and(|extension| extension == NEW) {
        // Nothing is frozen before it has its name.
        return if locked { remove(path).map(|()| Sweep::Done) } else { Ok(Sweep::Busy) };
    }
    let mut content = read(&file)?;
    if content.header.boot != boot()? {
        return remove(path).map(|()| Sweep::Done);
    }
    if !locked && content.header.warden.is_ending() {
        // The kernel takes its time with what it kills; the marks are final by now.
        locked = await_lock(&file);
        content = read_again(path)?;
    }
    if !locked {
        let overdue = content.until.is_some_and(|until| until.after(GRACE) <= Moment::now());
        if which == Which::Abandoned && !overdue {
            return Ok(Sweep::Busy);
        }
        end_warden(&content, &file);
        if file.metadata()?.nlink() == 0 {
            // It thawed everything itself.
            return Ok(Sweep::Done);
        }
        content = read_again(path)?;
    }
    let failures = swept.failures.len();
    thaw(&content, swept);
    if swept.failures.len() > failures {
        return Ok(Sweep::Failed);
    }
    remove(path).map(|()| Sweep::Done)
}

// Kindly at first: it thaws when it is told to end. One that was stopped is past hearing; one that waits
// for an engine goes on asking it when we do not any more.
fn end_warden(content: &Content, journal: &File) {
    let warden = content.header.warden;
    let waits = |(target, mark): (&Written, &Mark)| {
        *mark == Mark::Frozen && matches!(target, Written::Engine { .. })
    };
    let asks = content.header.targets.iter().zip(&content.marks).any(waits);
    let signals: &[Signal] = if asks { &[Signal::TERM] } else { &[Signal::TERM, Signal::KILL] };
    for signal in signals.iter().copied() {
        let Ok(pid) = i32::try_from(warden.pid) else { return };
        let Some(pid) = Pid::from_raw(pid) else { return };
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
        // Looked at after it was opened: from then on the number is not given away.
        if !warden.lives() {
            return;
        }
        let _ = pidfd_send_signal(&handle, signal);
        if await_lock(journal) {
            return;
        }
    }
}

fn await_lock(journal: &File) -> bool {
    for _ in 0..END_TRIES {
        if lock(journal) {
            return true;
        }
        thread::sleep(END_PAUSE);
    }
    false
}

fn thaw(content: &Content, swept: &mut Swept) {
    for (number, (target, mark)) in content.header.targets.iter().zip(&content.marks).enumerate() {
        if *mark != Mark::Frozen {
            continue;
        }
        match target {
            Written::CgroupV1(directory) => {
                let target = FreezeTarget::CgroupV1(directory.path());
                thaw_cgroup(&target, &directory.path(), (directory.device, directory.inode), swept);
            }
            Written::CgroupV2(directory) => {
                let target = FreezeTarget::CgroupV2(directory.path());
                thaw_cgroup(&target, &directory.path(), (directory.device, directory.inode), swept);
            }
            Written::Engine { socket, container, root } => {
                let (socket, container) =
                    (OsStr::from_bytes(socket.as_bytes()).into(), container.clone());
                unpause(EnginePause { socket, container, root: *root, cgroup: None }, swept);
            }
            Written::Processes { root } => {
                let processes = content.processes.iter().filter(|(target, _)| *target == number);
                tell(swept, format!("process {root}"), || {
                    let mut all = true;
                    for (_, process) in processes.clone() {
                        all &= freezer::resume(*process).map_err(|trouble| trouble.to_string())?;
                    }
                    Ok(all)
                });
            }
        }
    }
}

// The engine may be on its way up.
fn unpause(target: EnginePause, swept: &mut Swept) {
    let (name, target) = (format!("container {}", target.container), FreezeTarget::Engine(target));
    let mut opened = None;
    tell(swept, name, || {
        if opened.is_none() {
            opened = Some(freezer::open_to_thaw(&target).map_err(|error| chain(&error))?);
        }
        let thawed = opened.as_mut().map(|freezer| freezer.thaw());
        thawed.unwrap_or(Ok(false)).map_err(|trouble| trouble.to_string())
    });
}

fn thaw_cgroup(target: &FreezeTarget, path: &Path, identity: (u64, u64), swept: &mut Swept) {
    let is_it = || fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == identity);
    if !is_it() {
        // A cgroup without processes: nothing of it can be frozen.
        return;
    }
    let mut freezer = match freezer::open_to_thaw(target) {
        Ok(freezer) => freezer,
        Err(_) if !is_it() => return,
        Err(error) => {
            let path = path.display();
            return swept.failures.push(format!("`{path}` may be frozen: {error}"));
        }
    };
    // What was opened is what was looked at before, or came after it was gone.
    if is_it() {
        tell(swept, path.display().to_string(), || {
            freezer.thaw().map_err(|trouble| trouble.to_string())
        });
    }
}

// Ten times a second, for a second.
fn tell(swept: &mut Swept, target: String, mut thaw: impl FnMut() -> Result<bool, String>) {
    let mut reason = "it does not run again".to_owned();
    for _ in 0..THAW_TRIES {
        match thaw() {
            Ok(true) => {
                return swept.thawed.push(Thawed { target });
            }
            Ok(false) => {}
            Err(error) => reason = error,
        }
        thread::sleep(THAW_PAUSE);
    }
    swept.failures.push(format!("`{target}` may be frozen: {reason}"));
}

fn read_again(path: &Path) -> io::Result<Content> {
    read(&OpenOptions::new().read(true).open(path)?)
}

fn lock(file: &File) -> bool {
    flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// How much later than its deadline a warden counts as lost.
const GRACE: Duration = Duration::from_secs(1);
const END_TRIES: u32 = 100;
const END_PAUSE: Duration = Duration::from_millis(10);
const THAW_TRIES: u32 = 10;
const THAW_PAUSE: Duration = Duration::from_millis(100);
