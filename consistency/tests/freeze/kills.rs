//! Services and wardens that are killed, stopped or told to end, at any moment of a freeze.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use consistency::journal::{Swept, Which, sweep};
use consistency::{ConsistencyError, take};
use rustix::process::{Pid, Signal, kill_process};

use crate::of_one_instant;
use crate::world::{By, World, soon};

/// Rounds of killing both, the service or the warden, and of stopping the service, unless it is said
/// otherwise with `--rounds`, as `tests/kills.sh` does.
const BOTH_KILLED: u32 = 40;
const EITHER_KILLED: u32 = 60;
const STOPPED: u32 = 12;
pub(crate) static ROUNDS: OnceLock<u32> = OnceLock::new();

fn rounds(usual: u32) -> u32 {
    ROUNDS.get().copied().unwrap_or(usual)
}

pub(crate) fn a_killed_warden_is_an_error_and_all_is_thawed_without_it() {
    let world = World::new(&[By::V2, By::V1, By::Signal]);
    world.fatten();
    let request = world.request();
    thread::scope(|scope| {
        let taking = scope.spawn(|| take(&request));
        world.strike(Signal::KILL);
        let error = taking.join().unwrap().unwrap_err();
        assert!(matches!(error, ConsistencyError::WardenLost), "{error:?}");
    });
    assert!(world.all_run());
}

pub(crate) fn a_warden_told_to_end_thaws_and_the_point_is_refused() {
    let world = World::new(&[By::V2, By::Signal]);
    world.fatten();
    let request = world.request();
    thread::scope(|scope| {
        let taking = scope.spawn(|| take(&request));
        world.strike(Signal::TERM);
        let error = taking.join().unwrap().unwrap_err();
        assert!(matches!(error, ConsistencyError::Woke { .. }), "{error:?}");
    });
    assert!(world.all_run());
}

pub(crate) fn a_warden_does_not_mind_signals_from_the_terminal() {
    let world = World::new(&[By::V2]);
    world.fatten();
    let request = world.request();
    thread::scope(|scope| {
        let taking = scope.spawn(|| take(&request));
        for signal in [Signal::INT, Signal::HUP, Signal::QUIT, Signal::PIPE] {
            world.strike(signal);
        }
        let snapshot = taking.join().unwrap().unwrap();
        assert!(of_one_instant(&snapshot));
    });
}

pub(crate) fn a_killed_service_leaves_nothing_frozen_and_the_next_run_sweeps_what_it_left() {
    let world = World::new(&[By::V2]);
    world.fatten();
    let mut service = start_service(&world);
    assert!(soon(|| world.is_frozen(0)), "nothing was frozen");
    service.kill().unwrap();
    let killed = Instant::now();
    while world.is_frozen(0) {
        assert!(killed.elapsed() < Duration::from_millis(100), "still frozen");
        thread::sleep(Duration::from_micros(100));
    }
    service.wait().unwrap();
    assert!(World::leftovers() > 0, "the dead run left its snapshots");
    take(&world.request()).unwrap().release();
    assert_eq!(World::leftovers(), 0);
    assert!(soon(|| World::wardens().is_empty()));
}

pub(crate) fn a_warden_that_cannot_be_started_or_knows_no_orders_freezes_nothing() {
    let world = World::new(&[By::V2]);
    for (program, arguments) in [("/nonexistent", ""), ("/bin/true", ""), ("/bin/echo", "hello")] {
        let mut request = world.request();
        request.warden.program = program.into();
        request.warden.arguments = vec![arguments.into()];
        let error = take(&request).unwrap_err();
        assert!(matches!(error, ConsistencyError::Warden { .. }), "{program}: {error:?}");
        assert!(!world.is_frozen(0));
    }
    assert_eq!(World::leftovers(), 0);
}

pub(crate) fn both_killed_at_any_moment_leave_nothing_frozen_after_a_sweep() {
    let world = World::new(&[By::V2]);
    world.fatten();
    let mut longest = Duration::ZERO;
    let (mut frozen, mut thawed) = (0, 0);
    for round in 0..rounds(BOTH_KILLED) {
        let mut service = start_service(&world);
        wait_for_the_freeze(&world, round);
        // The warden first: nobody is left to thaw, unless it has done so already.
        kill(&World::wardens_of(service.id()));
        service.kill().unwrap();
        service.wait().unwrap();
        // The kernel takes its time with a process that it kills; it may still hold its lock then.
        assert!(soon(|| World::wardens().is_empty()), "round {round}");
        frozen += u32::from(world.is_frozen(0));
        let start = Instant::now();
        let swept = sweep(&world.journals(), Which::Abandoned);
        longest = longest.max(start.elapsed());
        assert_eq!(swept.failures, [""; 0], "round {round}");
        thawed += swept.thawed.len();
        assert!(soon(|| !world.is_frozen(0)), "round {round}: {}", world.traces());
        // One that was still being started when its service died ends by itself.
        let journals = || fs::read_dir(world.journals()).map_or(0, Iterator::count);
        assert!(soon(|| journals() == 0), "round {round}");
    }
    let rounds = rounds(BOTH_KILLED);
    println!("{frozen} frozen of {rounds}, {thawed} thawed by the sweep, longest {longest:?}");
    assert!(frozen > 0, "no kill came while it was frozen");
    assert!(world.all_run());
}

pub(crate) fn either_killed_at_any_moment_leaves_nothing_frozen() {
    let world = World::new(&[By::V2, By::Signal]);
    world.fatten();
    for round in 0..rounds(EITHER_KILLED) {
        let mut service = start_service(&world);
        wait_for_the_freeze(&world, round);
        if round.is_multiple_of(2) {
            service.kill().unwrap();
        } else {
            let wardens = World::wardens_of(service.id());
            kill(&wardens);
        }
        let thawed = soon(|| !world.is_frozen(0) && !world.is_frozen(1));
        assert!(thawed, "round {round}: {}", world.traces());
        service.wait().unwrap();
        assert!(soon(|| World::wardens().is_empty()), "round {round}");
    }
}

pub(crate) fn a_stopped_service_does_not_hold_up_the_thaw_and_freezes_nothing_when_it_goes_on() {
    let world = World::new(&[By::V2]);
    world.fatten();
    for round in 0..rounds(STOPPED) {
        let mut service = start_service(&world);
        assert!(soon(|| world.is_frozen(0)), "round {round}: nothing was frozen");
        let pid = Pid::from_child(&service);
        let _ = kill_process(pid, Signal::STOP);
        // The deadline of the service that is started here.
        assert!(soon(|| !world.is_frozen(0)), "round {round}: the deadline did not thaw");
        let _ = kill_process(pid, Signal::CONT);
        let again = thread::scope(|scope| {
            let waiting = scope.spawn(|| service.wait().unwrap());
            let mut again = false;
            while !waiting.is_finished() {
                again |= world.is_frozen(0);
            }
            again
        });
        assert!(!again, "round {round}: frozen again");
    }
}

pub(crate) fn a_stopped_warden_is_given_up_and_thawed_without_it() {
    let world = World::new(&[By::V2]);
    world.fatten();
    let mut request = world.request();
    request.deadline = Duration::from_millis(300);
    thread::scope(|scope| {
        let taking = scope.spawn(|| take(&request));
        world.strike(Signal::STOP);
        let error = taking.join().unwrap().unwrap_err();
        assert!(
            matches!(
                error,
                ConsistencyError::SlowSnapshot { .. } | ConsistencyError::SlowFreeze { .. }
            ),
            "{error:?}"
        );
    });
    assert!(world.all_run());
    assert!(soon(|| World::wardens().is_empty()), "it must not act late");
}

pub(crate) fn a_stopped_warden_without_a_service_is_ended_by_a_sweep_when_it_is_overdue() {
    let world = World::new(&[By::V2]);
    world.fatten();
    let mut service = start_service(&world);
    assert!(soon(|| world.is_frozen(0)), "nothing was frozen");
    let wardens = World::wardens_of(service.id());
    for pid in wardens {
        kill_process(pid, Signal::STOP).unwrap();
    }
    service.kill().unwrap();
    service.wait().unwrap();
    assert!(world.is_frozen(0));
    assert!(soon(|| {
        sweep(&world.journals(), Which::Abandoned);
        !world.is_frozen(0)
    }));
    assert!(soon(|| World::wardens().is_empty()));
}

pub(crate) fn to_thaw_all_ends_a_freeze_that_goes_on_and_its_point_is_refused() {
    let world = World::new(&[By::V2, By::Signal]);
    world.fatten();
    let request = world.request();
    thread::scope(|scope| {
        let taking = scope.spawn(|| take(&request));
        assert!(soon(|| world.is_frozen(0) && world.is_frozen(1)), "nothing was frozen");
        assert_eq!(sweep(&world.journals(), Which::Abandoned), Swept::default(), "it is at work");
        let swept = sweep(&world.journals(), Which::All);
        assert_eq!(swept.failures, [""; 0]);
        assert!(taking.join().unwrap().is_err());
    });
    assert!(world.all_run());
}

fn kill(processes: &[Pid]) {
    for pid in processes {
        // One that has ended by itself needs no signal.
        let _ = kill_process(*pid, Signal::KILL);
    }
}

fn start_service(world: &World) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("--take").args(world.freezers()).arg(world.scratch.path());
    command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

// Until just before, in, or after the freeze, by the number of the round.
fn wait_for_the_freeze(world: &World, round: u32) {
    if round.is_multiple_of(4) {
        thread::sleep(Duration::from_millis(u64::from(round % 32)));
    } else {
        soon(|| world.is_frozen(0));
        thread::sleep(Duration::from_micros(u64::from(round % 16) * 500));
    }
}
