//! Reports on their way out. A reader that stalls or is gone must never hold up a thaw.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, write};

use super::protocol::Report;

#[derive(Debug)]
pub(super) struct Outbox<'a> {
    output: BorrowedFd<'a>,
    pending: VecDeque<u8>,
    closed: bool,
}

impl<'a> Outbox<'a> {
    pub(super) fn new(output: BorrowedFd<'a>) -> Self {
        Self { output, pending: VecDeque::new(), closed: false }
    }

    /// Adds a report and sends what can be sent without waiting.
    pub(super) fn send(&mut self, report: &Report) {
        let Ok(line) = serde_json::to_vec(report) else { return };
        if self.closed || self.pending.len() + line.len() > PENDING_BYTES_MAX {
            return;
        }
        self.pending.extend(line);
        self.pending.push_back(b'\n');
        self.flush();
    }

    pub(super) fn send_all(&mut self, reports: &[Report]) {
        for report in reports {
            self.send(report);
        }
    }

    /// Sends what can be sent without waiting.
    pub(super) fn flush(&mut self) {
        while !self.pending.is_empty() && self.is_ready() {
            let (front, _) = self.pending.as_slices();
            let piece = front.get(..PIECE_BYTES).unwrap_or(front);
            match write(self.output, piece) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => self.close(),
            }
        }
    }

    /// The descriptor to wait for, if anything is pending.
    pub(super) fn waiting(&self) -> Option<BorrowedFd<'a>> {
        (!self.pending.is_empty()).then_some(self.output)
    }

    fn is_ready(&mut self) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(self.output, PollFlags::OUT)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        match poll(&mut fds, Some(&now)) {
            Ok(count) => count > 0,
            Err(_) => false,
        }
    }

    fn close(&mut self) {
        self.closed = true;
        self.pending.clear();
    }
}

// A pipe that is ready takes this much without blocking (PIPE_BUF).
const PIECE_BYTES: usize = 4096;
// Whoever does not read so much is not interested any more.
const PENDING_BYTES_MAX: usize = 16 << 20;
