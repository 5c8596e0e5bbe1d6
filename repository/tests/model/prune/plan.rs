//! The first listing of packs says what is condemned, copied and named anew.

use repository::protocol::choice::{Fate, Home, SegmentView};
use repository::protocol::condemned::Condemned;

use super::mark::{Homes, homes};
use super::{At, List, Mark, Plan, Prune, condemned_packs, give_up};
use crate::rules::Rule;
use crate::search::Actor;
use crate::state::{SLOTS, Set, State, each, segment_name};
use crate::world::{Steps, World};

/// A pack of which less is live is written anew.
const LEAST_PERCENT: u64 = 60;

/// The step that makes the plan, or, where plans are free, one for each plan that is allowed.
pub(super) fn steps(world: &World, state: &State, number: usize, steps: &mut Steps) {
    let actor = Actor::Prune(number);
    let prune = state.prunes[number];
    let condemned = state.store.condemned(prune.generation - 1);
    let seen = homes(world, &state.store, &prune.mark, &condemned);
    if seen.homes.iter().any(|(_, home)| matches!(home, Home::Lost)) {
        // A point that was live when it was listed may be forgotten and gone by now.
        let mut next = state.clone();
        give_up(&mut next.prunes[number]);
        return steps.push(actor, "misses a chunk, and gives up", next);
    }
    let plan = plan(world, state, &prune.mark, (&seen, &condemned));
    let plans = if world.is_plan_free { free(state, &prune.mark, &condemned) } else { vec![plan] };
    for plan in plans {
        let mut next = state.clone();
        take(world, state, &mut next.prunes[number], plan, &condemned);
        steps.push(actor, "lists the packs, and plans", next);
    }
}

fn take(world: &World, state: &State, prune: &mut Prune, plan: Plan, condemned: &Condemned) {
    let needs_session = plan.copy != 0 || plan.name != 0;
    let left = condemned_packs(condemned, state.store.packs) != 0
        || each(state.store.segments).any(|at| condemned.contains(segment_name(at)));
    prune.plan = plan;
    prune.mark =
        Mark { forgotten: prune.mark.forgotten, pinned: prune.mark.pinned, ..Mark::default() };
    prune.at = if needs_session && !prune.is_registered && world.has(Rule::RegisteredRepack) {
        At::Register
    } else if needs_session {
        At::Copy
    } else if plan.condemn != List::default() || left {
        At::StoreList
    } else {
        At::Clear
    };
    if prune.at != At::Clear {
        prune.mark = Mark::default();
    }
    if prune.at == At::StoreList {
        prune.publish(world);
    }
}

fn plan(
    world: &World,
    state: &State,
    mark: &Mark,
    (seen, condemned): (&Homes, &Condemned),
) -> Plan {
    let store = &state.store;
    let mut plan = Plan::default();
    for (pack, view) in &seen.views {
        let homed = seen.homes.iter().filter(|(_, home)| *home == Home::In(*pack));
        let homed: Vec<u8> = homed.map(|(chunk, _)| *chunk).collect();
        let fate = view.fate(homed.len() as u64, LEAST_PERCENT);
        if fate != Fate::Keep {
            plan.condemn.packs |= 1 << pack;
        }
        if fate == Fate::Repack {
            plan.copy |= homed.iter().fold(0, |set, chunk| set | 1 << chunk);
        }
    }
    let rescued = seen.homes.iter().filter(|(_, home)| matches!(home, Home::Rescue(_)));
    plan.copy |= rescued.fold(0, |set, (chunk, _)| set | 1 << chunk);
    let gone = plan.condemn.packs | condemned_packs(condemned, store.packs);
    for segment in each(store.segments) {
        let named = store.names[segment];
        let standing = named & store.packs & !gone;
        let view = SegmentView {
            is_condemned: condemned.contains(segment_name(segment)),
            is_resolved: mark.ended & 1 << (segment / SLOTS) != 0,
            packs: named.count_ones().into(),
            standing: standing.count_ones().into(),
        };
        let fate = view.fate(world.least_percent);
        if fate != Fate::Keep {
            plan.condemn.segments |= 1 << segment;
        }
        if fate == Fate::Repack {
            plan.name |= standing;
        }
    }
    plan
}

// Every set of packs and segments of ended sessions, with nothing copied.
fn free(state: &State, mark: &Mark, condemned: &Condemned) -> Vec<Plan> {
    let is_ended = |at: &usize| mark.ended & 1 << (at / SLOTS) != 0;
    let store = &state.store;
    let packs = each(store.packs & !condemned_packs(condemned, store.packs)).filter(is_ended);
    let segments = each(store.segments).filter(is_ended);
    let segments = segments.filter(|at| !condemned.contains(segment_name(*at)));
    let packs = subsets(packs.fold(0, |set, at| set | 1 << at));
    let segments = subsets(segments.fold(0, |set, at| set | 1 << at));
    let lists = packs.iter().flat_map(|packs| {
        segments.iter().map(|segments| List { packs: *packs, segments: *segments })
    });
    lists.map(|condemn| Plan { condemn, ..Plan::default() }).collect()
}

fn subsets(set: Set) -> Vec<Set> {
    let mut subsets = vec![set];
    while let Some(last) = subsets.last().copied().filter(|last| *last != 0) {
        subsets.push((last - 1) & set);
    }
    subsets
}
