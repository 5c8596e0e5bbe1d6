//! Where snapshots are put: on the filesystem of what they show, in a directory of the run's own.
//!
//! `<mount point>/.stillpoint/<run>/<number>`, beside it `<run>.lock`, locked as long as the run
//! lives. The lock is made before the directory and removed after it, so a directory without one,
//! or whose lock can be had, belongs to a run that died, unless `<run>.kept` says that it stays.
//! That mark is removed before the directory, whose rest anybody may remove then.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use format::ids::PointId;
use platform::files::{Dir, FileKind, SNAPSHOT_HOME as HOME, inspect, inspect_open, is_private};
use rustix::fs::{
    AtFlags, CWD, FlockOperation, StatxFlags, Timespec, Timestamps, flock, fsync, statx, syncfs,
    utimensat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::drivers::destroy_subvolume;

/// One run's directory on one filesystem; dropping it removes it with everything in it.
#[must_use = "its snapshots are removed when this is dropped"]
#[derive(Debug)]
pub(crate) struct Place {
    home: PathBuf,
    home_dir: Dir,
    dir: Dir,
    run: String,
    // Held, and let go by the kernel when we die.
    _lock: File,
    removed: bool,
}

impl Place {
    /// Makes the directory of a run on the filesystem that is mounted at `mount`.
    pub(crate) fn claim(mount: &Path, run: PointId) -> io::Result<Self> {
        let home = mount.join(HOME);
        let run = run.to_string();
        // Another run may remove the empty home, or a sweep the new lock, in between.
        for _ in 0..CLAIM_TRIES {
            match Self::try_claim(&home, &run) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => return other,
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    fn try_claim(home: &Path, run: &str) -> io::Result<Self> {
        match keeping_time(home, |home| fs::DirBuilder::new().mode(0o700).create(home)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let home_dir = open_home(home)?;
        let lock_path = home.join(lock_name(run));
        let lock = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&lock_path)?;
        flock(&lock, FlockOperation::LockExclusive)?;
        // A sweep that came between the two lines above has removed the name.
        if lock.metadata()?.nlink() == 0 {
            return Err(io::ErrorKind::NotFound.into());
        }
        let dir = home_dir.create_dir(run.as_bytes())?;
        let home = home.to_owned();
        Ok(Self { home, home_dir, dir, run: run.to_owned(), _lock: lock, removed: false })
    }

    /// The directory that the snapshots are made in.
    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// The path of a snapshot.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.join(&self.run).join(name)
    }

    /// Our directory on this filesystem.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Marks what is here as something that stays, whatever becomes of this process.
    pub(crate) fn mark(&self) -> io::Result<()> {
        syncfs(&self.dir)?;
        self.home_dir.create_file(kept_name(&self.run).as_bytes())?.sync_all()?;
        Ok(fsync(&self.home_dir)?)
    }

    /// Leaves everything as it is, when it was marked.
    pub(crate) fn stay(mut self) {
        self.removed = true;
        let _ = self.home_dir.remove_file(lock_name(&self.run).as_bytes());
    }

    /// Device and inode number of our directory on this filesystem.
    pub(crate) fn identity(&self) -> io::Result<(u64, u64)> {
        inspect_open(&self.home_dir).map(|home| (home.device, home.inode))
    }

    /// Removes the directory and everything in it; answers what could not be removed, and why.
    pub(crate) fn remove(mut self) -> Vec<String> {
        self.clear()
    }

    /// Ends as if the process had died: the lock is let go, everything stays.
    #[cfg(test)]
    pub(crate) fn die(mut self) {
        self.removed = true;
    }

    fn clear(&mut self) -> Vec<String> {
        if std::mem::replace(&mut self.removed, true) {
            return Vec::new();
        }
        let failures = remove_run(&self.home, &self.home_dir, self.run.as_bytes());
        remove_home(&self.home);
        failures
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for failure in self.clear() {
            tracing::warn!("{failure}");
        }
    }
}

/// Removes what dead runs left on the filesystem mounted at `mount`; runs that live are left
/// alone. Answers what could not be removed, and why.
pub fn sweep(mount: &Path) -> Vec<String> {
    let home = mount.join(HOME);
    let dir = match open_home(&home) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => return vec![failure(&home, &error)],
        Ok(dir) => dir,
    };
    let names = match dir.names() {
        Err(error) => return vec![failure(&home, &error)],
        Ok(names) => names,
    };
    let run = |name: &Vec<u8>| {
        let name = std::str::from_utf8(name).ok()?;
        let bare = name.strip_suffix(".lock").unwrap_or(name);
        bare.parse::<PointId>().is_ok().then(|| bare.as_bytes().to_vec())
    };
    let runs: BTreeSet<Vec<u8>> = names.iter().filter_map(run).collect();
    let failures = runs.into_iter().flat_map(|run| sweep_run(&home, &dir, &run)).collect();
    remove_home(&home);
    failures
}

fn sweep_run(home: &Path, dir: &Dir, run: &[u8]) -> Vec<String> {
    let name = [run, b".lock"].concat();
    // Held until the end, for another sweep may come.
    let _lock = match dir.modify_file(&name) {
        Ok(lock) => match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Some(lock),
            Err(_) => return Vec::new(),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return vec![failure(home, &error)],
    };
    // Somebody wrote down that it stays; whoever did so takes that back.
    match inspect(dir, kept_name(&String::from_utf8_lossy(run)).as_bytes()) {
        Ok(_) => Vec::new(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => remove_run(home, dir, run),
        Err(error) => vec![failure(home, &error)],
    }
}

/// What a directory is known by, also after a restart, when devices have other numbers.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Identity {
    inode: u64,
    born_seconds: i64,
    born_nanoseconds: u32,
}

impl Identity {
    /// That of the directory above this one.
    pub(crate) fn above(home: &Path) -> io::Result<Self> {
        let above = home.parent().unwrap_or(Path::new("/"));
        let wanted = StatxFlags::INO | StatxFlags::BTIME;
        let found = statx(CWD, above, AtFlags::empty(), wanted)?;
        let (inode, born) = (found.stx_ino, found.stx_btime);
        Ok(Self { inode, born_seconds: born.tv_sec, born_nanoseconds: born.tv_nsec })
    }
}

/// Where a run that stays is.
pub(crate) enum Lies {
    /// Here it is.
    Here(Dir),
    /// It is no more.
    Nowhere,
    /// On a filesystem that is not mounted here now.
    Elsewhere,
}

/// Looks for a run that stays, in a directory of ours on the filesystem that is known by this.
pub(crate) fn kept(home: &Path, above: Identity, run: PointId) -> io::Result<Lies> {
    match Identity::above(home) {
        Ok(found) if found == above => {}
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => return Ok(Lies::Elsewhere),
    }
    let run = run.to_string();
    let found = open_home(home).and_then(|dir| {
        inspect(&dir, kept_name(&run).as_bytes())?;
        dir.open_dir(run.as_bytes())
    });
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Lies::Nowhere),
        found => found.map(Lies::Here),
    }
}

/// Removes a run that stays; answers what could not be removed, and why.
pub(crate) fn remove_kept(home: &Path, run: PointId) -> io::Result<Vec<String>> {
    let (dir, run) = (open_home(home)?, run.to_string());
    Ok(remove_run(home, &dir, run.as_bytes()))
}

// The mark first, then the directory, the lock last.
fn remove_run(home: &Path, dir: &Dir, run: &[u8]) -> Vec<String> {
    let mut failures = Vec::new();
    let text = String::from_utf8_lossy(run).into_owned();
    // From here on a sweep may go on with this.
    let _ = dir.remove_file(kept_name(&text).as_bytes());
    match dir.open_dir(run) {
        Ok(snapshots) => {
            for name in snapshots.names().unwrap_or_default() {
                if let Err(error) = remove_snapshot(&snapshots, &name)
                    && error.kind() != io::ErrorKind::NotFound
                {
                    let name = String::from_utf8_lossy(&name);
                    failures.push(failure(&home.join(&text).join(&*name), &error));
                }
            }
            if failures.is_empty()
                && let Err(error) = dir.remove_dir(run)
                && error.kind() != io::ErrorKind::NotFound
            {
                failures.push(failure(&home.join(&text), &error));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => failures.push(failure(&home.join(&text), &error)),
    }
    if failures.is_empty() {
        let _ = dir.remove_file(lock_name(&text).as_bytes());
    }
    failures
}

// Whatever it is: a snapshot of a subvolume, a cloned tree, a cloned file.
fn remove_snapshot(dir: &Dir, name: &[u8]) -> io::Result<()> {
    if inspect(dir, name)?.kind != FileKind::Directory {
        return dir.remove_file(name);
    }
    match destroy_subvolume(dir.as_fd(), name) {
        Ok(()) => Ok(()),
        Err(Errno::INVAL | Errno::NOTTY | Errno::OPNOTSUPP | Errno::NOTDIR) => dir.remove_all(name),
        Err(errno) => Err(errno.into()),
    }
}

// A container that owns the mount point could have put a directory of its own here, or a link.
fn open_home(home: &Path) -> io::Result<Dir> {
    let parent = home.parent().unwrap_or(Path::new("/"));
    let dir = Dir::open(parent)?.open_dir(HOME.as_bytes())?;
    if !is_private(&dir)? {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "somebody else made it, or others may enter it",
        ));
    }
    Ok(dir)
}

/// Removes a directory of ours, only if no run needs it any more.
pub(crate) fn remove_home(home: &Path) {
    let _ = keeping_time(home, |home| fs::remove_dir(home));
}

// Our directory may lie in the root of a volume, whose time of change is the application's.
fn keeping_time(home: &Path, act: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let above = home.parent().unwrap_or(home);
    let before = fs::metadata(above)?;
    act(home)?;
    let time = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
    let times = Timestamps {
        last_access: time(before.atime(), before.atime_nsec()),
        last_modification: time(before.mtime(), before.mtime_nsec()),
    };
    // Only for looks: a directory of somebody else keeps the new time.
    let _ = utimensat(CWD, above, &times, AtFlags::empty());
    Ok(())
}

fn lock_name(run: &str) -> String {
    format!("{run}.lock")
}

fn kept_name(run: &str) -> String {
    format!("{run}.kept")
}

fn failure(path: &Path, error: &io::Error) -> String {
    format!("`{}` cannot be removed: {error}", path.display())
}

const CLAIM_TRIES: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(mount: &Path) -> Vec<String> {
        let Ok(entries) = fs::read_dir(mount.join(HOME)) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_place_goes_with_everything_in_it() {
        let mount = tempfile::tempdir().unwrap();
        let place = Place::claim(mount.path(), PointId::new([1; 16])).unwrap();
        place.dir().create_dir(b"0").unwrap().create_file(b"x").unwrap();
        place.dir().create_file(b"1").unwrap();
        assert!(place.path("0").join("x").exists());
        assert_eq!(place.remove(), [""; 0]);
        assert!(!mount.path().join(HOME).exists());
    }

    #[test]
    fn what_dead_runs_left_is_swept_and_live_runs_stay() {
        let mount = tempfile::tempdir().unwrap();
        let (dead, live) = (PointId::new([1; 16]), PointId::new([2; 16]));
        let place = Place::claim(mount.path(), live).unwrap();
        place.dir().create_dir(b"0").unwrap();
        let left = Place::claim(mount.path(), dead).unwrap();
        fs::create_dir_all(left.path("0").join("deep")).unwrap();
        fs::write(left.path("0").join("deep/file"), "x").unwrap();
        left.die();
        // Not ours: no run has such a name.
        fs::create_dir(mount.path().join(HOME).join("notes")).unwrap();

        assert_eq!(sweep(mount.path()), [""; 0]);
        let mut found = names(mount.path());
        found.sort();
        assert_eq!(found, [live.to_string(), format!("{live}.lock"), "notes".to_owned()]);
        assert!(place.path("0").exists());
    }

    #[test]
    fn one_run_claims_a_place_once() {
        let mount = tempfile::tempdir().unwrap();
        let run = PointId::new([3; 16]);
        let _place = Place::claim(mount.path(), run).unwrap();
        assert!(Place::claim(mount.path(), run).is_err());
    }

    #[test]
    fn a_directory_that_somebody_else_made_is_not_used() {
        let mount = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), mount.path().join(HOME)).unwrap();
        assert!(Place::claim(mount.path(), PointId::new([4; 16])).is_err());
        assert!(!sweep(mount.path()).is_empty());
        fs::remove_file(mount.path().join(HOME)).unwrap();
        fs::DirBuilder::new().mode(0o755).create(mount.path().join(HOME)).unwrap();
        assert!(Place::claim(mount.path(), PointId::new([4; 16])).is_err());
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[test]
    fn nothing_to_sweep_is_no_fault() {
        assert_eq!(sweep(tempfile::tempdir().unwrap().path()), [""; 0]);
    }
}
