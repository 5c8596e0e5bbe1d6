//! The guard on a thread, with real processes to freeze.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::super::protocol::Role;
use super::*;
use crate::freezer::tests::{Busy, Cgroup};

struct World {
    orders: Option<PipeWriter>,
    reports: PipeReader,
    stop: Option<PipeWriter>,
    lines: Lines,
    thread: JoinHandle<()>,
}

impl World {
    fn start() -> Self {
        let (input, orders) = io::pipe().unwrap();
        let (reports, output) = io::pipe().unwrap();
        let (stopped, stop) = io::pipe().unwrap();
        let thread = thread::spawn(move || {
            run(input.as_fd(), output.as_fd(), Some(stopped.as_fd())).unwrap();
        });
        Self { orders: Some(orders), reports, stop: Some(stop), lines: Lines::default(), thread }
    }

    fn armed(targets: &[FreezeTarget], deadline: Duration) -> Self {
        let mut world = Self::start();
        world.arm(targets, deadline);
        assert_eq!(world.next(), Some(Report::Armed));
        world
    }

    fn arm(&mut self, targets: &[FreezeTarget], deadline: Duration) {
        let armed = |target: &FreezeTarget| Armed { role: Role::Hold, target: target.into() };
        let targets = targets.iter().map(armed).collect();
        self.order(&Order::Arm { deadline_micros: crate::clock::micros(deadline), targets });
    }

    fn order(&mut self, order: &Order) {
        self.say(&serde_json::to_string(order).unwrap());
    }

    fn say(&mut self, line: &str) {
        writeln!(self.orders.as_mut().unwrap(), "{line}").unwrap();
    }

    fn next(&mut self) -> Option<Report> {
        loop {
            if let Some(line) = self.lines.next_line().unwrap() {
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let mut buffer = [0; 512];
            let count = self.reports.read(&mut buffer).unwrap();
            if count == 0 {
                return None;
            }
            self.lines.push(&buffer[..count]);
        }
    }

    fn freeze(&mut self, count: usize) {
        self.order(&Order::Freeze);
        for _ in 0..count {
            let report = self.next();
            assert!(matches!(report, Some(Report::Frozen { .. })), "{report:?}");
        }
    }

    fn expect_thaw(&mut self, reason: Reason, count: usize) {
        assert_eq!(self.next(), Some(Report::Thawing { reason }));
        for _ in 0..count {
            let report = self.next();
            assert!(matches!(report, Some(Report::Thawed { .. })), "{report:?}");
        }
    }
}

const LONG: Duration = Duration::from_mins(1);

fn tree(busy: &Busy) -> FreezeTarget {
    FreezeTarget::ProcessTree(busy.pid())
}

#[test]
fn every_kind_of_target_is_frozen_together_and_thawed() {
    let busy = Busy::start();
    let cgroups = [Cgroup::v1("guard"), Cgroup::v2("guard")];
    let mut targets = vec![tree(&busy)];
    targets.extend(cgroups[0].as_ref().map(|c| FreezeTarget::CgroupV1(c.directory())));
    targets.extend(cgroups[1].as_ref().map(|c| FreezeTarget::CgroupV2(c.directory())));
    let mut world = World::armed(&targets, LONG);
    world.freeze(targets.len());
    let mut pulse = || {
        world.order(&Order::Pulse);
        let Some(Report::Pulse { readings }) = world.next() else { panic!("no pulse") };
        readings.into_iter().map(Option::unwrap).collect::<Vec<_>>()
    };
    let before = pulse();
    thread::sleep(Duration::from_millis(200));
    for (after, before) in pulse().iter().zip(&before) {
        assert_eq!(after.break_since(before), None, "{before:?} {after:?}");
    }
    world.order(&Order::Thaw);
    world.expect_thaw(Reason::Ordered, targets.len());
    for busy in cgroups.iter().flatten().map(Cgroup::busy).chain([&busy]) {
        assert!(busy.uses_cpu());
    }
}

#[test]
fn a_closed_pipe_thaws_within_100_ms() {
    let Some(cgroup) = Cgroup::v2("orphan") else { return };
    let mut world = World::armed(&[FreezeTarget::CgroupV2(cgroup.directory())], LONG);
    world.freeze(1);
    let start = Instant::now();
    world.orders = None;
    world.expect_thaw(Reason::Orphaned, 1);
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
    assert_eq!(world.next(), None);
    world.thread.join().unwrap();
}

#[test]
fn the_deadline_thaws_and_nothing_is_frozen_afterwards() {
    let busy = Busy::start();
    let mut world = World::armed(&[tree(&busy)], Duration::from_millis(150));
    world.freeze(1);
    assert!(busy.is_stopped());
    world.expect_thaw(Reason::Deadline, 1);
    world.order(&Order::Freeze);
    assert!(matches!(world.next(), Some(Report::Refused { .. })));
    assert!(!busy.is_stopped() && busy.uses_cpu());
}

#[test]
fn a_signal_to_end_thaws_and_ends() {
    let busy = Busy::start();
    let mut world = World::armed(&[tree(&busy)], LONG);
    world.freeze(1);
    world.stop = None;
    world.expect_thaw(Reason::Terminated, 1);
    world.thread.join().unwrap();
}

#[test]
fn a_thaw_is_for_good() {
    let busy = Busy::start();
    let mut world = World::armed(&[tree(&busy)], LONG);
    world.order(&Order::Thaw);
    assert!(matches!(world.next(), Some(Report::Thawed { target: 0, .. })), "it runs already");
    world.order(&Order::Freeze);
    assert!(matches!(world.next(), Some(Report::Refused { .. })));
    assert!(busy.uses_cpu());
}

#[test]
fn orders_out_of_turn_are_refused() {
    let busy = Busy::start();
    let mut world = World::start();
    for order in [Order::Freeze, Order::Pulse] {
        world.order(&order);
        assert!(matches!(world.next(), Some(Report::Refused { target: None, .. })));
    }
    world.arm(&[tree(&busy)], LONG);
    assert_eq!(world.next(), Some(Report::Armed));
    world.arm(&[tree(&busy)], LONG);
    assert!(matches!(world.next(), Some(Report::Refused { target: None, .. })));
}

#[test]
fn nonsense_thaws_and_ends() {
    let busy = Busy::start();
    let mut world = World::armed(&[tree(&busy)], LONG);
    world.freeze(1);
    world.say("{\"melt\":1}");
    assert!(matches!(world.next(), Some(Report::Refused { .. })));
    world.expect_thaw(Reason::Orphaned, 1);
    world.thread.join().unwrap();
}

#[test]
fn one_target_that_cannot_be_opened_means_none_is_frozen() {
    let busy = Busy::start();
    let mut world = World::start();
    let gone = FreezeTarget::CgroupV2("/sys/fs/cgroup/unified/no-such".into());
    world.arm(&[tree(&busy), gone], LONG);
    assert!(matches!(world.next(), Some(Report::Refused { target: Some(1), .. })));
    world.order(&Order::Freeze);
    assert!(matches!(world.next(), Some(Report::Refused { target: None, .. })));
    assert!(busy.uses_cpu());
}

#[test]
fn what_somebody_else_froze_is_refused_and_left_alone() {
    let (busy, free) = (Busy::start(), Busy::start());
    let mut other = World::armed(&[tree(&busy)], LONG);
    other.freeze(1);
    let mut world = World::armed(&[tree(&free), tree(&busy)], LONG);
    world.order(&Order::Freeze);
    assert!(matches!(world.next(), Some(Report::Refused { target: Some(1), .. })));
    world.orders = None;
    world.thread.join().unwrap();
    assert!(busy.is_stopped() && !free.is_stopped());
}

#[test]
fn a_reader_that_is_gone_or_stalls_holds_up_no_thaw() {
    let busy = Busy::start();
    let mut world = World::armed(&[tree(&busy)], LONG);
    world.freeze(1);
    // More than the pipe takes, and nobody reads.
    for _ in 0..2000 {
        world.order(&Order::Pulse);
    }
    world.order(&Order::Thaw);
    let start = Instant::now();
    while busy.is_stopped() {
        assert!(start.elapsed() < Duration::from_secs(20), "the thaw waits for a reader");
        thread::sleep(Duration::from_millis(5));
    }
    let (reader, _) = io::pipe().unwrap();
    drop(std::mem::replace(&mut world.reports, reader));
    world.orders = None;
    world.thread.join().unwrap();
}
