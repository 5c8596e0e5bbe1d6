//! Directories, read ahead of the walk by several threads: a cold disk answers many questions at
//! once as fast as one.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use platform::files::Dir;

use super::scan::{Scanned, scan};

/// How many directories are read at the same time.
const SCANNERS: usize = 16;

/// A directory that is to be read, by whoever takes it first.
type Task = Arc<Mutex<Option<Wanted>>>;

#[derive(Debug)]
struct Wanted {
    parent: Arc<Dir>,
    name: Vec<u8>,
    answer: SyncSender<io::Result<Scanned>>,
}

/// A directory that is being read, or will be.
#[derive(Debug)]
pub(super) struct Pending {
    task: Task,
    answer: Receiver<io::Result<Scanned>>,
}

impl Pending {
    /// Waits for it; reads it here, when no other thread has begun to.
    pub(super) fn wait(self) -> io::Result<Scanned> {
        if let Some(Wanted { parent, name, .. }) = take(&self.task) {
            return parent.open_dir(&name).and_then(scan);
        }
        let gone = |_| Err(io::Error::other("the thread that read the directory is gone"));
        self.answer.recv().unwrap_or_else(gone)
    }
}

/// The threads that read directories.
#[derive(Debug)]
pub(super) struct Scanners {
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
    tasks: VecDeque<Task>,
    closed: bool,
}

impl Scanners {
    pub(super) fn start() -> io::Result<Self> {
        let mut scanners = Self { queue: Arc::default(), threads: Vec::new() };
        for _ in 0..SCANNERS {
            let queue = Arc::clone(&scanners.queue);
            let thread = thread::Builder::new().name("scan".into());
            scanners.threads.push(thread.spawn(move || queue.serve())?);
        }
        Ok(scanners)
    }

    /// Begins to read directories of this one.
    pub(super) fn begin<'n>(
        &self,
        parent: &Arc<Dir>,
        names: impl Iterator<Item = &'n [u8]>,
    ) -> Vec<Pending> {
        let begin = |name: &[u8]| {
            let (sender, answer) = sync_channel(1);
            let wanted = Wanted { parent: Arc::clone(parent), name: name.to_vec(), answer: sender };
            Pending { task: Arc::new(Mutex::new(Some(wanted))), answer }
        };
        let pending: Vec<_> = names.map(begin).collect();
        let tasks = pending.iter().map(|pending| Arc::clone(&pending.task));
        self.queue.state.lock().unwrap_or_else(PoisonError::into_inner).tasks.extend(tasks);
        self.queue.changed.notify_one();
        pending
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
        while let Some(task) = self.next() {
            // The walk may have come first, or have ended meanwhile.
            if let Some(Wanted { parent, name, answer }) = take(&task) {
                let _ = answer.send(parent.open_dir(&name).and_then(scan));
            }
        }
    }

    // Each thread wakes the next, and only while there is something left to do: where the disk
    // does not keep them waiting, few of them do it all.
    fn next(&self) -> Option<Task> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |state: &mut State| state.tasks.is_empty() && !state.closed;
        let waited = self.changed.wait_while(state, idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let task = if state.closed { None } else { state.tasks.pop_front() };
        if !state.tasks.is_empty() {
            self.changed.notify_one();
        }
        task
    }
}

fn take(task: &Task) -> Option<Wanted> {
    task.lock().unwrap_or_else(PoisonError::into_inner).take()
}
