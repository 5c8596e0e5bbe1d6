//! Files, read by more threads than there are cores: a cold disk keeps most of them waiting.

mod blocks;
mod large;
mod small;

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use format::chunker::Chunker;
use format::tree::{CONTENT_HASH_BYTES_MIN, Content};
use platform::files::direct::AlignedBuffer;
use platform::files::{self, Dir, Inspected};
use repository::pool::Pool;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

pub(crate) use self::large::{Turnstile, blocks};
use crate::error::UploadError;
use crate::intake::Intake;
use crate::large::map_cache::MapCache;
use crate::large::page_map::NewPageMap;
use crate::progress::Progress;
use crate::volume::Stamps;

/// How many threads read files.
const READERS: usize = 16;
/// How many jobs wait for a reader.
const JOBS_WAITING: usize = 16;

/// Files to be read by one reader, one after another: to wake a thread for each small file costs
/// about as much as to read it.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) files: Vec<Wanted>,
    /// Gets as many outcomes as there are files, in the same order.
    pub(crate) outcomes: oneshot::Sender<Vec<ReadFile>>,
}

/// A file to be read.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Where it lies.
    pub(crate) dir: Arc<Dir>,
    pub(crate) name: Vec<u8>,
    /// What it held in the parent point.
    pub(crate) parent: Option<Content>,
    /// Where it lies as the parent point has it, in whole or not at all.
    pub(crate) base: Option<PathBuf>,
}

/// What became of a file.
#[derive(Debug)]
pub(crate) struct ReadFile {
    /// How many bytes were read.
    pub(crate) read: u64,
    /// Its content, and what else was found when it was opened.
    pub(crate) content: Result<(StoredFile, Box<Inspected>), ContentError>,
}

/// The content of a file, stored.
#[derive(Debug)]
pub(crate) struct StoredFile {
    pub(crate) content: Content,
    /// How many bytes of it are in no hole.
    pub(crate) data: u64,
    /// The digests of its pages, to be kept when the point is committed.
    pub(crate) map: Option<NewPageMap>,
}

/// Why the content of a file is not there.
#[derive(Debug)]
pub(crate) enum ContentError {
    /// The file could not be read; others can.
    File(io::Error),
    /// The upload cannot go on.
    Upload(UploadError),
}

impl From<UploadError> for ContentError {
    fn from(error: UploadError) -> Self {
        Self::Upload(error)
    }
}

impl From<io::Error> for ContentError {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

/// What all readers share.
pub(crate) struct Shared {
    pub(crate) chunker: Arc<Chunker>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) stamps: Stamps,
    /// Where the digests of the pages of large files are kept; absent where they are not.
    pub(crate) maps: Option<MapCache>,
    pub(crate) large: Turnstile,
    pub(crate) blocks: Pool<AlignedBuffer>,
    pub(crate) runtime: Handle,
    /// When this becomes true, nothing more is read.
    pub(crate) abandoned: Arc<AtomicBool>,
}

impl Shared {
    /// Fails when nothing more is to be read.
    pub(crate) fn go_on(&self) -> Result<(), UploadError> {
        if self.abandoned.load(Relaxed) { Err(UploadError::Abandoned) } else { Ok(()) }
    }
}

/// The threads that read files.
#[derive(Debug)]
pub(crate) struct Readers {
    jobs: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let (sender, jobs) = sync_channel(JOBS_WAITING);
        let jobs = Arc::new(Mutex::new(jobs));
        let mut readers = Self { jobs: Some(sender), threads: Vec::new() };
        for _ in 0..READERS {
            let (shared, jobs) = (Arc::clone(shared), Arc::clone(&jobs));
            let thread = thread::Builder::new().name("read".into());
            readers.threads.push(thread.spawn(move || serve(&shared, &jobs))?);
        }
        Ok(readers)
    }

    /// Has files read; waits while too many are waiting already.
    pub(crate) fn read(&self, job: Job) -> Result<(), UploadError> {
        let jobs = self.jobs.as_ref().ok_or(UploadError::Stopped)?;
        jobs.send(job).map_err(|_| UploadError::Stopped)
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has told its message; whoever waits for its file is told too.
            let _ = thread.join();
        }
    }
}

fn serve(shared: &Shared, jobs: &Mutex<Receiver<Job>>) {
    let mut buffer = Vec::new();
    loop {
        // One reader waits for a job, the others wait for that one.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { files, outcomes }) = job else { return };
        // All are asked for before the first is waited for.
        let opened: Vec<_> = files.into_iter().map(|file| open(shared, file)).collect();
        let read = opened.into_iter().map(|opened| {
            let mut reading = Reading { shared, buffer: &mut buffer, read: 0 };
            let content = opened.and_then(|opened| reading.file(opened));
            ReadFile { read: reading.read, content }
        });
        // Nobody waits for it when the walk has ended early.
        let _ = outcomes.send(read.collect());
    }
}

/// A file that is open, and what was found then.
struct Opened {
    file: File,
    found: Box<Inspected>,
    parent: Option<Content>,
    base: Option<PathBuf>,
}

fn open(shared: &Shared, wanted: Wanted) -> Result<Opened, ContentError> {
    let Wanted { dir, name, parent, base } = wanted;
    let file = dir.open_file(&name)?;
    // The name may lead to another file by now: all that is stored is of the one that is open.
    // The stat comes before the content, so that what is written meanwhile is seen next time.
    let mut found = Box::new(files::inspect_open(&file)?);
    found.metadata.stamp = shared.stamps.record(&found);
    if shared.stamps.are_of_files_in_use() {
        files::wait_for_writers(&file);
    }
    if found.size < CONTENT_HASH_BYTES_MIN {
        files::will_need(&file, found.size);
    }
    Ok(Opened { file, found, parent, base })
}

/// The reading of one file.
struct Reading<'a> {
    shared: &'a Shared,
    buffer: &'a mut Vec<u8>,
    read: u64,
}

impl Reading<'_> {
    fn file(&mut self, opened: Opened) -> Result<(StoredFile, Box<Inspected>), ContentError> {
        self.shared.go_on()?;
        let Opened { file, found, parent, base } = opened;
        let stored = if found.size < CONTENT_HASH_BYTES_MIN {
            self.small(&file, &found)?
        } else {
            self.large(file, &found, (parent, base.as_deref()))?
        };
        Ok((stored, found))
    }

    fn count(&mut self, bytes: usize) {
        self.read += bytes as u64;
        self.shared.progress.add_read(bytes as u64);
    }
}
