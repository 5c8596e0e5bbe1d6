//! Reports on their way out. A reader that stalls or is gone must never hold up a thaw, and what is
//! sent while something is frozen finds its memory there.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, write};

use super::protocol::Report;

#[derive(Debug)]
pub(super) struct Outbox<'a> {
    output: BorrowedFd<'a>,
    pending: VecDeque<u8>,
    line: Vec<u8>,
    closed: bool,
}

impl<'a> Outbox<'a> {
    pub(super) fn new(output: BorrowedFd<'a>) -> Self {
        let pending = VecDeque::with_capacity(PENDING_BYTES_MAX);
        Self { output, pending, line: Vec::with_capacity(LINE_BYTES), closed: false }
    }

    /// Adds a report and sends what can be sent without waiting.
    pub(super) fn send(&mut self, report: &Report) {
        self.line.clear();
        if self.closed || serde_json::to_writer(&mut self.line, report).is_err() {
            return;
        }
        self.line.push(b'\n');
        if self.pending.len() + self.line.len() > PENDING_BYTES_MAX {
            return;
        }
        self.pending.extend(self.line.iter());
        self.flush();
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
// Whoever does not read so much is not interested any more: three reports for each of a thousand
// targets.
const PENDING_BYTES_MAX: usize = 512 << 10;
// A report that is sent while something is frozen is shorter.
const LINE_BYTES: usize = 4096;
