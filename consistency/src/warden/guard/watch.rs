//! What a warden waits for, registered once.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

use crate::clock::{Moment, timeout};

/// The descriptors of orders, of a request to end, of reports, and of the events of targets.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    poll: OwnedFd,
    orders: Option<BorrowedFd<'a>>,
    stop: Option<BorrowedFd<'a>>,
    /// Whether somebody waits for the reader of reports.
    reader: bool,
    /// The events of targets, by their number; nothing where there are none, or no more.
    targets: Vec<Option<OwnedFd>>,
}

/// What woke the warden, besides the events of targets and the time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stirred {
    pub(super) orders: bool,
    pub(super) stop: bool,
    pub(super) reports: bool,
}

impl<'a> Watch<'a> {
    pub(super) fn new(orders: BorrowedFd<'a>, stop: Option<BorrowedFd<'a>>) -> io::Result<Self> {
        let poll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&poll, orders, EventData::new_u64(ORDERS), EventFlags::IN)?;
        if let Some(stop) = stop {
            epoll::add(&poll, stop, EventData::new_u64(STOP), EventFlags::IN)?;
        }
        Ok(Self { poll, orders: Some(orders), stop, reader: false, targets: Vec::new() })
    }

    /// Waits for the events of targets from now on.
    pub(super) fn watch<'b>(
        &mut self,
        events: impl Iterator<Item = Option<BorrowedFd<'b>>>,
    ) -> io::Result<()> {
        for (number, events) in events.enumerate() {
            if let Some(events) = events {
                let data = EventData::new_u64(FIRST_TARGET + number as u64);
                epoll::add(&self.poll, events, data, EventFlags::PRI)?;
            }
            self.targets.push(events.map(|events| events.try_clone_to_owned()).transpose()?);
        }
        Ok(())
    }

    /// Waits for nobody who gives orders any more: a descriptor that hung up would wake us for ever.
    pub(super) fn ignore_orders(&mut self) {
        for fd in self.orders.take().into_iter().chain(self.stop.take()) {
            let _ = epoll::delete(&self.poll, fd);
        }
    }

    /// Waits for the reader of reports exactly while there is something to read.
    pub(super) fn await_reader(&mut self, reports: Option<BorrowedFd<'a>>) -> io::Result<()> {
        if let (Some(reports), false) = (reports, self.reader) {
            let data = EventData::new_u64(REPORTS);
            epoll::add(&self.poll, reports, data, EventFlags::OUT | EventFlags::ONESHOT)?;
            self.reader = true;
        }
        Ok(())
    }

    /// Sleeps until something happens, or until `next`. `notice` is told of every target that
    /// changed, and answers whether there is more to come.
    pub(super) fn wait(
        &mut self,
        next: Option<Moment>,
        mut notice: impl FnMut(usize) -> bool,
    ) -> io::Result<Stirred> {
        let limit = next.map(|moment| timeout(moment.wait_from(Moment::now())));
        let nothing = Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };
        let mut events = [nothing; EVENTS];
        let count = match epoll::wait(&self.poll, &mut events, limit.as_ref()) {
            Err(Errno::INTR) => 0,
            other => other?,
        };
        let mut stirred = Stirred::default();
        for event in events.get(..count).unwrap_or_default() {
            match event.data.u64() {
                ORDERS => stirred.orders = true,
                STOP => stirred.stop = true,
                REPORTS => (stirred.reports, self.reader) = (true, false),
                other => {
                    let number = usize::try_from(other - FIRST_TARGET).unwrap_or(usize::MAX);
                    if !notice(number) {
                        self.forget(number);
                    }
                }
            }
        }
        Ok(stirred)
    }

    fn forget(&mut self, number: usize) {
        if let Some(events) = self.targets.get_mut(number).and_then(Option::take) {
            let _ = epoll::delete(&self.poll, &events);
        }
    }
}

const ORDERS: u64 = 0;
const STOP: u64 = 1;
const REPORTS: u64 = 2;
const FIRST_TARGET: u64 = 3;
/// What happens more than this at once is told at the next wait.
const EVENTS: usize = 64;
