//! A thread on which nothing is left to chance: random bytes come from a seed, and what would run on
//! other threads runs at once. The same seed then gives the same sequence of store operations.

use std::cell::Cell;

thread_local! {
    static STATE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// From now on, until it is dropped, this thread is simulated.
#[derive(Debug)]
#[must_use = "the simulation ends when this is dropped"]
pub struct Simulation(());

impl Simulation {
    /// Begins with this seed.
    pub fn begin(seed: u64) -> Self {
        STATE.set(Some(seed));
        Self(())
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        STATE.set(None);
    }
}

/// Whether this thread is simulated. Threads that a simulated one starts and waits for are not: no
/// virtual time goes by for what they do.
pub fn is_running() -> bool {
    STATE.get().is_some()
}

/// The next bytes, if this thread is simulated.
pub(crate) fn bytes<const N: usize>() -> Option<[u8; N]> {
    let mut state = STATE.get()?;
    let mut bytes = [0; N];
    // SplitMix64: names must differ, and nothing here is secret.
    for part in bytes.chunks_mut(8) {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        part.iter_mut().zip(mixed.to_le_bytes()).for_each(|(byte, noise)| *byte = noise);
    }
    STATE.set(Some(state));
    Some(bytes)
}
