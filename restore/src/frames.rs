//! Frames that are on their way, and those that may be needed once more.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use format::pack::OpenedFrame;

use crate::window::{FrameKey, FrameWork, Piece};

/// Which frames are being fetched, and some that were opened; a frame is not fetched twice for
/// neighbouring windows.
#[derive(Debug)]
pub(crate) struct Frames {
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    frames: HashMap<FrameKey, Known>,
    /// The opened ones; who was used last is last.
    order: VecDeque<FrameKey>,
    bytes: usize,
}

#[derive(Debug)]
enum Known {
    /// It is being fetched, and these pieces of later windows wait for it too.
    Coming(Vec<Piece>),
    Opened(Arc<OpenedFrame>),
}

/// What is to be done for a frame.
#[derive(Debug)]
pub(crate) enum Need {
    /// It must be fetched.
    Fetch(FrameWork),
    /// It is here.
    Opened(Arc<OpenedFrame>, FrameWork),
    /// It is on its way already, and the pieces were added to those that wait.
    Nothing,
}

impl Frames {
    /// Keeps at most so many bytes of opened frames.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, state: Mutex::default() }
    }

    /// What to do for this frame.
    pub(crate) fn need(&self, mut frame: FrameWork) -> Need {
        let mut state = self.state();
        let key = frame.key();
        match state.frames.get_mut(&key) {
            Some(Known::Coming(waiting)) => {
                waiting.append(&mut frame.pieces);
                Need::Nothing
            }
            Some(Known::Opened(opened)) => {
                let opened = Arc::clone(opened);
                state.order.retain(|other| *other != key);
                state.order.push_back(key);
                Need::Opened(opened, frame)
            }
            None => {
                state.frames.insert(key, Known::Coming(Vec::new()));
                Need::Fetch(frame)
            }
        }
    }

    /// The frame has come; answers the pieces that waited. It is kept if `keep` says so.
    pub(crate) fn arrived(
        &self,
        key: FrameKey,
        opened: &Arc<OpenedFrame>,
        keep: bool,
    ) -> Vec<Piece> {
        let mut state = self.state();
        let waiting = state.take_waiting(key);
        if keep {
            state.frames.insert(key, Known::Opened(Arc::clone(opened)));
            state.order.push_back(key);
            state.bytes += opened.length();
            while state.bytes > self.bytes_max {
                let Some(oldest) = state.order.pop_front() else { break };
                if let Some(Known::Opened(gone)) = state.frames.remove(&oldest) {
                    state.bytes -= gone.length();
                }
            }
        }
        waiting
    }

    /// The frame will not come; answers the pieces that waited.
    pub(crate) fn failed(&self, key: FrameKey) -> Vec<Piece> {
        self.state().take_waiting(key)
    }

    // The state is whole between any two of its changes, so a panic elsewhere leaves it so.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_waiting(&mut self, key: FrameKey) -> Vec<Piece> {
        match self.frames.remove(&key) {
            Some(Known::Coming(waiting)) => waiting,
            _ => Vec::new(),
        }
    }
}
