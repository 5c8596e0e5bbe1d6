//! A prune, step by step: each step is at most one look at the store or one object.

mod mark;
mod plan;
mod wait;

use repository::protocol::condemned::Condemned;
use repository::protocol::generation::{Opening, opening};

use crate::rules::Rule;
use crate::search::Actor;
use crate::state::{
    Chunks, GENERATIONS, List, Out, SLOTS, SessionSet, Set, State, each, object, pack_name,
};
use crate::world::{Steps, World};

/// What a prune does next.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) enum At {
    #[default]
    Open,
    ListForgotten,
    ListPins,
    ListPoints,
    ListPacks,
    Register,
    Copy,
    StoreSegment,
    StoreList,
    StoreGeneration,
    Resolve,
    Wait,
    DeletePacks,
    DeleteSegments,
    Clear,
    Done,
}

/// A prune. What it does not need any more is forgotten, so that equal states are equal.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Prune {
    pub(crate) at: At,
    /// How often it has planned.
    plans: u8,
    is_registered: bool,
    /// The generation that the plan is for, or whose list it carries out.
    generation: u8,
    is_second: bool,
    mark: Mark,
    plan: Plan,
    /// Sessions that it does not wait for, where the rules allow that.
    passed_over: SessionSet,
    doomed: List,
}

/// What a mark has seen.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
struct Mark {
    forgotten: SessionSet,
    pinned: SessionSet,
    ended: SessionSet,
    live: Chunks,
    /// Packs that were listed before the points, where the rules allow that.
    packs: Option<Set>,
}

/// What a prune is about to do.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
struct Plan {
    condemn: List,
    /// The chunks that go to a new pack.
    copy: Chunks,
    /// The packs that the new segment names, besides the new one.
    name: Set,
    /// Somebody else's list was taken for its own.
    is_mistaken: bool,
}

impl Prune {
    pub(crate) fn is_done(&self) -> bool {
        self.at == At::Done
    }

    fn slot(&self) -> u8 {
        self.plans.saturating_sub(1)
    }
}

/// Every step that this prune can take.
pub(crate) fn steps(world: &World, state: &State, number: usize, steps: &mut Steps) {
    let prune = state.prunes[number];
    let session = world.prune_session(number);
    let actor = Actor::Prune(number);
    let mut then = |what, change: &dyn Fn(&mut State, &mut Prune)| {
        let (mut next, mut changed) = (state.clone(), prune);
        change(&mut next, &mut changed);
        next.prunes[number] = changed;
        steps.push(actor, what, next);
    };
    match prune.at {
        // Prunes are alike: they begin in their order.
        At::Open if number > 0 && state.prunes[number - 1] == Prune::default() => {}
        At::Open => then("looks at the generations", &|state, prune| {
            open(world, state, prune, session);
        }),
        At::ListForgotten | At::ListPins | At::ListPoints => {
            mark::steps(world, state, number, steps);
        }
        At::ListPacks if prune.is_second => mark::doom(world, state, number, steps),
        At::ListPacks => plan::steps(world, state, number, steps),
        At::Register => then("registers", &|state, prune| {
            state.store.registered[session] = Some(prune.generation - 1);
            (prune.is_registered, prune.at) = (true, At::Copy);
        }),
        At::Copy => copy(state, number, session, steps, actor),
        At::StoreSegment => then("stores a segment", &|state, prune| {
            state.store.create_segment(object(session, prune.slot()), prune.plan.name);
            prune.publish(world);
        }),
        At::StoreList => store_list(world, state, number, session, steps),
        At::StoreGeneration => then("stores the generation", &|state, prune| {
            state.store.generation = state.store.generation.max(prune.generation);
            if !world.has(Rule::ListBeforeGeneration) {
                prune.at = At::StoreList;
            } else if prune.is_registered {
                prune.at = At::Resolve;
            } else {
                begin_wait(world, state, prune, session);
            }
        }),
        // What it has written is like what any other session has written from now on.
        At::Resolve => then("ends its session", &|state, prune| {
            resolve(state, session);
            begin_wait(world, state, prune, session);
        }),
        At::Wait => wait::steps(world, state, number, session, steps),
        At::DeletePacks => then("deletes a pack", &|state, prune| {
            let packs = prune.doomed.packs;
            state.store.packs &= !(packs & packs.wrapping_neg());
            prune.doomed.packs &= packs - 1;
            prune.go_on_deleting();
        }),
        At::DeleteSegments => then("deletes a segment", &|state, prune| {
            let segments = prune.doomed.segments;
            state.store.segments &= !(segments & segments.wrapping_neg());
            prune.doomed.segments &= segments - 1;
            prune.go_on_deleting();
        }),
        At::Clear => then("clears away", &|state, prune| {
            mark::clear(world, state, prune, session);
        }),
        At::Done => {}
    }
}

impl Prune {
    fn go_on_deleting(&mut self) {
        self.at = match self.doomed {
            List { packs: 1.., .. } => At::DeletePacks,
            List { segments: 1.., .. } => At::DeleteSegments,
            List { .. } => At::Clear,
        };
    }

    fn publish(&mut self, world: &World) {
        let is_list_first =
            world.has(Rule::ListBeforeGeneration) || self.plan.condemn == List::default();
        self.at = if is_list_first { At::StoreList } else { At::StoreGeneration };
    }

    fn begin_mark(&mut self, world: &World) {
        self.mark = Mark::default();
        let is_reversed = !world.has(Rule::ForgottenBeforePins);
        self.at = if is_reversed { At::ListPins } else { At::ListForgotten };
    }
}

fn open(world: &World, state: &mut State, prune: &mut Prune, session: usize) {
    match opening(state.store.generations(), state.store.list_names()) {
        Opening::Complete(generation) => {
            state.store.generation = u8::try_from(generation).unwrap();
        }
        Opening::At(_) if prune.plans == world.plans => give_up(prune),
        Opening::At(newest) => {
            let newest = u8::try_from(newest).unwrap();
            (prune.generation, prune.plans) = (newest + 1, prune.plans + 1);
            move_on(state, prune, session, newest);
            prune.begin_mark(world);
            if usize::from(newest) == GENERATIONS {
                give_up(prune);
            }
        }
    }
}

// Its session, if it has one, stays unresolved, as that of a prune that died.
fn give_up(prune: &mut Prune) {
    *prune = Prune { at: At::Done, ..Prune::default() };
}

fn move_on(state: &mut State, prune: &Prune, session: usize, generation: u8) {
    if prune.is_registered {
        let number = state.store.beats[session].map_or(0, |(number, _)| number + 1);
        state.store.beats[session] = Some((number, generation));
    }
}

// Chunks are read from a pack that is there; else somebody was faster.
fn copy(state: &State, number: usize, session: usize, steps: &mut Steps, actor: Actor) {
    let prune = state.prunes[number];
    let mut next = state.clone();
    let there = each(state.store.packs).fold(0, |found, pack| found | state.store.holds[pack]);
    let changed = &mut next.prunes[number];
    if prune.plan.copy & !there != 0 {
        changed.at = At::Open;
        return steps.push(actor, "finds a pack gone, and starts over", next);
    }
    let slot = prune.slot();
    assert!(usize::from(slot) < SLOTS);
    let pack = object(session, slot);
    if prune.plan.copy == 0 {
        changed.at = At::StoreSegment;
        return steps.push(actor, "has nothing to copy", next);
    }
    changed.plan.name |= 1 << pack;
    changed.at = At::StoreSegment;
    next.store.create_pack(pack, prune.plan.copy);
    steps.push(actor, "copies chunks to a new pack", next);
}

fn store_list(world: &World, state: &State, number: usize, session: usize, steps: &mut Steps) {
    let actor = Actor::Prune(number);
    let prune = state.prunes[number];
    let mut next = state.clone();
    if prune.plan.condemn == List::default() {
        // Nothing new: what others condemned is carried out.
        let changed = &mut next.prunes[number];
        changed.generation -= 1;
        let mut changed = *changed;
        begin_wait(world, &mut next, &mut changed, session);
        next.prunes[number] = changed;
        return steps.push(actor, "has nothing to condemn", next);
    }
    let place = &mut next.store.lists[usize::from(prune.generation) - 1];
    if place.is_some() {
        let what = if !world.has(Rule::OwnList) {
            next.prunes[number].plan.is_mistaken = true;
            next.prunes[number].at = At::StoreGeneration;
            "takes a list that exists for its own"
        } else if !world.has(Rule::FreshPlan) && usize::from(prune.generation) < GENERATIONS {
            next.prunes[number].generation += 1;
            "finds a list of somebody else, and goes on with its plan"
        } else {
            next.prunes[number].at = At::Open;
            next.prunes[number].plan = Plan::default();
            "finds a list of somebody else, and starts over"
        };
        return steps.push(actor, what, next);
    }
    *place = Some(prune.plan.condemn);
    next.prunes[number].at = At::StoreGeneration;
    if !world.has(Rule::GenerationBeforeSessions) {
        next.prunes[number].passed_over = wait::unregistered(&state.store);
    }
    if !world.has(Rule::ListBeforeGeneration) {
        // Its generation was stored before.
        let mut changed = next.prunes[number];
        begin_wait(world, &mut next, &mut changed, session);
        next.prunes[number] = changed;
    }
    steps.push(actor, "stores what it condemns", next);
}

// It may have been ended for it.
fn resolve(state: &mut State, session: usize) {
    if state.store.outs[session] == Out::Open {
        state.store.outs[session] = Out::Repacked;
    }
}

fn begin_wait(world: &World, state: &mut State, prune: &mut Prune, session: usize) {
    move_on(state, prune, session, prune.generation);
    if !prune.plan.is_mistaken {
        prune.plan = Plan::default();
    }
    prune.is_second = true;
    prune.mark = Mark::default();
    prune.at = At::Wait;
    if !world.has(Rule::MarkAfterWait) {
        prune.begin_mark(world);
    } else if !world.has(Rule::Wait) {
        wait::over(world, state, prune);
    }
}

/// What this prune takes for condemned.
fn condemned(state: &State, prune: &Prune, generation: u8) -> Condemned {
    let mut store = state.store.clone();
    if prune.plan.is_mistaken {
        let list = store.lists[usize::from(generation) - 1].get_or_insert_default();
        list.packs |= prune.plan.condemn.packs;
        list.segments |= prune.plan.condemn.segments;
    }
    store.condemned(generation)
}

/// Those of a set of packs that are condemned.
fn condemned_packs(condemned: &Condemned, packs: Set) -> Set {
    let bits = each(packs).filter(|pack| condemned.contains(pack_name(*pack)));
    bits.fold(0, |set, pack| set | 1 << pack)
}
