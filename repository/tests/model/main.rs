//! Every order in which writers, prunes, readers and whoever forgets points can work on one
//! repository, in worlds that are small enough to look at all of it.
//!
//! What everyone decides is what the program decides: `repository::protocol`. What they see is a
//! store with the names and what matters of the content of every object. See docs/reliability.md.

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

mod fingerprint;
mod prune;
mod reader;
mod rules;
mod search;
mod state;
mod trace;
mod world;
mod worlds;
mod writer;

use std::fmt::Write as _;

use rules::Rule;
use search::{Actor, Goal};
use state::Chunks;
use world::World;

const DOCUMENT: &str = include_str!("../../../docs/reliability.md");

#[test]
fn nothing_is_lost_in_any_order_and_every_prune_can_end() {
    let mut table =
        String::from("| world | states | steps | farthest |\n| --- | --- | --- | --- |\n");
    for world in worlds::small() {
        let found = sound(&world);
        let (states, steps, depth) = (found.states, found.steps, found.depth);
        writeln!(table, "| {} | {states} | {steps} | {depth} |", world.name).unwrap();
    }
    documented(&table);
}

#[test]
fn without_any_one_of_the_rules_something_is_lost() {
    let mut table =
        String::from("| rule | steps | lost without it | world |\n| --- | --- | --- | --- |\n");
    for rule in Rule::SAFETY {
        let world = worlds::showing(rule);
        let found = world.without(rule).search(Goal::Loss);
        let trace =
            found.trace.unwrap_or_else(|| panic!("nothing is lost without: {}", rule.text()));
        println!("without the rule that {}: {trace}", rule.text());
        let (steps, lost) = (trace.lines.len(), trace.what);
        writeln!(table, "| {} | {steps} | {lost} | {} |", rule.text(), world.name).unwrap();
        if rule == Rule::LookAgain {
            documented(&trace.to_string());
        }
    }
    documented(&table);
}

#[test]
fn without_the_rules_that_save_work_nothing_is_lost() {
    let mut table = String::from("| rule |\n| --- |\n");
    for rule in Rule::THRIFT {
        writeln!(table, "| {} |", rule.text()).unwrap();
        for world in worlds::small().into_iter().filter(|world| !world.is_plan_free) {
            let found = world.without(rule).search(Goal::Loss);
            let without = rule.text();
            assert!(found.trace.is_none(), "without: {without}: {}", found.trace.unwrap());
        }
    }
    documented(&table);
}

#[test]
fn a_prune_that_is_alone_leaves_what_is_live_and_no_more() {
    let world = worlds::untidy();
    let mut state = world.start();
    for number in 0..world.prunes {
        let own = |step: &search::Step| step.actor == Actor::Prune(number);
        while let Some(step) = world.steps(&state).into_iter().find(own) {
            println!("{} {}", step.actor, step.what);
            state = step.state;
            assert_eq!(world.lost(&state), None);
        }
    }
    let store = &state.store;
    let named = store.named(store.segments);
    assert_eq!(named, store.packs, "a segment names what is gone, or a pack has none");
    let held: Vec<Chunks> = state::each(store.packs).map(|pack| store.holds[pack]).collect();
    let held_once = held.iter().map(|chunks| chunks.count_ones()).sum::<u32>();
    let held = held.iter().fold(0, |all, chunks| all | chunks);
    assert_eq!((held, held_once), (0b011, 2), "{state:#?}");
}

#[test]
#[ignore = "takes minutes and gigabytes; docs/reliability.md says what it found"]
fn nothing_is_lost_in_a_large_world() {
    for world in worlds::large() {
        let found = sound(&world);
        println!("{}: {} states, {} steps, {}", world.name, found.states, found.steps, found.depth);
    }
}

fn sound(world: &World) -> search::Found {
    let found = world.search(Goal::Anything);
    if let Some(trace) = &found.trace {
        panic!("{}: {trace}", world.name);
    }
    assert_eq!(found.stuck(), 0, "{}: a prune cannot end", world.name);
    found
}

/// Shown whole, so that a failure says what the document should say.
#[track_caller]
fn documented(text: &str) {
    assert!(DOCUMENT.contains(text), "docs/reliability.md does not have:\n\n{text}");
}
