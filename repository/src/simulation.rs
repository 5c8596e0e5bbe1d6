//! A thread on which nothing is left to chance: random bytes come from a seed, and what would run on
//! other threads runs at once. The same seed then gives the same sequence of store operations.
//!
//! Work that waits for the store on a thread has one here, too, that takes turns with the simulated
//! one: of the two only one ever runs, and virtual time goes by while the work waits.

use std::cell::{Cell, RefCell};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

thread_local! {
    static STATE: Cell<Option<u64>> = const { Cell::new(None) };
    static TURNS: RefCell<Option<Turns>> = const { RefCell::new(None) };
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

/// Whether this thread is simulated, or takes turns with one that is.
pub(crate) fn is_running() -> bool {
    STATE.get().is_some() || TURNS.with_borrow(Option::is_some)
}

/// Lets virtual time go by; `false` when nobody waits any more for what this thread does.
pub async fn sleep(time: Duration) -> bool {
    let waited = TURNS.with_borrow(|turns| turns.as_ref().map(|turns| turns.wait(time)));
    if let Some(is_wanted) = waited {
        return is_wanted;
    }
    tokio::time::sleep(time).await;
    true
}

/// What a thread has that takes turns with the simulated one.
struct Turns {
    /// For how long it has nothing to do.
    pauses: Sender<Duration>,
    /// When that is over.
    over: Receiver<()>,
}

impl Turns {
    fn wait(&self, time: Duration) -> bool {
        self.pauses.send(time).is_ok() && self.over.recv().is_ok()
    }
}

/// The simulated thread's side of it.
struct Helper<T> {
    /// When these are gone, the thread is told that nobody waits for it.
    turns: Option<(Receiver<Duration>, Sender<()>)>,
    thread: Option<JoinHandle<T>>,
}

/// Does `work` on a thread that takes turns with this one. Of all that it waits for, only
/// [`sleep`] lets virtual time go by.
///
/// # Cancellation
/// A dropped future waits for the thread, which is told at its next [`sleep`].
pub(crate) async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let ((pauses, asked), (done, over)) = (channel(), channel());
    let thread = thread::spawn(move || {
        TURNS.set(Some(Turns { pauses, over }));
        let result = work();
        TURNS.take();
        result
    });
    let mut helper = Helper { turns: Some((asked, done)), thread: Some(thread) };
    while let Some(time) = helper.next_pause() {
        tokio::time::sleep(time).await;
        helper.resume();
    }
    match helper.thread.take().map(JoinHandle::join) {
        Some(Ok(result)) => result,
        Some(Err(panicked)) => std::panic::resume_unwind(panicked),
        // It is taken here alone.
        None => std::future::pending().await,
    }
}

impl<T> Helper<T> {
    // Blocks this thread while the other one works; nothing when that is done.
    fn next_pause(&self) -> Option<Duration> {
        self.turns.as_ref()?.0.recv().ok()
    }

    fn resume(&self) {
        // When the other thread has panicked, joining it shows that.
        self.turns.as_ref().map(|turns| turns.1.send(()));
    }
}

impl<T> Drop for Helper<T> {
    fn drop(&mut self) {
        self.turns = None;
        self.thread.take().map(JoinHandle::join);
    }
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
