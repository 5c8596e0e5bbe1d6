//! Directories, read ahead of the walk by several threads: a cold disk answers many questions at
//! once as fast as one.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use platform::files::{self, Dir, Glance, Inspected};

/// How many directories are read at the same time.
const SCANNERS: usize = 16;
/// In a directory with more names, the files are looked at only when it is their turn: what is
/// known of them ahead would fill the memory.
const GLANCES_AHEAD_MAX: usize = 20_000;

/// A directory as it was found.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) dir: Arc<Dir>,
    pub(crate) inspected: Inspected,
    /// In the order of the names.
    pub(crate) names: io::Result<Vec<Seen>>,
}

/// A name in a directory.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) name: Vec<u8>,
    /// Absent where nobody looked yet.
    pub(crate) glance: Option<io::Result<Glance>>,
}

/// Reads an open directory.
pub(crate) fn scan(dir: Dir) -> io::Result<Scanned> {
    let inspected = files::inspect_open(&dir)?;
    let names = dir.numbered_names().map(|names| look(&dir, names));
    Ok(Scanned { dir: Arc::new(dir), inspected, names })
}

// In the order of the numbers, which is about that of the places on the disk.
fn look(dir: &Dir, names: Vec<files::Name>) -> Vec<Seen> {
    if names.len() > GLANCES_AHEAD_MAX {
        return names.into_iter().map(|n| Seen { name: n.bytes, glance: None }).collect();
    }
    let mut numbered: Vec<_> = names.into_iter().enumerate().collect();
    numbered.sort_unstable_by_key(|(_, name)| name.inode);
    let mut seen: Vec<_> = numbered
        .into_iter()
        .map(|(place, name)| {
            let glance = Some(files::glance(dir, &name.bytes));
            (place, Seen { name: name.bytes, glance })
        })
        .collect();
    seen.sort_unstable_by_key(|(place, _)| *place);
    seen.into_iter().map(|(_, seen)| seen).collect()
}

/// A directory that is being read.
#[derive(Debug)]
pub(crate) struct Pending(Receiver<io::Result<Scanned>>);

impl Pending {
    /// Waits for it.
    pub(crate) fn wait(self) -> io::Result<Scanned> {
        let gone = |_| Err(io::Error::other("the thread that read the directory is gone"));
        self.0.recv().unwrap_or_else(gone)
    }
}

/// The threads that read directories.
#[derive(Debug)]
pub(crate) struct Scanners {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    wanted: VecDeque<Wanted>,
    closed: bool,
}

#[derive(Debug)]
struct Wanted {
    parent: Arc<Dir>,
    name: Vec<u8>,
    answer: SyncSender<io::Result<Scanned>>,
}

impl Scanners {
    pub(crate) fn start() -> io::Result<Self> {
        let mut scanners = Self { queue: Arc::default(), threads: Vec::new() };
        for _ in 0..SCANNERS {
            let queue = Arc::clone(&scanners.queue);
            let thread = thread::Builder::new().name("scan".into());
            scanners.threads.push(thread.spawn(move || queue.serve())?);
        }
        Ok(scanners)
    }

    /// Begins to read a directory.
    pub(crate) fn begin(&self, parent: &Arc<Dir>, name: &[u8]) -> Pending {
        let (answer, pending) = sync_channel(1);
        let wanted = Wanted { parent: Arc::clone(parent), name: name.to_vec(), answer };
        self.queue.state.lock().unwrap_or_else(PoisonError::into_inner).wanted.push_back(wanted);
        self.queue.changed.notify_one();
        Pending(pending)
    }
}

impl Drop for Scanners {
    fn drop(&mut self) {
        self.queue.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.queue.changed.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has told its message; whoever waited for it got an error.
            let _ = thread.join();
        }
    }
}

impl Queue {
    fn serve(&self) {
        while let Some(Wanted { parent, name, answer }) = self.next() {
            // The walk may have ended meanwhile.
            let _ = answer.send(parent.open_dir(&name).and_then(scan));
        }
    }

    fn next(&self) -> Option<Wanted> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |state: &mut State| state.wanted.is_empty() && !state.closed;
        let waited = self.changed.wait_while(state, idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.closed { None } else { state.wanted.pop_front() }
    }
}
