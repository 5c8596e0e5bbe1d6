//! The group protocol of several hosts, whole: every order in which messages arrive, late, twice
//! or never, with deadlines and people who unpause at any moment.
//!
//! The coordinator is [`Group`], each warden is a [`Member`](crate::member::Member); the hosts
//! around them are in `world.rs`. A message that was sent may arrive at any later time, any number
//! of times: that is loss, delay, repetition and disorder in one. See
//! docs/consistency.md#what-each-rule-is-for.

mod rules;
mod world;

use std::collections::HashSet;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use self::rules::Rule;
use self::world::{Bounds, Harm, State, Step};

/// What a search found.
struct Found {
    states: usize,
    /// The shortest way to do harm.
    harm: Option<(Harm, Vec<Step>)>,
}

// Breadth first, so that what is found first is as short as can be.
fn search(bounds: &Bounds) -> Found {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let first = State::first(bounds);
    let mut seen = HashSet::from([hasher.hash_one(&first)]);
    let mut steps: Vec<(usize, Option<Step>)> = vec![(0, None)];
    let mut pending = VecDeque::from([(0, first)]);
    while let Some((number, state)) = pending.pop_front() {
        for step in state.steps(bounds) {
            let mut next = state.clone();
            let harm = next.take(step, bounds);
            if harm.is_none() && !seen.insert(hasher.hash_one(&next)) {
                continue;
            }
            steps.push((number, Some(step)));
            if let Some(harm) = harm {
                return Found { states: seen.len(), harm: Some((harm, way(&steps))) };
            }
            pending.push_back((steps.len() - 1, next));
        }
    }
    Found { states: seen.len(), harm: None }
}

// From the first state to the last that was found.
fn way(steps: &[(usize, Option<Step>)]) -> Vec<Step> {
    let mut way = Vec::new();
    let mut at = steps.len() - 1;
    while let (parent, Some(step)) = steps[at] {
        way.push(step);
        at = parent;
    }
    way.reverse();
    way
}

#[test]
fn no_order_of_messages_deadlines_and_meddling_does_harm() {
    for (name, bounds) in Bounds::all() {
        let found = search(&bounds);
        println!("{name}: {} states", found.states);
        assert!(found.states > 1000, "{name}: {} states", found.states);
        let harm = found.harm.map(|(harm, way)| format!("{harm:?} by {way:#?}"));
        assert_eq!(harm, None, "{name}");
    }
}

#[test]
fn without_any_one_rule_there_is_harm_and_the_document_says_how_soon() {
    let mut table = String::new();
    for rule in Rule::ALL {
        let (name, bounds) = rule.world();
        let (harm, way) = search(&bounds.without(rule))
            .harm
            .unwrap_or_else(|| panic!("nothing is lost without: {}", rule.text()));
        println!("without the rule that {}: {}", rule.text(), harm.text());
        for (number, step) in way.iter().enumerate() {
            println!("{:4}  {step}", number + 1);
        }
        writeln!(table, "| {} | {} | {} | {name} |", rule.text(), way.len(), harm.text()).unwrap();
    }
    let document = include_str!("../../../../docs/consistency.md");
    assert!(document.contains(&table), "docs/consistency.md should have these rows:\n{table}");
}
