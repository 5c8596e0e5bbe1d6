//! Work that makes more work, for several threads, until there is none or one of them fails.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Tasks to be taken, the newest first, so that few are open at once.
#[derive(Debug)]
pub(super) struct Queue<T, E> {
    state: Mutex<State<T, E>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T, E> {
    tasks: Vec<T>,
    /// How many threads are at a task, and may put more.
    working: usize,
    error: Option<E>,
    /// Whether a thread panicked at a task: the others need not go on.
    is_broken: bool,
}

impl<T, E> Queue<T, E> {
    pub(super) fn new(tasks: Vec<T>) -> Self {
        let state = State { tasks, working: 0, error: None, is_broken: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// How many tasks wait.
    pub(super) fn len(&self) -> usize {
        self.state().tasks.len()
    }

    pub(super) fn put(&self, task: T) {
        self.state().tasks.push(task);
        self.changed.notify_one();
    }

    /// Does one task after another, also those that others put meanwhile. After the first failure no
    /// more are given out.
    pub(super) fn work(&self, mut work: impl FnMut(T) -> Result<(), E>) {
        while let Some(task) = self.take() {
            let mut at_work = AtWork { queue: self, result: None };
            at_work.result = Some(work(task));
        }
    }

    // The next task; waits while others may still put one.
    fn take(&self) -> Option<T> {
        let mut state = self.state();
        loop {
            if state.error.is_some() || state.is_broken {
                return None;
            }
            if let Some(task) = state.tasks.pop() {
                state.working += 1;
                return Some(task);
            }
            if state.working == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What became of it all.
    pub(super) fn finish(self) -> Result<(), E> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        state.error.map_or(Ok(()), Err)
    }

    fn state(&self) -> MutexGuard<'_, State<T, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread at a task; when this is dropped, the task has ended.
struct AtWork<'a, T, E> {
    queue: &'a Queue<T, E>,
    result: Option<Result<(), E>>,
}

impl<T, E> Drop for AtWork<'_, T, E> {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.working -= 1;
        match self.result.take() {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                state.error.get_or_insert(error);
            }
            None => state.is_broken = true,
        }
        // The last one at work may have to tell all that wait.
        if state.working == 0 || state.error.is_some() || state.is_broken {
            self.queue.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    use super::*;

    fn run(tasks: Vec<u64>, fails: impl Fn(u64) -> bool + Sync) -> (u64, Result<(), u64>) {
        let (queue, sum) = (Queue::new(tasks), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    queue.work(|task| {
                        sum.fetch_add(1, SeqCst);
                        (0..task).for_each(|less| queue.put(less));
                        if fails(task) { Err(task) } else { Ok(()) }
                    });
                });
            }
        });
        (sum.into_inner(), queue.finish())
    }

    #[test]
    fn all_that_comes_of_a_task_is_done_too() {
        // A task of n comes to 2^n tasks.
        assert_eq!(run(vec![10, 3], |_| false), (1024 + 8, Ok(())));
        assert_eq!(run(Vec::new(), |_| false), (0, Ok(())));
    }

    #[test]
    fn the_first_failure_ends_it() {
        let (done, result) = run(vec![12], |task| task == 12);
        assert_eq!(result, Err(12));
        assert!(done < 4096, "{done}");
    }
}
