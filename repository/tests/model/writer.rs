//! A writer, step by step: each step is at most one look at the store or one object.

use std::time::Duration;

use format::ids::ObjectId;
use format::session::{Outcome, SessionEnd};
use repository::protocol::condemned::Condemned;
use repository::protocol::generation;
use repository::protocol::writer::{Ending, Next, Progress, ending};

use crate::rules::Rule;
use crate::search::Actor;
use crate::state::{Chunks, Out, SLOTS, Set, State, Store, object, pack_name};
use crate::world::{Steps, World};

/// What a writer does next, with what it remembers for that.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) enum At {
    #[default]
    Start,
    Register(u8),
    LookAgain(u8),
    ListPacks,
    ReadIndex(Set),
    Walk(Chunks),
    StoreSegment,
    Decide,
    Commit,
    ReadBack,
    Committed,
    Failed,
}

/// A writer.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Writer {
    pub(crate) at: At,
    /// How often it began again under a new session.
    pub(crate) attempt: u8,
    /// What its session has stored, and in how many packs.
    mine: Chunks,
    packs: u8,
    /// How many of those the segments name.
    named: u8,
    progress: Option<Progress>,
    /// A listing of packs from before it registered, where the rules allow to use that.
    listed: Option<Set>,
    /// A create of its outcome is still on its way.
    pub(crate) is_late: bool,
}

const OWN: ObjectId = ObjectId::new([1; 16]);
const PRUNES: ObjectId = ObjectId::new([2; 16]);

/// Every step that this writer can take.
pub(crate) fn steps(world: &World, state: &State, number: usize, steps: &mut Steps) {
    let writer = state.writers[number];
    let session = world.writer_session(number, writer.attempt);
    let actor = Actor::Writer(number);
    let mut then = |what, change: &dyn Fn(&mut Store, &mut Writer)| {
        let mut next = state.clone();
        change(&mut next.store, &mut next.writers[number]);
        steps.push(actor, what, next);
    };
    match writer.at {
        At::Start if world.may_start_writer(state, number) => {
            then("lists the generations", &|store, writer| {
                writer.listed = (!world.has(Rule::FreshListing)).then_some(store.packs);
                writer.at = At::Register(store.generation);
            });
        }
        At::Register(generation) => then("registers", &|store, writer| {
            store.registered[session] = Some(generation);
            writer.at = At::LookAgain(generation);
        }),
        At::LookAgain(generation) => then("looks at the generations again", &|store, writer| {
            let newest = newest(store);
            let newest = if world.has(Rule::LookAgain) { newest } else { generation.into() };
            let (progress, beat) = Progress::registered(generation.into(), newest, Duration::ZERO);
            if let Some(beat) = beat {
                store.beats[session] = Some((narrow(beat.number), narrow(beat.generation)));
            }
            (writer.progress, writer.at) = (Some(progress), At::ListPacks);
        }),
        At::ListPacks => then("lists the packs", &|store, writer| {
            writer.at = At::ReadIndex(writer.listed.unwrap_or(store.packs));
        }),
        At::ReadIndex(listed) => then("reads the index", &|store, writer| {
            read_index(world, store, writer, listed);
        }),
        At::Walk(known) => {
            let missing = world.wanted(session) & !(known | writer.mine);
            if missing == 0 {
                then("finds everything stored", &|_, writer| walked(writer));
            } else if usize::from(writer.packs) < SLOTS {
                then("stores a pack", &|store, writer| {
                    store.create_pack(object(session, writer.packs), missing);
                    writer.mine |= missing;
                    writer.packs += 1;
                    walked(writer);
                });
            }
        }
        At::StoreSegment => then("stores a segment", &|store, writer| {
            let packs = (writer.named..writer.packs).map(|slot| 1 << object(session, slot));
            store.create_segment(object(session, writer.named), packs.sum());
            (writer.named, writer.at) = (writer.packs, At::Decide);
        }),
        At::Decide => then("decides whether to commit", &|_, writer| {
            writer.at = match writer.progress.as_mut().unwrap().advance() {
                Next::Load(_) if world.has(Rule::CheckAfterMove) => At::ListPacks,
                _ => At::Commit,
            };
        }),
        At::Commit => commit(world, state, number, steps),
        At::ReadBack => read_back(world, state, number, steps),
        At::Start | At::Committed | At::Failed => {}
    }
    beat(world, state, number, steps);
}

fn newest(store: &Store) -> u64 {
    generation::newest(store.generations())
}

fn narrow(number: u64) -> u8 {
    u8::try_from(number).unwrap()
}

fn walked(writer: &mut Writer) {
    writer.progress.as_mut().unwrap().walked();
    let is_named = writer.named == writer.packs;
    writer.at = if is_named { At::Decide } else { At::StoreSegment };
}

fn read_index(world: &World, store: &Store, writer: &mut Writer, listed: Set) {
    let progress = writer.progress.as_mut().unwrap();
    let generation = match progress.advance() {
        Next::Load(generation) => generation,
        _ => progress.promised(),
    };
    let condemned = known_condemned(world, store, narrow(generation));
    let packs = if world.has(Rule::ListedPacks) { listed } else { Set::MAX };
    let known = store.found(packs, |pack| !condemned.contains(pack_name(pack)));
    progress.loaded(generation);
    writer.at = At::Walk(known);
}

fn known_condemned(world: &World, store: &Store, generation: u8) -> Condemned {
    let mut store = store.clone();
    if !world.has(Rule::PassOverCondemned) {
        store.lists = Default::default();
    }
    if !world.has(Rule::EveryList) {
        store.lists[..usize::from(generation.saturating_sub(1))].fill(None);
    }
    store.condemned(generation)
}

// A heartbeat that does not move changes nothing: a prune may fence at any time here.
fn beat(world: &World, state: &State, number: usize, steps: &mut Steps) {
    let writer = &state.writers[number];
    let Some(mut progress) = writer.progress else { return };
    let is_committing = matches!(writer.at, At::Commit | At::ReadBack);
    let is_careless = is_committing && !world.has(Rule::NoMoveInCommit);
    let newest = newest(&state.store);
    let before = progress.promised();
    let beat = progress.beat(newest, Duration::ZERO);
    let generation = if is_careless { newest } else { beat.generation };
    let session = world.writer_session(number, writer.attempt);
    let is_known = state.store.beats[session].is_some_and(|(_, g)| u64::from(g) >= generation);
    if generation > before && !is_known {
        let mut next = state.clone();
        next.store.beats[session] = Some((narrow(beat.number), narrow(generation)));
        next.writers[number].progress = Some(progress);
        steps.push(Actor::Writer(number), "moves to the newest generation", next);
    }
}

fn commit(world: &World, state: &State, number: usize, steps: &mut Steps) {
    let actor = Actor::Writer(number);
    let session = world.writer_session(number, state.writers[number].attempt);
    let mut failed = state.clone();
    failed.writers[number].at = At::ReadBack;
    if state.store.outs[session] != Out::Open {
        if world.has(Rule::NonceReadBack) {
            steps.push(actor, "finds that the outcome exists", failed);
        } else {
            end(&mut failed, number, At::Committed);
            steps.push(actor, "takes the outcome that exists for its own", failed);
        }
        return;
    }
    let mut done = state.clone();
    create_outcome(world, &mut done, number);
    end(&mut done, number, At::Committed);
    steps.push(actor, "commits", done);
    if world.is_network_bad && !state.writers[number].is_late {
        let mut unknown = failed.clone();
        create_outcome(world, &mut unknown, number);
        steps.push(actor, "commits, and the acknowledgement is lost", unknown);
        failed.writers[number].is_late = true;
        steps.push(actor, "commits, and it seems to fail", failed);
    }
}

/// The create of an outcome arrives in the store.
pub(crate) fn create_outcome(world: &World, state: &mut State, number: usize) {
    let writer = state.writers[number];
    let session = world.writer_session(number, writer.attempt);
    state.store.outs[session] = Out::Commit;
    // It may have been there before, and was forgotten and cleared away since.
    let is_forgotten = state.store.forgotten & 1 << session != 0;
    if let (false, Some(progress)) = (is_forgotten, writer.progress) {
        let condemned = state.store.condemned(narrow(progress.promised()));
        let kept = |pack: usize| !condemned.contains(pack_name(pack));
        let wanted = world.wanted(session);
        state.is_promise_broken |= state.store.found(state.store.packs, kept) & wanted != wanted;
    }
}

fn read_back(world: &World, state: &State, number: usize, steps: &mut Steps) {
    let actor = Actor::Writer(number);
    let writer = state.writers[number];
    let session = world.writer_session(number, writer.attempt);
    let (nonce, end_found) = match state.store.outs[session] {
        Out::Open => {
            let mut next = state.clone();
            next.writers[number].at = At::Commit;
            return steps.push(actor, "does not find its outcome", next);
        }
        Out::Commit => (OWN, SessionEnd::Repacked),
        Out::Fenced => (PRUNES, SessionEnd::Fenced),
        Out::Repacked => (PRUNES, SessionEnd::Repacked),
    };
    let found = Outcome { nonce, end: end_found, previous: None };
    let mut next = state.clone();
    match ending(OWN, &found) {
        Ending::Committed => {
            end(&mut next, number, At::Committed);
            steps.push(actor, "reads its own outcome", next);
        }
        Ending::Fenced if writer.attempt + 1 < world.attempts && !writer.is_late => {
            let mine = if world.has(Rule::OwnPacksOfThisSession) { 0 } else { writer.mine };
            next.writers[number] =
                Writer { attempt: writer.attempt + 1, mine, ..Writer::default() };
            steps.push(actor, "finds the fence, and starts again", next);
        }
        Ending::Fenced | Ending::Foreign => {
            end(&mut next, number, At::Failed);
            steps.push(actor, "finds the fence", next);
        }
    }
}

// What it remembers makes no difference any more.
fn end(state: &mut State, number: usize, at: At) {
    let writer = &mut state.writers[number];
    *writer = Writer { at, attempt: writer.attempt, is_late: writer.is_late, ..Writer::default() };
}
