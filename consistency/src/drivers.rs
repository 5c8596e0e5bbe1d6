//! Snapshots of volumes: which driver, where to, and the making of all at once.
//!
//! [`Plan::prepare`] does whatever can be done before the freeze; [`Plan::take`] is what remains.

mod assemble;
mod btrfs;
mod clone;
mod draft;
mod ioctl;
mod mounts;
mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use format::raw::RawPath;
use platform::application::{FileTree, Volume};
use platform::driver::Driver;
use rustix::fs::syncfs;

pub(crate) use self::clone::{all_applied, clear};
pub(crate) use self::plan::{Plan, in_place};
use crate::clock::Moment;
use crate::error::SnapshotError;
use crate::still::StillReader;

/// Deletes the subvolume `name` of a directory; `INVAL` and the like when it is none.
pub(crate) fn destroy_subvolume(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<()> {
    ioctl::destroy_subvolume(dir, name)
}

/// Gives a new file the content of another that stands still, sharing its blocks where that is possible.
pub(crate) fn share(source: &File, target: &File) -> io::Result<()> {
    clone::transfer(source, target, true, &AtomicBool::new(false))
}

/// One volume, snapshotted.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) name: RawPath,
    pub(crate) driver: &'static str,
    pub(crate) tree: FileTree,
    pub(crate) begin: Moment,
    pub(crate) end: Moment,
    /// Whether some of it lies where it is used, and was read there.
    unmade: bool,
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
    /// What was made of it before the freeze.
    draft: Mutex<Option<clone::Clone>>,
}

impl Job {
    // Of a tree that can be cloned now and brought up to date in the freeze.
    fn drafted(&self) -> Option<&clone::Recipe> {
        match &self.work {
            Work::Clone(recipe) if recipe.reflink => Some(recipe),
            Work::Clone(_) | Work::Subvolume(_) => None,
        }
    }

    fn draft(&self) -> MutexGuard<'_, Option<clone::Clone>> {
        // What is known of a clone is right after every step.
        self.draft.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    driver: Driver,
    files: Files,
    /// Paths below the root of the volume that are no part of it.
    hidden: Vec<PathBuf>,
}

/// Where the files of a piece are found.
#[derive(Debug)]
enum Files {
    /// In what this job makes, at this path.
    Made { job: usize, inside: PathBuf },
    /// Where they are used: no snapshot is made of them.
    There(PathBuf),
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
    /// Writes out what is dirty, so that little is left to write inside the freeze, and so that
    /// whatever is written from then on leaves another stamp.
    pub(crate) fn sync(&self) {
        let mut settled = true;
        for place in &self.places {
            if let Err(error) = syncfs(place.dir()) {
                let directory = place.path("");
                tracing::warn!(%error, "the filesystem of `{}` cannot write", directory.display());
                settled = false;
            }
        }
        self.settled.store(settled, Ordering::Relaxed);
        for piece in &self.pieces {
            if let Files::There(path) = &piece.files {
                // Only a matter of speed: whoever reads it does so, too.
                let _ = File::open(path).map(syncfs);
            }
        }
    }

    /// Whether that was possible wherever snapshots are put; if not, no stamp can be relied on.
    fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed)
    }

    /// The numbers of the volumes that are read where they are used, at least in part.
    pub(crate) fn unmade(&self) -> BTreeSet<usize> {
        let unmade = self.pieces.iter().filter(|piece| matches!(piece.files, Files::There(_)));
        unmade.map(|piece| piece.volume).collect()
    }

    /// Makes all snapshots, several at a time; the first that fails ends the others. Then has those
    /// volumes read that there is no snapshot of.
    pub(crate) fn take(
        &self,
        volumes: &[Volume],
        reader: Option<&dyn StillReader>,
        abandoned: &Arc<AtomicBool>,
    ) -> Result<Vec<Taken>, Failure> {
        let mut taken = self.make(volumes, abandoned)?;
        read(&mut taken, reader, abandoned)?;
        Ok(taken)
    }

    fn make(&self, volumes: &[Volume], abandoned: &AtomicBool) -> Result<Vec<Taken>, Failure> {
        let results: Vec<_> = self.jobs.iter().map(|_| Mutex::new(None)).collect();
        let both: Vec<_> = self.jobs.iter().zip(&results).collect();
        each(&both, |(job, result)| {
            let done = self.perform(job, abandoned);
            if done.is_err() {
                abandoned.store(true, Ordering::Relaxed);
            }
            *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
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
                let target = (place.dir(), job.name.as_str());
                let draft = job.draft().take();
                let mut clone = match draft {
                    Some(draft) => draft,
                    None => clone::Clone::begin(recipe, target.0, target.1)?,
                };
                clone.update(recipe, target, clone::Mode::Final(abandoned))?;
                let settled = self.is_settled();
                let originals =
                    if settled { clone.into_originals() } else { clone::Originals::default() };
                let root = place.path(&job.name);
                (btrfs::Family { root, nested: BTreeMap::new() }, Some(originals))
            }
        };
        Ok(Done { family, originals, begin, end: Moment::now() })
    }
}

// Has everything read that lies where it is used.
fn read(
    taken: &mut [Taken],
    reader: Option<&dyn StillReader>,
    abandoned: &Arc<AtomicBool>,
) -> Result<(), Failure> {
    let unmade: Vec<_> = taken.iter_mut().filter(|taken| taken.unmade).collect();
    let Some(first) = unmade.first().map(|taken| taken.name.clone()) else { return Ok(()) };
    let files = unmade.iter().map(|taken| (taken.name.clone(), taken.tree.clone())).collect();
    let nobody = || Err("nobody is there to read it".into());
    let read = reader.map_or_else(nobody, |reader| reader.read(files, abandoned));
    read.map_err(|source| Failure { volume: first, error: SnapshotError::Unread { source } })?;
    let end = Moment::now();
    for taken in unmade {
        taken.end = end;
    }
    Ok(())
}

// Several at a time, each once.
fn each<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(item);
        }
    };
    thread::scope(|scope| {
        for _ in 1..items.len().min(THREADS_MAX) {
            scope.spawn(work);
        }
        work();
    });
}

const THREADS_MAX: usize = 8;

#[cfg(test)]
mod tests;
