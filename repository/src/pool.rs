//! Large memory that is used again.
//!
//! Given back to the allocator by one thread after another, it would be kept by each of them, and
//! a backup would take several times of what it needs.

use std::sync::{Mutex, PoisonError};

/// Memory that waits for its next use.
#[derive(Debug)]
pub struct Pool<T> {
    free: Mutex<Vec<T>>,
    kept: usize,
}

impl<T: Default> Pool<T> {
    /// A pool that keeps this many pieces at most.
    pub fn new(kept: usize) -> Self {
        Self { free: Mutex::default(), kept }
    }

    /// A piece that was used before, as it was given back, or a new one.
    pub fn take(&self) -> T {
        let used = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        used.unwrap_or_default()
    }

    /// Keeps a piece for later.
    pub fn give(&self, piece: T) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < self.kept {
            free.push(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_back_and_not_too_many_are_kept() {
        let pool = Pool::new(1);
        pool.give(vec![1]);
        pool.give(vec![2]);
        assert_eq!(pool.take(), [1]);
        assert_eq!(pool.take(), Vec::<u8>::new());
    }
}
