//! A bounded amount of something, such as bytes of memory, which threads take and give back.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What there is of it.
#[derive(Debug)]
pub(crate) struct Budget {
    whole: usize,
    state: Mutex<State>,
    given_back: Condvar,
}

#[derive(Debug)]
struct State {
    free: usize,
    closed: bool,
}

/// A part of a budget; it goes back when this is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Share {
    budget: Arc<Budget>,
    amount: usize,
}

impl Budget {
    pub(crate) fn new(whole: usize) -> Arc<Self> {
        let state = Mutex::new(State { free: whole, closed: false });
        Arc::new(Self { whole, state, given_back: Condvar::new() })
    }

    /// Waits until there is so much of it. Who wants more than there can be gets all of it.
    pub(crate) fn take(self: &Arc<Self>, amount: usize) -> Share {
        let amount = amount.min(self.whole);
        let mut state = self.state();
        while state.free < amount && !state.closed {
            state = self.given_back.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.free = state.free.saturating_sub(amount);
        Share { budget: Arc::clone(self), amount }
    }

    /// Nobody waits any more: what is going on is being given up.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.given_back.notify_all();
    }

    // The state is whole between any two of its changes, so a panic elsewhere leaves it so.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        state.free = state.free.saturating_add(self.amount).min(self.budget.whole);
        self.budget.given_back.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    #[test]
    fn no_more_is_taken_than_there_is() {
        let budget = Budget::new(10);
        let (taken, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for amount in [1, 3, 4, 7, 10, 25] {
                let (budget, taken, most) = (&budget, &taken, &most);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let share = budget.take(amount);
                        let now = taken.fetch_add(amount.min(10), SeqCst) + amount.min(10);
                        most.fetch_max(now, SeqCst);
                        std::thread::yield_now();
                        taken.fetch_sub(amount.min(10), SeqCst);
                        drop(share);
                    }
                });
            }
        });
        assert_eq!((most.into_inner(), budget.state().free), (10, 10));
    }

    #[test]
    fn nobody_waits_for_what_is_given_up() {
        let budget = Budget::new(1);
        let _held = budget.take(1);
        std::thread::scope(|scope| {
            scope.spawn(|| drop(budget.take(1)));
            budget.close();
        });
    }
}
