//! One target in the hands of the warden.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::protocol::Report;
use crate::clock::Moment;
use crate::error::chain;
use crate::freezer::{Freezer, Trouble, holds_nobody};
use crate::journal::{Journal, Mark};
use crate::needed::Needed;

#[derive(Debug)]
pub(super) struct Hold {
    freezer: Box<dyn Freezer>,
    state: State,
    /// As the service counts.
    number: usize,
    /// As the journal counts.
    line: usize,
    thawed: Option<Moment>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Not touched, or thawed.
    Free,
    /// Told to freeze then; to be looked at again at `next`.
    Freezing { asked: Moment, next: Moment },
    /// Frozen, or left as it is until the thaw after a failure.
    Frozen,
    /// Told to thaw; to be told again at `next`.
    Thawing { next: Moment },
}

impl Hold {
    pub(super) fn new(number: usize, line: usize, freezer: Box<dyn Freezer>) -> Self {
        Self { freezer, state: State::Free, number, line, thawed: None }
    }

    /// Whether it may be frozen: nobody else has done so, and it holds nobody who is needed.
    pub(super) fn check(&mut self, needed: &[Needed]) -> Result<(), Report> {
        match self.freezer.is_foreign() {
            Ok(false) => {}
            Ok(true) => return Err(self.failed(Trouble::Foreign)),
            Err(trouble) => return Err(self.failed(trouble)),
        }
        holds_nobody(&*self.freezer, needed).map_err(|error| Report::Refused {
            target: Some(self.number),
            reason: chain(&error).into(),
        })
    }

    /// The report that it cannot be frozen.
    fn failed(&self, trouble: Trouble) -> Report {
        Report::FreezeFailed { target: self.number, trouble }
    }

    /// Writes down that it is frozen, and asks for the freeze.
    pub(super) fn freeze(&mut self, journal: &mut Journal) -> Option<Report> {
        let asked = Moment::now();
        let line = self.line;
        if let Err(trouble) = journal.mark(line, Mark::Frozen) {
            return Some(self.give_up(trouble));
        }
        self.state = State::Freezing { asked, next: asked };
        let frozen = self.freezer.freeze(&mut |process| journal.note(line, process));
        frozen.err().map(|trouble| self.give_up(trouble))
    }

    /// Asks for the thaw, unless there is nothing to thaw.
    pub(super) fn release(&mut self) {
        if matches!(self.state, State::Freezing { .. } | State::Frozen) {
            self.state = State::Thawing { next: Moment::now() };
        }
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, journal: &mut Journal) -> Option<Report> {
        let now = Moment::now();
        match self.state {
            State::Freezing { asked, next } if next <= now => self.settle(asked, journal),
            State::Thawing { next } if next <= now => self.thaw(now, journal),
            _ => None,
        }
    }

    fn settle(&mut self, asked: Moment, journal: &mut Journal) -> Option<Report> {
        let line = self.line;
        match self.freezer.settle(&mut |process| journal.note(line, process)) {
            Ok(true) => {
                self.state = State::Frozen;
                Some(Report::Frozen { target: self.number, asked, done: Moment::now() })
            }
            Ok(false) => {
                let next = Moment::now().after(self.freezer.pause());
                self.state = State::Freezing { asked, next };
                None
            }
            Err(trouble) => Some(self.give_up(trouble)),
        }
    }

    fn thaw(&mut self, now: Moment, journal: &mut Journal) -> Option<Report> {
        let target = self.number;
        let trouble = match self.freezer.thaw() {
            Ok(true) => {
                let done = Moment::now();
                self.state = State::Free;
                self.thawed = Some(done);
                // Where this fails, the target is thawed once more, which does no harm.
                let _ = journal.mark(self.line, Mark::Thawed);
                return Some(Report::Thawed { target, done });
            }
            Ok(false) if self.freezer.awaits_answer() => {
                self.state = State::Thawing { next: now.after(self.freezer.pause()) };
                return None;
            }
            Ok(false) => Trouble::Stuck,
            Err(trouble) => trouble,
        };
        self.state = State::Thawing { next: now.after(THAW_RETRY) };
        Some(Report::ThawFailed { target, trouble })
    }

    /// Takes note that the kernel reported a change; false when no more will come.
    pub(super) fn notice(&mut self) -> bool {
        if let State::Freezing { next, .. } | State::Thawing { next } = &mut self.state {
            *next = Moment::now();
        }
        self.freezer.notice()
    }

    /// When something is due, if anything is.
    pub(super) fn next(&self) -> Option<Moment> {
        match self.state {
            State::Freezing { next, .. } | State::Thawing { next } => Some(next),
            State::Free | State::Frozen => None,
        }
    }

    /// Whether it may stand still because of us.
    pub(super) fn is_held(&self) -> bool {
        self.state != State::Free
    }

    /// The report of a target that runs.
    pub(super) fn free(&self) -> Option<Report> {
        (!self.is_held()).then(|| Report::Thawed {
            target: self.number,
            done: self.thawed.unwrap_or_else(Moment::now),
        })
    }

    pub(super) fn events(&self) -> Option<BorrowedFd<'_>> {
        self.freezer.events()
    }

    // What was frozen of it stays so until everything is thawed, which follows soon.
    fn give_up(&mut self, trouble: Trouble) -> Report {
        self.state = State::Frozen;
        self.failed(trouble)
    }
}

/// Ten times a second.
const THAW_RETRY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
