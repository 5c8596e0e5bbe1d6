//! Breadth first through every state that can be reached, so that the first trace is a shortest one.

use std::fmt;

use crate::fingerprint::{Known, fingerprint};
use crate::prune::Prune;
use crate::state::State;
use crate::trace::{Trace, changes};
use crate::world::World;

/// Who takes a step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Actor {
    Writer(usize),
    Prune(usize),
    Reader(usize),
    User,
    Network,
}

/// A step, and the state after it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) actor: Actor,
    pub(crate) what: &'static str,
    pub(crate) state: State,
}

/// What a search found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    /// How many steps the farthest state is away.
    pub(crate) depth: usize,
    pub(crate) trace: Option<Trace>,
    edges: Vec<(u32, u32)>,
    ends: Vec<u32>,
}

/// What counts as found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Goal {
    /// A loss.
    Loss,
    /// A loss, or anything else that is wrong. The steps of prunes are kept, to ask later whether
    /// they can end.
    Anything,
}

impl World {
    /// Looks at every state, or at those until the first that is wrong.
    pub(crate) fn search(&self, goal: Goal) -> Found {
        let start = self.start();
        let mut known = Known::default();
        known.insert(fingerprint(&start), 0);
        let mut ways: Vec<(u32, u8)> = vec![(0, 0)];
        let mut found = Found {
            states: 0,
            steps: 0,
            depth: 0,
            trace: None,
            edges: Vec::new(),
            ends: Vec::new(),
        };
        let mut layer = vec![(0, start)];
        while !layer.is_empty() {
            let mut next_layer = Vec::new();
            for (number, state) in layer {
                let what = self.lost(&state);
                let what = what.or_else(|| (goal == Goal::Anything).then(|| state.wrong())?);
                if let Some(what) = what {
                    found.states = ways.len();
                    found.trace = Some(self.trace(&ways, number, what));
                    return found;
                }
                if state.prunes[..self.prunes].iter().all(Prune::is_done) {
                    found.ends.push(number);
                }
                for (way, step) in (0..).zip(self.steps(&state)) {
                    found.steps += 1;
                    let print = fingerprint(&step.state);
                    let next = u32::try_from(ways.len()).unwrap();
                    let target = *known.entry(print).or_insert(next);
                    if target == next {
                        ways.push((number, way));
                        next_layer.push((next, step.state));
                    }
                    if goal == Goal::Anything && matches!(step.actor, Actor::Prune(_)) {
                        found.edges.push((target, number));
                    }
                }
            }
            found.depth += usize::from(!next_layer.is_empty());
            layer = next_layer;
        }
        found.states = ways.len();
        found
    }

    fn trace(&self, ways: &[(u32, u8)], mut at: u32, what: &'static str) -> Trace {
        let mut path = Vec::new();
        while at != 0 {
            let (before, way) = ways[at as usize];
            path.push(usize::from(way));
            at = before;
        }
        let mut state = self.start();
        let mut lines = Vec::new();
        for way in path.into_iter().rev() {
            let step = self.steps(&state).swap_remove(way);
            let changes = changes(&state.store, &step.state.store);
            lines.push(format!("{} {}{changes}", step.actor, step.what));
            state = step.state;
        }
        Trace { what, lines }
    }
}

impl Found {
    /// How many states there are from which the prunes, left alone, do not come to their end.
    pub(crate) fn stuck(&self) -> usize {
        let mut edges = self.edges.clone();
        edges.sort_unstable();
        let mut ends = vec![false; self.states];
        let mut todo = self.ends.clone();
        for end in &todo {
            ends[*end as usize] = true;
        }
        while let Some(target) = todo.pop() {
            let first = edges.partition_point(|(to, _)| *to < target);
            for (_, from) in edges[first..].iter().take_while(|(to, _)| *to == target) {
                if !std::mem::replace(&mut ends[*from as usize], true) {
                    todo.push(*from);
                }
            }
        }
        ends.iter().filter(|ends| !**ends).count()
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Writer(number) => write!(f, "writer {number}"),
            Self::Prune(number) => write!(f, "prune {number}"),
            Self::Reader(number) => write!(f, "reader {number}"),
            Self::User => f.write_str("the user"),
            Self::Network => f.write_str("the network"),
        }
    }
}
