//! The warden's one loop: orders, the kernel's events and the time come in; freezes and thaws
//! go out.
//!
//! All memory and all descriptors are taken when it is armed. From the freeze to the last thaw
//! nothing here allocates, and nothing is opened, but for processes without a cgroup, which are
//! looked for in `/proc`, and for engines that hung up.

mod watch;

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

use format::ids::PointId;
use rustix::io::{Errno, read};

use self::watch::{Stirred, Watch};
use super::hold::Hold;
use super::outbox::Outbox;
use super::protocol::{Armed, Lines, Order, Reason, Report, path};
use super::ring::Ring;
use crate::clock::Moment;
use crate::error::chain;
use crate::freezer;
use crate::journal::Journal;
use crate::member::{Member, Refusal};
use crate::needed::Needed;

/// What a warden is connected to.
#[derive(Clone, Debug)]
pub(crate) struct Site<'a> {
    /// Where its orders come from; when this ends, it thaws and ends.
    pub(crate) orders: BorrowedFd<'a>,
    /// Where its reports go to.
    pub(crate) reports: BorrowedFd<'a>,
    /// When this has something to read or hangs up, it thaws and ends.
    pub(crate) stop: Option<BorrowedFd<'a>>,
    /// The protection that it does not have.
    pub(crate) exposed: Vec<String>,
}

/// Guards a freeze until there are no more orders. Returns when everything is thawed, with what
/// there is to print about thaws that failed.
pub(crate) fn run(site: Site<'_>) -> io::Result<Option<String>> {
    let mut guard = Guard {
        watch: Watch::new(site.orders, site.stop)?,
        outbox: Outbox::new(site.reports),
        exposed: site.exposed,
        needed: Vec::new(),
        holds: Vec::new(),
        journal: None,
        member: Member::default(),
        thaw_line: Vec::new(),
        deadline: Duration::ZERO,
        time: None,
        ring: Ring::default(),
        orphaned: false,
        ending: false,
    };
    let mut lines = Lines::default();
    while !(guard.ending && guard.is_idle()) {
        let stirred = guard.wait()?;
        if stirred.stop && !guard.ending {
            guard.end(Reason::Terminated);
        }
        if stirred.orders && !guard.ending {
            guard.listen(site.orders, &mut lines);
        }
        guard.tick();
    }
    guard.outbox.flush();
    if let Some(journal) = guard.journal.take() {
        // One that is left names nothing that is frozen.
        let _ = journal.remove();
    }
    let unheard = guard.orphaned && !guard.ring.is_empty();
    Ok(unheard.then(|| guard.ring.to_string()))
}

struct Guard<'a> {
    watch: Watch<'a>,
    outbox: Outbox<'a>,
    exposed: Vec<String>,
    /// Who must not be frozen.
    needed: Vec<Needed>,
    holds: Vec<Hold>,
    journal: Option<Journal>,
    member: Member,
    /// The one order that is followed while something is frozen, as it will be written.
    thaw_line: Vec<u8>,
    deadline: Duration,
    /// Once something was frozen: when everything is thawed in any case.
    time: Option<Moment>,
    ring: Ring,
    /// Nobody reads the reports any more.
    orphaned: bool,
    /// No more orders are taken.
    ending: bool,
}

impl Guard<'_> {
    fn is_idle(&self) -> bool {
        !self.holds.iter().any(Hold::is_held)
    }

    // Sleeps until something happens or is due.
    fn wait(&mut self) -> io::Result<Stirred> {
        let next = self.holds.iter().filter_map(Hold::next).chain(self.time).min();
        let (watch, outbox) = (&mut self.watch, &mut self.outbox);
        watch.await_reader(outbox.waiting())?;
        let holds = &mut self.holds;
        let stirred = watch.wait(next, |number| holds.get_mut(number).is_none_or(Hold::notice))?;
        if stirred.reports {
            outbox.flush();
        }
        Ok(stirred)
    }

    fn listen(&mut self, orders: BorrowedFd<'_>, lines: &mut Lines) {
        let mut buffer = [0; 4096];
        match read(orders, &mut buffer) {
            Err(Errno::INTR | Errno::AGAIN) => return,
            Err(_) | Ok(0) => return self.end(Reason::Orphaned),
            Ok(count) => lines.push(buffer.get(..count).unwrap_or_default()),
        }
        while !self.ending {
            match lines.next_line() {
                Ok(None) => return,
                Ok(Some(line)) if self.member.is_holding() => {
                    // Whoever says anything else now is not to be trusted with a freeze.
                    if line == self.thaw_line {
                        self.thaw();
                    } else {
                        self.hang_up("while something is frozen, the only order is to thaw it");
                    }
                }
                Ok(Some(line)) => match serde_json::from_slice(line) {
                    Ok(order) => self.obey(order),
                    Err(_) => self.hang_up("not an order"),
                },
                Err(_) => self.hang_up("an order without end"),
            }
        }
    }

    fn obey(&mut self, order: Order) {
        let result = match order {
            Order::Arm { run, deadline_micros, journals, needed, targets } => {
                self.needed = needed;
                self.deadline = Duration::from_micros(deadline_micros);
                self.member.arm(run).map(|()| self.open(run, &path(&journals), &targets))
            }
            Order::Freeze { run } => self.member.freeze(run).map(|()| self.freeze()),
            Order::Thaw { run } => self.member.serves(run).map(|()| self.thaw()),
        };
        if let Err(refusal) = result {
            self.refuse(refusal);
        }
    }

    fn open(&mut self, run: PointId, journals: &Path, targets: &[Armed]) {
        let opened: Vec<_> = targets.iter().map(|armed| (&armed.target).into()).collect();
        self.thaw_line = serde_json::to_vec(&Order::Thaw { run }).unwrap_or_default();
        for (line, (armed, target)) in targets.iter().zip(&opened).enumerate() {
            match freezer::open(target, &self.needed) {
                Ok(freezer) => self.holds.push(Hold::new(armed.number, line, freezer)),
                Err(error) => return self.fail_to_arm(Some(armed.number), chain(&error)),
            }
        }
        match Journal::create(journals, &run.to_string(), &opened) {
            Ok(journal) => self.journal = Some(journal),
            Err(error) => {
                let journals = journals.display();
                let reason = format!("no journal can be kept in `{journals}`: {error}");
                return self.fail_to_arm(None, reason);
            }
        }
        if let Err(error) = self.watch.watch(self.holds.iter().map(Hold::events)) {
            return self.fail_to_arm(None, format!("its events cannot be waited for: {error}"));
        }
        let exposed = std::mem::take(&mut self.exposed);
        self.outbox.send(&Report::Armed { exposed });
    }

    fn fail_to_arm(&mut self, target: Option<usize>, reason: String) {
        self.holds.clear();
        self.member.spend();
        self.outbox.send(&Report::Refused { target, reason: reason.into() });
    }

    fn freeze(&mut self) {
        let Some(journal) = &mut self.journal else { return };
        // All are looked at before the first is frozen: a cgroup may lie in another's.
        let needed = &self.needed;
        let trouble = |hold: &mut Hold| hold.check(needed).err();
        if let Some(report) = self.holds.iter_mut().find_map(trouble) {
            self.member.spend();
            return self.outbox.send(&report);
        }
        let until = Moment::now().after(self.deadline);
        self.time = Some(until);
        if journal.begin(until).is_err() {
            return self.hang_up("the journal cannot be written");
        }
        for hold in &mut self.holds {
            if let Some(report) = hold.freeze(journal) {
                self.outbox.send(&report);
            }
        }
    }

    fn thaw(&mut self) {
        self.release(Reason::Ordered);
        self.tell_free();
    }

    fn tick(&mut self) {
        if self.time.is_some_and(|time| time <= Moment::now()) {
            self.release(Reason::Deadline);
            self.tell_free();
        }
        let Some(journal) = &mut self.journal else { return };
        for hold in &mut self.holds {
            if let Some(report) = hold.tick(journal) {
                self.ring.note(&report);
                self.outbox.send(&report);
            }
        }
    }

    fn release(&mut self, reason: Reason) {
        self.time = None;
        if !self.member.spend() {
            return;
        }
        if let Some(journal) = &mut self.journal {
            // Written before it is told: a reader that stalls must not come first.
            for hold in &mut self.holds {
                hold.release();
                if let Some(report) = hold.tick(journal) {
                    self.ring.note(&report);
                }
            }
        }
        self.outbox.send(&Report::Thawing { reason });
    }

    fn tell_free(&mut self) {
        for report in self.holds.iter().filter_map(Hold::free) {
            self.outbox.send(&report);
        }
    }

    fn end(&mut self, reason: Reason) {
        let held = self.member.is_holding();
        self.release(reason);
        if held {
            self.tell_free();
        }
        self.orphaned = reason == Reason::Orphaned;
        self.ending = true;
        self.watch.ignore_orders();
    }

    fn hang_up(&mut self, reason: &'static str) {
        self.end(Reason::Orphaned);
        self.outbox.send(&Report::Refused { target: None, reason: reason.into() });
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.outbox.send(&Report::Refused { target: None, reason: refusal.text().into() });
    }
}

#[cfg(test)]
mod tests;
