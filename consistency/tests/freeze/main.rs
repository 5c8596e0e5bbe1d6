//! Whole freezes with a real warden process and real members. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "this is a test"
)]

mod kills;
mod reader;
mod world;

use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use consistency::{ConsistencyError, GroupSnapshot, Request, VolumeSnapshot, take};
use format::ids::PointId;
use format::manifest::Level;
use platform::application::{Activity, FreezeTarget};

use reader::{Endless, Numbers};
use world::{By, World, soon};

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

fn what_is_read_in_the_freeze_is_of_one_instant() {
    let mut world = World::new(&[By::V2, By::Signal]);
    for volume in &mut world.application.volumes {
        volume.driver = None;
    }
    for _ in 0..10 {
        let reader = Arc::new(Numbers::default());
        let request = Request { reader: Some(Arc::clone(&reader) as _), ..world.request() };
        let snapshot = take(&request).unwrap();
        let verdict = snapshot.verdict(&world.application, &world.application);
        assert_eq!((verdict.level, verdict.remarks), (Level::Crash, vec![]));
        let evidence = snapshot.evidence.as_ref().unwrap();
        assert!(evidence.volumes.iter().all(|v| v.driver == "live" && v.end_micros >= 15_000));
        assert!(evidence.volumes.iter().all(|v| v.end_micros <= evidence.window_micros));
        let read = reader.read.lock().unwrap();
        let [a, b, later_a, later_b] = read[..] else { panic!("{read:?}") };
        assert_eq!((a, b), (later_a, later_b), "somebody moved");
        assert!((0..=1).contains(&(a - b)), "{a} and {b}");
    }
}

fn volumes_that_take_too_long_to_read_are_an_error_and_all_is_thawed_in_time() {
    let mut world = World::new(&[By::V2, By::Signal]);
    world.application.volumes[1].driver = None;
    let reader = Some(Arc::new(Endless) as _);
    let deadline = Duration::from_millis(300);
    let request = Request { reader, deadline, ..world.request() };
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
    ($($name:path),* $(,)?) => { [$((stringify!($name), $name as fn())),*] };
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
        kills::ROUNDS.set(words[at + 1].parse().unwrap()).unwrap();
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
        what_is_read_in_the_freeze_is_of_one_instant,
        volumes_that_take_too_long_to_read_are_an_error_and_all_is_thawed_in_time,
        a_member_that_is_not_frozen_in_time_is_named,
        kills::a_killed_warden_is_an_error_and_all_is_thawed_without_it,
        kills::a_warden_told_to_end_thaws_and_the_point_is_refused,
        kills::a_warden_does_not_mind_signals_from_the_terminal,
        kills::a_killed_service_leaves_nothing_frozen_and_the_next_run_sweeps_what_it_left,
        kills::a_warden_that_cannot_be_started_or_knows_no_orders_freezes_nothing,
        kills::both_killed_at_any_moment_leave_nothing_frozen_after_a_sweep,
        kills::either_killed_at_any_moment_leaves_nothing_frozen,
        kills::a_stopped_service_does_not_hold_up_the_thaw_and_freezes_nothing_when_it_goes_on,
        kills::a_stopped_warden_is_given_up_and_thawed_without_it,
        kills::a_stopped_warden_without_a_service_is_ended_by_a_sweep_when_it_is_overdue,
        kills::to_thaw_all_ends_a_freeze_that_goes_on_and_its_point_is_refused,
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
