//! Writers, prunes, forgets and restores at once, by many seeds; `tests/simulate.sh` runs more.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test panics, and is told seeds by the environment"
)]

use std::collections::BTreeMap;
use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use faults::simulation::flaw::Flaw;
use faults::simulation::{Lag, Outcome, Setting, run};

/// Of the usual test run.
const SEEDS: u64 = 200;
/// Of a store that lists late, for each lag.
const SEEDS_LATE: u64 = 8;

#[test]
fn nothing_is_lost_whatever_the_seed() {
    let number = |name, usual| env::var(name).map_or(usual, |text: String| text.parse().unwrap());
    let first = number("STILLPOINT_SEED", 1);
    let last = first + number("STILLPOINT_SEEDS", SEEDS);
    let next = AtomicU64::new(first);
    let done: Mutex<BTreeMap<&str, u64>> = Mutex::default();
    let broken: Mutex<Vec<(u64, Outcome)>> = Mutex::default();
    let work = || {
        loop {
            let seed = next.fetch_add(1, SeqCst);
            if seed >= last {
                return;
            }
            let outcome = run(Setting { seed, ..Setting::default() });
            let mut done = done.lock().unwrap();
            outcome.done.iter().for_each(|(what, count)| *done.entry(what).or_default() += count);
            *done.entry("request").or_default() += outcome.requests;
            if !outcome.broken.is_empty() {
                println!("seed {seed}: {:?}", outcome.broken);
                broken.lock().unwrap().push((seed, outcome));
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    println!("seeds {first} to {}: {:?}", last - 1, done.lock().unwrap());
    let broken: Vec<u64> = broken.into_inner().unwrap().iter().map(|(seed, _)| *seed).collect();
    assert!(broken.is_empty(), "run again with STILLPOINT_SEED=… STILLPOINT_SEEDS=1: {broken:?}");
}

#[test]
fn a_seed_gives_the_same_trace_each_time() {
    for seed in 1..=8 {
        let told = Setting { seed, told: true, ..Setting::default() };
        let (first, second) = (run(told), run(told));
        let differ = first.lines.iter().zip(&second.lines).position(|(one, other)| one != other);
        if let Some(at) = differ {
            let from = at.saturating_sub(5);
            panic!("seed {seed}: {:#?}\n{:#?}", &first.lines[from..=at], &second.lines[from..=at]);
        }
        assert_eq!(first, second);
        assert!(first.requests > 500, "{first:?}");
    }
    let trace = |seed| run(Setting { seed, ..Setting::default() }).trace;
    assert_ne!(trace(1), trace(2));
}

/// Prints the trace of one seed: `STILLPOINT_SEED=7 cargo test … print_the_trace -- --ignored`.
#[test]
#[ignore = "it shows one seed to a person"]
fn print_the_trace() {
    let seed = env::var("STILLPOINT_SEED").unwrap().parse().unwrap();
    let outcome = run(Setting { seed, told: true, ..Setting::default() });
    outcome.lines.iter().for_each(|line| println!("{line}"));
    println!("{:?}\n{:?}", outcome.done, outcome.broken);
}

/// Each flaw, and a seed that finds it. When the simulation changes, others do: so many are tried.
const FLAWS: [(Flaw, u64); 7] = [
    (Flaw::ReliesOnCondemned, 24),
    (Flaw::MovesBlindly, 1),
    (Flaw::WaitsForNobody, 3),
    (Flaw::TakesAllForEnded, 3),
    (Flaw::MarksOnce, 43),
    (Flaw::DeletesFences, 14),
    (Flaw::DeletesForgetRecords, 1),
];
const SEEDS_A_FLAW: u64 = 60;

#[test]
fn a_rule_that_is_broken_is_found() {
    for (flaw, first) in FLAWS {
        let broken = |seed| {
            let outcome = run(Setting { seed, flaw: Some(flaw), ..Setting::default() });
            outcome.broken.first().map(|what| format!("seed {seed}: {what}"))
        };
        let found = (first..first + SEEDS_A_FLAW).find_map(broken);
        println!("{flaw:?}: {}", found.unwrap_or_else(|| panic!("{flaw:?} is not found")));
    }
}

#[test]
fn a_store_that_lists_late_loses_nothing_while_one_program_works() {
    for hours in [1, 24] {
        let lag = Some(Lag { most: Duration::from_hours(hours), pause: Duration::ZERO });
        let mut backups = 0;
        for seed in 1..=SEEDS_LATE {
            let outcome = run(Setting { seed, lag, ..Setting::default() });
            assert!(outcome.broken.is_empty(), "{hours} hours, seed {seed}: {:?}", outcome.broken);
            backups += outcome.done.get("backup").copied().unwrap_or_default();
        }
        assert!(backups > 10 * SEEDS_LATE, "{hours} hours: {backups}");
    }
}
