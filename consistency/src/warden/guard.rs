//! The warden's one loop: orders, the kernel's events and the time come in; freezes and thaws
//! go out.

use std::io;
use std::os::fd::BorrowedFd;
use std::thread;
use std::time::Duration;

use platform::application::FreezeTarget;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read};

use super::hold::Hold;
use super::outbox::Outbox;
use super::protocol::{Armed, Lines, Order, Reason, Report};
use crate::clock::{Moment, timeout};
use crate::error::chain;
use crate::freezer::{self, Reading};

/// Guards a freeze: takes orders from `input`, reports to `output`, until the input ends or
/// `stop` has something to read or hangs up. Returns when everything is thawed.
pub fn run(
    input: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
    stop: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut guard = Guard {
        outbox: Outbox::new(output),
        holds: Vec::new(),
        phase: Phase::Unarmed,
        time: None,
        has_base: false,
        ending: false,
    };
    let mut lines = Lines::default();
    while !(guard.ending && guard.is_idle()) {
        let woken = guard.wait(input, stop)?;
        if woken.stop && !guard.ending {
            guard.end(Reason::Terminated);
        }
        if woken.input && !guard.ending {
            guard.listen(input, &mut lines);
        }
        guard.tick();
    }
    guard.outbox.flush();
    Ok(())
}

struct Guard<'a> {
    outbox: Outbox<'a>,
    holds: Vec<Hold>,
    phase: Phase,
    /// Once something was frozen: when everything is thawed in any case.
    time: Option<Moment>,
    /// Whether a pulse was taken already.
    has_base: bool,
    /// No more orders are taken.
    ending: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Unarmed,
    /// Everything is open; the freeze may last so long.
    Armed(Duration),
    Holding,
    /// Thawed or thawing: nothing is frozen any more by this process.
    Spent,
}

#[derive(Clone, Copy, Debug, Default)]
struct Woken {
    input: bool,
    stop: bool,
}

impl Guard<'_> {
    fn is_idle(&self) -> bool {
        !self.holds.iter().any(Hold::is_held)
    }

    // Sleeps until something happens or is due.
    fn wait(&mut self, input: BorrowedFd<'_>, stop: Option<BorrowedFd<'_>>) -> io::Result<Woken> {
        let next = self.holds.iter().filter_map(Hold::next).chain(self.time).min();
        let limit = next.map(|moment| timeout(moment.wait_from(Moment::now())));
        let (woken, output, changed) = {
            let mut fds = Vec::new();
            let mut watched = Vec::new();
            for (number, hold) in self.holds.iter().enumerate() {
                if let Some(events) = hold.events() {
                    fds.push(PollFd::from_borrowed_fd(events, PollFlags::PRI));
                    watched.push(number);
                }
            }
            // A descriptor that hung up would wake us for ever.
            let listened = [(!self.ending).then_some(input), stop.filter(|_| !self.ending)];
            let places = listened.map(|fd| place(&mut fds, fd, PollFlags::IN));
            let output = place(&mut fds, self.outbox.waiting(), PollFlags::OUT);
            sleep(&mut fds, limit.as_ref())?;
            let stirred = |place: &Option<usize>| {
                place.and_then(|at| fds.get(at)).is_some_and(|fd| !fd.revents().is_empty())
            };
            let [input, stop] = places.each_ref().map(stirred);
            let stirs = fds.iter().zip(watched).filter(|(fd, _)| !fd.revents().is_empty());
            let changed: Vec<usize> = stirs.map(|(_, number)| number).collect();
            (Woken { input, stop }, stirred(&output), changed)
        };
        if output {
            self.outbox.flush();
        }
        for number in changed {
            self.holds.get_mut(number).into_iter().for_each(Hold::notice);
        }
        Ok(woken)
    }

    fn listen(&mut self, input: BorrowedFd<'_>, lines: &mut Lines) {
        let mut buffer = [0; 4096];
        match read(input, &mut buffer) {
            Err(Errno::INTR | Errno::AGAIN) => return,
            Err(_) | Ok(0) => return self.end(Reason::Orphaned),
            Ok(count) => lines.push(buffer.get(..count).unwrap_or_default()),
        }
        loop {
            let order = match lines.next_line() {
                Ok(None) => return,
                Ok(Some(line)) => serde_json::from_slice(&line).map_err(io::Error::from),
                Err(error) => Err(error),
            };
            match order {
                Ok(order) => self.obey(order),
                Err(error) => {
                    self.refuse(None, format!("not an order: {error}"));
                    return self.end(Reason::Orphaned);
                }
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match (order, self.phase) {
            (Order::Arm { deadline_micros, targets }, Phase::Unarmed) => {
                self.arm(&targets, Duration::from_micros(deadline_micros));
            }
            (Order::Freeze, Phase::Armed(deadline)) => self.freeze(deadline),
            (Order::Pulse, Phase::Armed(_) | Phase::Holding | Phase::Spent) => {
                let readings = self.pulse();
                self.outbox.send(&Report::Pulse { readings });
            }
            (Order::Thaw, _) => {
                self.release(Reason::Ordered);
                let free: Vec<_> = self.holds.iter().filter_map(Hold::free).collect();
                self.outbox.send_all(&free);
            }
            (_, Phase::Spent) => self.refuse(None, "the freeze is over".to_owned()),
            (_, Phase::Unarmed) => self.refuse(None, "no target is open yet".to_owned()),
            (_, Phase::Armed(_) | Phase::Holding) => {
                self.refuse(None, "this order was given already".to_owned());
            }
        }
    }

    // The first readings are what later ones are compared with. Where the kernel keeps no count of
    // the time frozen, a process may be charged for its last steps only now: two equal readings in
    // a row are a base.
    fn pulse(&mut self) -> Vec<Option<Reading>> {
        let mut earlier = self.readings();
        if std::mem::replace(&mut self.has_base, true)
            || earlier.iter().flatten().all(|reading| reading.frozen.is_some())
        {
            return earlier;
        }
        for _ in 0..SETTLE_TRIES {
            thread::sleep(SETTLE_TIME);
            let later = self.readings();
            let settled = later.iter().zip(&earlier).all(|pair| match pair {
                (Some(later), Some(earlier)) => later.break_since(earlier).is_none(),
                _ => true,
            });
            if settled {
                return later;
            }
            earlier = later;
        }
        earlier
    }

    fn readings(&mut self) -> Vec<Option<Reading>> {
        self.holds.iter_mut().map(Hold::reading).collect()
    }

    fn arm(&mut self, targets: &[Armed], deadline: Duration) {
        for (number, armed) in targets.iter().enumerate() {
            match freezer::open(&FreezeTarget::from(&armed.target)) {
                Ok(freezer) => self.holds.push(Hold::new(number, armed.role, freezer)),
                Err(error) => {
                    self.holds.clear();
                    self.phase = Phase::Spent;
                    return self.refuse(Some(number), chain(&error));
                }
            }
        }
        self.phase = Phase::Armed(deadline);
        self.outbox.send(&Report::Armed);
    }

    fn freeze(&mut self, deadline: Duration) {
        // All are looked at before the first is frozen: a cgroup may lie in another's.
        for (number, hold) in self.holds.iter_mut().enumerate() {
            if let Err(error) = hold.check() {
                self.phase = Phase::Spent;
                return self.refuse(Some(number), chain(&error));
            }
        }
        self.phase = Phase::Holding;
        self.time = Some(Moment::now().after(deadline));
        let failures: Vec<_> = self.holds.iter_mut().filter_map(Hold::freeze).collect();
        self.outbox.send_all(&failures);
    }

    fn tick(&mut self) {
        if self.time.is_some_and(|time| time <= Moment::now()) {
            self.release(Reason::Deadline);
        }
        for hold in &mut self.holds {
            if let Some(report) = hold.tick() {
                self.outbox.send(&report);
            }
        }
    }

    fn release(&mut self, reason: Reason) {
        self.time = None;
        if self.phase == Phase::Holding {
            // Written before it is told: a reader that stalls must not come first.
            let thaw = |hold: &mut Hold| {
                hold.release();
                hold.tick()
            };
            let thawed: Vec<_> = self.holds.iter_mut().filter_map(thaw).collect();
            self.outbox.send(&Report::Thawing { reason });
            // Whoever ordered it is told of every target at once.
            if reason != Reason::Ordered {
                self.outbox.send_all(&thawed);
            }
        }
        self.phase = Phase::Spent;
    }

    fn end(&mut self, reason: Reason) {
        self.release(reason);
        self.ending = true;
    }

    fn refuse(&mut self, target: Option<usize>, reason: String) {
        self.outbox.send(&Report::Refused { target, reason });
    }
}

// Adds a descriptor to those waited for, and says where.
fn place<'a>(
    fds: &mut Vec<PollFd<'a>>,
    fd: Option<BorrowedFd<'a>>,
    flags: PollFlags,
) -> Option<usize> {
    let fd = fd?;
    fds.push(PollFd::from_borrowed_fd(fd, flags));
    Some(fds.len() - 1)
}

fn sleep(fds: &mut [PollFd<'_>], limit: Option<&Timespec>) -> io::Result<()> {
    match poll(fds, limit) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

const SETTLE_TRIES: u32 = 10;
const SETTLE_TIME: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests;
