//! Snapshots of volumes: which driver, where to, and the making of all at once.
//!
//! [`Plan::prepare`] does whatever can be done before the freeze; [`Plan::take`] is what remains.

mod btrfs;
mod clone;
mod ioctl;
mod plan;

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use format::raw::RawPath;
use platform::application::{FileTree, Volume};
use rustix::fs::syncfs;

pub(crate) use self::plan::{Plan, in_place};
use crate::clock::Moment;
use crate::error::SnapshotError;

/// Deletes the subvolume `name` of a directory; `INVAL` and the like when it is none.
pub(crate) fn destroy_subvolume(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<()> {
    ioctl::destroy_subvolume(dir, name)
}

/// One volume, snapshotted.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) name: RawPath,
    pub(crate) driver: &'static str,
    pub(crate) tree: FileTree,
    pub(crate) begin: Moment,
    pub(crate) end: Moment,
}

/// Which volume could not be snapshotted, and why.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) volume: RawPath,
    pub(crate) error: SnapshotError,
}

/// One snapshot to make.
#[derive(Debug)]
struct Job {
    work: Work,
    /// The place to put it, and its name there.
    place: usize,
    name: String,
    /// The first volume that needs it.
    volume: usize,
}

#[derive(Debug)]
enum Work {
    Clone(clone::Recipe),
    Subvolume(btrfs::Subvolume),
}

/// A part of a volume that lies on one filesystem.
#[derive(Debug)]
struct Piece {
    volume: usize,
    /// Where it belongs below the root of the volume; empty for the root itself.
    below: PathBuf,
    driver: &'static str,
    job: usize,
    /// Where it lies below what the job snapshots.
    inside: PathBuf,
    /// Paths below the root of the volume that are no part of it.
    hidden: Vec<PathBuf>,
}

#[derive(Debug)]
struct Done {
    family: btrfs::Family,
    /// Of a clone; the files of a subvolume's snapshot have the stamps of the originals.
    originals: Option<clone::Originals>,
    begin: Moment,
    end: Moment,
}

impl Plan {
    /// Writes out what is dirty, so that little is left to write inside the freeze.
    pub(crate) fn sync(&self) {
        for place in &self.places {
            // Only a matter of speed.
            let _ = syncfs(place.dir());
        }
    }

    /// Makes all snapshots, several at a time; the first that fails ends the others.
    pub(crate) fn take(
        &self,
        volumes: &[Volume],
        abandoned: &AtomicBool,
    ) -> Result<Vec<Taken>, Failure> {
        let next = AtomicUsize::new(0);
        let results: Vec<_> = self.jobs.iter().map(|_| Mutex::new(None)).collect();
        let work = || {
            while let Some((job, result)) = nth(&self.jobs, &results, &next) {
                let done = self.perform(job, abandoned);
                if done.is_err() {
                    abandoned.store(true, Ordering::Relaxed);
                }
                *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
            }
        };
        thread::scope(|scope| {
            for _ in 1..self.jobs.len().min(THREADS_MAX) {
                scope.spawn(work);
            }
            work();
        });
        let mut done = Vec::new();
        let mut failure = None;
        for (job, result) in self.jobs.iter().zip(results) {
            let result = result.into_inner().unwrap_or_else(PoisonError::into_inner);
            match result.unwrap_or(Err(SnapshotError::Unfinished)) {
                Ok(result) => done.push(result),
                // Those that were ended because another failed tell nothing.
                Err(SnapshotError::Abandoned) if failure.is_some() => {}
                Err(error) => failure = Some((job.volume, error)),
            }
        }
        match failure {
            None => Ok(self.assemble(volumes, &done)),
            Some((number, error)) => {
                let volume = volumes.get(number).map(|volume| volume.name.clone());
                Err(Failure { volume: volume.unwrap_or_default(), error })
            }
        }
    }

    fn perform(&self, job: &Job, abandoned: &AtomicBool) -> Result<Done, SnapshotError> {
        let begin = Moment::now();
        if abandoned.load(Ordering::Relaxed) {
            return Err(SnapshotError::Abandoned);
        }
        let place = self.places.get(job.place).ok_or(SnapshotError::Unfinished)?;
        let (family, originals) = match &job.work {
            Work::Subvolume(subvolume) => (subvolume.snapshot(place, &job.name)?, None),
            Work::Clone(recipe) => {
                let originals = clone::clone(recipe, place.dir(), &job.name, abandoned)?;
                let root = place.path(&job.name);
                (btrfs::Family { root, nested: BTreeMap::new() }, Some(originals))
            }
        };
        Ok(Done { family, originals, begin, end: Moment::now() })
    }

    fn assemble(&self, volumes: &[Volume], done: &[Done]) -> Vec<Taken> {
        let assembled = volumes.iter().enumerate().filter_map(|(number, volume)| {
            let pieces = self.pieces.iter().filter(|piece| piece.volume == number);
            let parts = pieces.filter_map(|piece| Some((piece, done.get(piece.job)?)));
            let mut taken: Option<Taken> = None;
            for (piece, done) in parts {
                let root = join(&done.family.root, &piece.inside);
                let taken = taken.get_or_insert_with(|| Taken {
                    name: volume.name.clone(),
                    driver: piece.driver,
                    tree: FileTree { root: root.clone(), ..FileTree::default() },
                    begin: done.begin,
                    end: done.end,
                });
                taken.begin = taken.begin.min(done.begin);
                taken.end = taken.end.max(done.end);
                if let Some(originals) = &done.originals {
                    let all = taken.tree.originals.get_or_insert_default();
                    Arc::make_mut(all).extend(originals);
                }
                graft(&mut taken.tree, piece, &root, &done.family);
            }
            taken
        });
        assembled.collect()
    }
}

fn graft(tree: &mut FileTree, piece: &Piece, root: &Path, family: &btrfs::Family) {
    if !piece.below.as_os_str().is_empty() {
        tree.grafts.insert(piece.below.clone(), root.to_owned());
    }
    for (path, snapshot) in &family.nested {
        if let Ok(path) = path.strip_prefix(&piece.inside) {
            tree.grafts.insert(join(&piece.below, path), snapshot.clone());
        }
    }
    tree.hidden.extend(piece.hidden.iter().cloned());
}

// Joining an empty path would add a slash, and a file with a slash is no file.
fn join(path: &Path, below: &Path) -> PathBuf {
    if below.as_os_str().is_empty() { path.to_owned() } else { path.join(below) }
}

fn nth<'a, A, B>(a: &'a [A], b: &'a [B], next: &AtomicUsize) -> Option<(&'a A, &'a B)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    a.get(number).zip(b.get(number))
}

const THREADS_MAX: usize = 8;

#[cfg(test)]
mod tests;
