//! One target in the hands of the warden.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::protocol::{Report, Role};
use crate::clock::Moment;
use crate::error::chain;
use crate::freezer::{Freezer, FreezerError, Reading};

#[derive(Debug)]
pub(super) struct Hold {
    freezer: Box<dyn Freezer>,
    role: Role,
    state: State,
    number: usize,
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
    pub(super) fn new(number: usize, role: Role, freezer: Box<dyn Freezer>) -> Self {
        Self { freezer, role, state: State::Free, number, thawed: None }
    }

    /// Whether it is not ours to freeze, having been frozen by somebody else.
    pub(super) fn check(&mut self) -> Result<(), FreezerError> {
        if self.role == Role::Hold && self.freezer.is_foreign()? {
            return Err(FreezerError::Foreign);
        }
        Ok(())
    }

    /// Asks for the freeze.
    pub(super) fn freeze(&mut self) -> Option<Report> {
        if self.role == Role::Watch {
            return None;
        }
        let asked = Moment::now();
        self.state = State::Freezing { asked, next: asked };
        self.freezer.freeze().err().map(|error| self.give_up(&error))
    }

    /// Asks for the thaw, unless there is nothing to thaw.
    pub(super) fn release(&mut self) {
        if matches!(self.state, State::Freezing { .. } | State::Frozen) {
            self.state = State::Thawing { next: Moment::now() };
        }
    }

    /// Does what is due.
    pub(super) fn tick(&mut self) -> Option<Report> {
        let now = Moment::now();
        match self.state {
            State::Freezing { asked, next } if next <= now => match self.freezer.settle() {
                Ok(true) => {
                    self.state = State::Frozen;
                    Some(Report::Frozen { target: self.number, asked, done: Moment::now() })
                }
                Ok(false) => {
                    let next = Moment::now().after(self.freezer.pause());
                    self.state = State::Freezing { asked, next };
                    None
                }
                Err(error) => Some(self.give_up(&error)),
            },
            State::Thawing { next } if next <= now => {
                if matches!(self.freezer.thaw(), Ok(true)) {
                    let done = Moment::now();
                    self.state = State::Free;
                    self.thawed = Some(done);
                    return Some(Report::Thawed { target: self.number, done });
                }
                self.state = State::Thawing { next: now.after(THAW_RETRY) };
                None
            }
            _ => None,
        }
    }

    /// Takes note that the kernel reported a change.
    pub(super) fn notice(&mut self) {
        self.freezer.notice();
        if let State::Freezing { next, .. } | State::Thawing { next } = &mut self.state {
            *next = Moment::now();
        }
    }

    /// What can be measured; `None` if nothing can.
    pub(super) fn reading(&mut self) -> Option<Reading> {
        self.freezer.reading().ok()
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

    /// The report of a target that runs, if it is one that could have been frozen.
    pub(super) fn free(&self) -> Option<Report> {
        let free = self.role == Role::Hold && !self.is_held();
        free.then(|| Report::Thawed {
            target: self.number,
            done: self.thawed.unwrap_or_else(Moment::now),
        })
    }

    pub(super) fn events(&self) -> Option<BorrowedFd<'_>> {
        self.freezer.events()
    }

    // What was frozen of it stays so until everything is thawed, which follows soon.
    fn give_up(&mut self, error: &FreezerError) -> Report {
        self.state = State::Frozen;
        Report::FreezeFailed { target: self.number, reason: chain(error) }
    }
}

const THAW_RETRY: Duration = Duration::from_millis(100);
