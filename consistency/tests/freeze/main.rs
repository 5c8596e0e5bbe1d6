//! Whole freezes with a real warden process and real members. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "this is a test"
)]

mod world;

use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use consistency::journal::{Swept, Which, sweep};
use consistency::{ConsistencyError, GroupSnapshot, VolumeSnapshot, take};
use format::ids::PointId;
use format::manifest::Level;
use platform::application::{Activity, FreezeTarget};
use rustix::process::{Pid, Signal, kill_process};

use world::{By, World, soon};

/// Rounds of killing both, the service or the warden, and of stopping the service, unless it is said
/// otherwise with `--rounds`, as `tests/kills.sh` does.
const BOTH_KILLED: u32 = 40;
const EITHER_KILLED: u32 = 60;
const STOPPED: u32 = 12;
static ROUNDS: OnceLock<u32> = OnceLock::new();

fn rounds(usual: u32) -> u32 {
    ROUNDS.get().copied().unwrap_or(usual)
}

fn number(volume: &VolumeSnapshot) -> i64 {
    let text = fs::read_to_string(volume.tree.root.join("n")).unwrap();
    text.trim().parse().unwrap()
}

fn of_one_instant(snapshot: &GroupSnapshot) -> bool {
    let ahead = number(&snapshot.volumes[0]) - number(&snapshot.volumes[1]);
    (0..=1).contains(&ahead)
}

fn every_kind_of_member_stands_still_while_all_volumes_are_taken() {
    let world = World::new(&[By::V2, By::V1, By::Signal]);
    for _ in 0..10 {
        let snapshot = take(&world.request()).unwrap();
        assert!(world.all_run());
        assert!(of_one_instant(&snapshot));
        let verdict = snapshot.verdict(&world.application, &world.application);
        let evidence = snapshot.evidence.as_ref().unwrap();
        assert_eq!((verdict.level, verdict.remarks), (Level::Crash, vec![]), "{evidence:?}");
        let methods: Vec<_> = evidence.members.iter().map(|m| m.method.as_str()).collect();
        assert_eq!(methods, ["cgroup-v2", "cgroup-v1", "signal"]);
        for member in &evidence.members {
            let (freeze, frozen) = (member.freeze_micros.unwrap(), member.frozen_micros.unwrap());
            assert!(freeze <= frozen, "{evidence:?}");
            for volume in &evidence.volumes {
                assert!(frozen <= volume.begin_micros, "{evidence:?}");
                assert!(volume.end_micros <= member.thawed_micros.unwrap(), "{evidence:?}");
            }
        }
        assert!(evidence.window_micros < evidence.deadline_micros);
        assert_eq!(snapshot.release(), [""; 0]);
        assert_eq!(World::leftovers(), 0);
    }
    assert!(World::wardens().is_empty());
}

fn reading_in_place_freezes_nothing_and_is_fuzzy() {
    let world = World::new(&[By::V2]);
    let mut request = world.request();
    request.freeze = false;
    request.warden.program = "/nonexistent".into();
    let snapshot = take(&request).unwrap();
    assert_eq!(snapshot.volumes[0].driver, "none");
    assert_eq!(snapshot.volumes[0].tree.root, world.application.volumes[0].source);
    let verdict = snapshot.verdict(&world.application, &world.application);
    assert_eq!(verdict.level, Level::Fuzzy);
}

fn a_member_that_was_paused_stays_paused_and_one_that_is_stopped_has_its_volumes_in() {
    let mut world = World::new(&[By::V2, By::V2, By::Signal]);
    fs::write(world.cgroup(1).join("cgroup.freeze"), "1").unwrap();
    assert!(soon(|| world.is_frozen(1)));
    world.application.members[1].activity = Activity::Paused;
    world.application.members[2].activity = Activity::Stopped;
    let snapshot = take(&world.request()).unwrap();
    assert!(world.is_frozen(1) && !world.is_frozen(0));
    let evidence = snapshot.evidence.as_ref().unwrap();
    let methods: Vec<_> = evidence.members.iter().map(|m| m.method.as_str()).collect();
    assert_eq!(methods, ["cgroup-v2", "paused", "stopped"]);
    assert!(evidence.members.iter().all(|member| member.continuous), "{evidence:?}");
    assert_eq!(evidence.members[1].thawed_micros, None);
}

fn a_member_that_somebody_else_froze_refuses_and_is_left_alone() {
    let world = World::new(&[By::V2, By::V1]);
    fs::write(world.cgroup(1).join("freezer.state"), "FROZEN").unwrap();
    assert!(soon(|| world.is_frozen(1)));
    let error = take(&world.request()).unwrap_err();
    let ConsistencyError::FreezeFailed { member, source } = &error else { panic!("{error:?}") };
    assert_eq!((member.as_str(), source.to_string().as_str()), ("m1", "somebody else froze it"));
    assert!(world.is_frozen(1) && !world.is_frozen(0));
    assert_eq!(World::leftovers(), 0);
}

fn a_member_that_ran_in_between_makes_the_point_fuzzy() {
    let world = World::new(&[By::V2, By::V1]);
    world.fatten();
    let request = world.request();
    let snapshot = thread::scope(|scope| {
        let taking = scope.spawn(|| take(&request).unwrap());
        assert!(soon(|| world.is_frozen(0) && world.is_frozen(1)));
        thread::sleep(Duration::from_millis(30));
        for (member, file, thaw, freeze) in
            [(0, "cgroup.freeze", "0", "1"), (1, "freezer.state", "THAWED", "FROZEN")]
        {
            fs::write(world.cgroup(member).join(file), thaw).unwrap();
            thread::sleep(Duration::from_millis(10));
            fs::write(world.cgroup(member).join(file), freeze).unwrap();
        }
        taking.join().unwrap()
    });
    let verdict = snapshot.verdict(&world.application, &world.application);
    assert_eq!(verdict.level, Level::Fuzzy);
    assert_eq!(verdict.remarks.len(), 2, "{verdict:?}");
    assert!(verdict.remarks[0].contains("container `m0` did not stand still"), "{verdict:?}");
    assert!(world.all_run());
}

fn snapshots_that_take_too_long_are_an_error_and_all_is_thawed_in_time() {
    let world = World::new(&[By::V2, By::Signal]);
    world.fatten();
    let mut request = world.request();
    request.deadline = Duration::from_millis(60);
    let start = Instant::now();
    let error = take(&request).unwrap_err();
    assert!(matches!(error, ConsistencyError::SlowSnapshot { .. }), "{error:?}");
    assert!(world.all_run());
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert_eq!(World::leftovers(), 0);
}

fn a_member_that_is_not_frozen_in_time_is_named() {
    let world = World::new(&[By::V2, By::Signal]);
    let mut request = world.request();
    request.deadline = Duration::ZERO;
    let error = take(&request).unwrap_err();
    let ConsistencyError::SlowFreeze { members, .. } = error else { panic!("{error:?}") };
    assert!(!members.is_empty());
    assert!(world.all_run());
    assert_eq!(World::leftovers(), 0);
}

fn a_killed_warden_is_an_error_and_all_is_thawed_without_it() {
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

fn a_warden_told_to_end_thaws_and_the_point_is_refused() {
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

fn a_warden_does_not_mind_signals_from_the_terminal() {
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

fn a_killed_service_leaves_nothing_frozen_and_the_next_run_sweeps_what_it_left() {
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

fn a_warden_that_cannot_be_started_or_knows_no_orders_freezes_nothing() {
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

fn both_killed_at_any_moment_leave_nothing_frozen_after_a_sweep() {
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

fn either_killed_at_any_moment_leaves_nothing_frozen() {
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

fn a_stopped_service_does_not_hold_up_the_thaw_and_freezes_nothing_when_it_goes_on() {
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

fn a_stopped_warden_is_given_up_and_thawed_without_it() {
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

fn a_stopped_warden_without_a_service_is_ended_by_a_sweep_when_it_is_overdue() {
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

fn to_thaw_all_ends_a_freeze_that_goes_on_and_its_point_is_refused() {
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

fn a_warden_opens_and_writes_nothing_while_something_is_frozen() {
    let strace = Path::new("/usr/bin/strace");
    if !strace.exists() {
        println!("left out: no strace");
        return;
    }
    let world = World::new(&[By::V2, By::V1]);
    let log = world.scratch.path().join("calls");
    let mut request = world.request();
    let program = std::mem::replace(&mut request.warden.program, strace.into());
    let traced = ["-qq".into(), "-o".into(), log.clone().into(), program.into(), "--warden".into()];
    request.warden.arguments = traced.into();
    let snapshot = take(&request).unwrap();
    drop(snapshot);
    let calls = fs::read_to_string(log).unwrap();
    let lines: Vec<_> = calls.lines().collect();
    let is = |line: &&str, text: &str| line.starts_with("pwrite64(") && line.contains(text);
    let first = lines.iter().position(|line| is(line, "\"1\"") || is(line, "\"FROZEN\"")).unwrap();
    let last = lines.iter().rposition(|line| is(line, "\"0\"") || is(line, "\"THAWED\"")).unwrap();
    assert!(first < last, "{calls}");
    // Reading and writing of what is open, waiting, and telling the service.
    let allowed = ["pread64(", "pwrite64(", "epoll_", "read(0,", "write(1,", "poll(", "ppoll("];
    for call in &lines[first..=last] {
        assert!(allowed.iter().any(|allowed| call.starts_with(allowed)), "{call}");
    }
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

// Each service has a run of its own, as in life: a journal is named after it.
fn run_of(service: u32) -> PointId {
    let mut bytes = [0xdd; 16];
    bytes[..4].copy_from_slice(&service.to_le_bytes());
    PointId::new(bytes)
}

// What the killed service does: a freeze of some cgroups while the directories are copied.
fn take_for_a_test(targets: &[&str], scratch: &Path) -> ExitCode {
    let mut world = World::within(scratch, &[]);
    for (volume, name) in world.application.volumes.iter_mut().zip(["a", "b"]) {
        volume.source = scratch.join(name);
    }
    for (number, target) in targets.iter().enumerate() {
        let freezer = match target.parse() {
            Ok(pid) => FreezeTarget::ProcessTree(pid),
            Err(_) => FreezeTarget::CgroupV2(target.into()),
        };
        world.application.members.push(platform::application::Member {
            name: format!("m{number}"),
            id: number.to_string(),
            started: "now".to_owned(),
            activity: Activity::Running,
            freezer: Some(freezer),
            ..platform::application::Member::default()
        });
    }
    let mut request = world.request();
    request.run = run_of(std::process::id());
    request.deadline = Duration::from_millis(600);
    request.warden.journals = scratch.join("journals");
    match take(&request) {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

macro_rules! tests {
    ($($name:ident),* $(,)?) => { [$((stringify!($name), $name as fn())),*] };
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["--warden", ..] => {
            consistency::warden::serve().unwrap();
            return ExitCode::SUCCESS;
        }
        ["--take", ref targets @ .., scratch] => {
            return take_for_a_test(targets, Path::new(scratch));
        }
        _ => {}
    }
    let mut words = words;
    if let Some(at) = words.iter().position(|word| *word == "--rounds") {
        ROUNDS.set(words[at + 1].parse().unwrap()).unwrap();
        words.drain(at..at + 2);
    }
    let filter = words.iter().find(|word| !word.starts_with('-')).copied().unwrap_or_default();
    let mut failed = false;
    for (name, test) in tests![
        every_kind_of_member_stands_still_while_all_volumes_are_taken,
        reading_in_place_freezes_nothing_and_is_fuzzy,
        a_member_that_was_paused_stays_paused_and_one_that_is_stopped_has_its_volumes_in,
        a_member_that_somebody_else_froze_refuses_and_is_left_alone,
        a_member_that_ran_in_between_makes_the_point_fuzzy,
        snapshots_that_take_too_long_are_an_error_and_all_is_thawed_in_time,
        a_member_that_is_not_frozen_in_time_is_named,
        a_killed_warden_is_an_error_and_all_is_thawed_without_it,
        a_warden_told_to_end_thaws_and_the_point_is_refused,
        a_warden_does_not_mind_signals_from_the_terminal,
        a_killed_service_leaves_nothing_frozen_and_the_next_run_sweeps_what_it_left,
        a_warden_that_cannot_be_started_or_knows_no_orders_freezes_nothing,
        both_killed_at_any_moment_leave_nothing_frozen_after_a_sweep,
        either_killed_at_any_moment_leaves_nothing_frozen,
        a_stopped_service_does_not_hold_up_the_thaw_and_freezes_nothing_when_it_goes_on,
        a_stopped_warden_is_given_up_and_thawed_without_it,
        a_stopped_warden_without_a_service_is_ended_by_a_sweep_when_it_is_overdue,
        to_thaw_all_ends_a_freeze_that_goes_on_and_its_point_is_refused,
        a_warden_opens_and_writes_nothing_while_something_is_frozen,
    ] {
        if name.contains(filter) {
            print!("test {name} ... ");
            let _ = std::io::stdout().flush();
            let passed = catch_unwind(AssertUnwindSafe(test)).is_ok();
            println!("{}", if passed { "ok" } else { "FAILED" });
            failed |= !passed;
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
