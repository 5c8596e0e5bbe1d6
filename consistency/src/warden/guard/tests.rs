//! The guard on a thread, with real processes to freeze.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use platform::application::FreezeTarget;
use tempfile::TempDir;

use super::super::protocol::raw;
use super::*;
use crate::allocations;
use crate::freezer::tests::{Busy, Cgroup};

struct World {
    journals: TempDir,
    allocated: &'static AtomicU64,
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
        let allocated = allocations::counter();
        let counter = allocated;
        let thread = thread::spawn(move || {
            allocations::count(counter);
            let (orders, reports) = (input.as_fd(), output.as_fd());
            let stop = Some(stopped.as_fd());
            let said = run(Site { orders, reports, stop, exposed: Vec::new() }).unwrap();
            assert_eq!(said, None);
        });
        let (orders, stop, lines) = (Some(orders), Some(stop), Lines::default());
        let journals = tempfile::tempdir().unwrap();
        Self { journals, allocated, orders, reports, stop, lines, thread }
    }

    fn journals(&self) -> usize {
        std::fs::read_dir(self.journals.path()).unwrap().count()
    }

    fn armed(targets: &[FreezeTarget], deadline: Duration) -> Self {
        let mut world = Self::start();
        world.arm(targets, deadline);
        assert_eq!(world.next(), Some(ARMED));
        world
    }

    fn arm(&mut self, targets: &[FreezeTarget], deadline: Duration) {
        let armed =
            |(number, target): (usize, &FreezeTarget)| Armed { number, target: target.into() };
        let targets = targets.iter().enumerate().map(armed).collect();
        let (deadline_micros, journals) =
            (crate::clock::micros(deadline), raw(self.journals.path()));
        let needed = Vec::new();
        self.order(&Order::Arm { run: RUN, deadline_micros, journals, needed, targets });
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
                return Some(serde_json::from_slice(line).unwrap());
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
        self.order(&FREEZE);
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

const RUN: PointId = PointId::new([1; 16]);
const FREEZE: Order = Order::Freeze { run: RUN };
const THAW: Order = Order::Thaw { run: RUN };
const ARMED: Report = Report::Armed { exposed: Vec::new() };
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
    assert_eq!(world.journals(), 1);
    world.order(&THAW);
    world.expect_thaw(Reason::Ordered, targets.len());
    for busy in cgroups.iter().flatten().map(Cgroup::busy).chain([&busy]) {
        assert!(busy.uses_cpu());
    }
    world.orders = None;
    assert_eq!(world.next(), None);
    assert_eq!(world.journals(), 0, "the journal goes with the warden");
}

#[test]
fn nothing_is_allocated_from_the_moment_it_is_armed_until_all_is_thawed() {
    let busy = Busy::start();
    let cgroups = [Cgroup::v1("memory"), Cgroup::v2("memory")];
    let mut targets = vec![tree(&busy)];
    targets.extend(cgroups[0].as_ref().map(|c| FreezeTarget::CgroupV1(c.directory())));
    targets.extend(cgroups[1].as_ref().map(|c| FreezeTarget::CgroupV2(c.directory())));
    let mut world = World::start();
    world.arm(&targets, LONG);
    assert_eq!(world.next(), Some(ARMED));
    // The order to freeze is parsed before anything is frozen, and may take memory.
    world.freeze(targets.len());
    let before = world.allocated.load(Ordering::SeqCst);
    assert!(before > 0, "the count works");
    world.order(&THAW);
    world.expect_thaw(Reason::Ordered, targets.len());
    assert_eq!(world.allocated.load(Ordering::SeqCst), before);
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
    world.order(&FREEZE);
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
    world.order(&THAW);
    assert!(matches!(world.next(), Some(Report::Thawed { target: 0, .. })), "it runs already");
    world.order(&FREEZE);
    assert!(matches!(world.next(), Some(Report::Refused { .. })));
    assert!(busy.uses_cpu());
}

#[test]
fn orders_out_of_turn_are_refused() {
    let busy = Busy::start();
    let mut world = World::start();
    for order in [FREEZE, THAW] {
        world.order(&order);
        assert!(matches!(world.next(), Some(Report::Refused { target: None, .. })));
    }
    world.arm(&[tree(&busy)], LONG);
    assert_eq!(world.next(), Some(ARMED));
    world.arm(&[tree(&busy)], LONG);
    assert!(matches!(world.next(), Some(Report::Refused { target: None, .. })));
    world.order(&Order::Freeze { run: PointId::new([2; 16]) });
    assert!(matches!(world.next(), Some(Report::Refused { target: None, .. })), "another run");
    assert!(!busy.is_stopped());
}

#[test]
fn whoever_gives_an_order_but_to_thaw_while_something_is_frozen_is_not_trusted() {
    let busy = Busy::start();
    let mut world = World::armed(&[tree(&busy)], LONG);
    world.freeze(1);
    world.order(&FREEZE);
    world.expect_thaw(Reason::Orphaned, 1);
    assert!(matches!(world.next(), Some(Report::Refused { .. })));
    world.thread.join().unwrap();
    assert!(busy.uses_cpu());
}

#[test]
fn nonsense_thaws_and_ends() {
    let busy = Busy::start();
    let mut world = World::armed(&[tree(&busy)], LONG);
    world.freeze(1);
    world.say("{\"melt\":1}");
    world.expect_thaw(Reason::Orphaned, 1);
    assert!(matches!(world.next(), Some(Report::Refused { .. })));
    world.thread.join().unwrap();
}

#[test]
fn one_target_that_cannot_be_opened_means_none_is_frozen() {
    let busy = Busy::start();
    let mut world = World::start();
    let gone = FreezeTarget::CgroupV2("/sys/fs/cgroup/unified/no-such".into());
    world.arm(&[tree(&busy), gone], LONG);
    assert!(matches!(world.next(), Some(Report::Refused { target: Some(1), .. })));
    assert_eq!(world.journals(), 0);
    world.order(&FREEZE);
    assert!(matches!(world.next(), Some(Report::Refused { target: None, .. })));
    assert!(busy.uses_cpu());
}

#[test]
fn what_somebody_else_froze_is_refused_and_left_alone() {
    let (busy, free) = (Busy::start(), Busy::start());
    let mut other = World::armed(&[tree(&busy)], LONG);
    other.freeze(1);
    let mut world = World::armed(&[tree(&free), tree(&busy)], LONG);
    world.order(&FREEZE);
    let refused = Report::FreezeFailed { target: 1, trouble: freezer::Trouble::Foreign };
    assert_eq!(world.next(), Some(refused));
    world.orders = None;
    world.thread.join().unwrap();
    assert!(busy.is_stopped() && !free.is_stopped());
}

#[test]
fn a_reader_that_is_gone_or_stalls_holds_up_no_thaw() {
    let busy = Busy::start();
    let mut world = World::armed(&[tree(&busy)], LONG);
    world.freeze(1);
    // Nobody reads, and there is more to tell than the pipe takes.
    world.order(&THAW);
    for _ in 0..2000 {
        world.order(&FREEZE);
    }
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
