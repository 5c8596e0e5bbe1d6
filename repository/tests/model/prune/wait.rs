//! The wait for older sessions.

use std::time::Duration;

use repository::protocol::sessions::Sessions;
use repository::protocol::watch::{FENCE_AFTER, Seen, Watch};

use super::{At, List, Prune, condemned};
use crate::rules::Rule;
use crate::search::Actor;
use crate::state::{
    Out, SESSIONS, SessionSet, State, Store, each, number, pack_name, point, segment_name,
};
use crate::world::{Steps, World};

/// The steps of a prune that waits: a fence for each session in its way, or an end of the wait.
///
/// Two looks half an hour apart, and nothing between them: so any session may be fenced at any time.
pub(super) fn steps(world: &World, state: &State, at: usize, session: usize, steps: &mut Steps) {
    let actor = Actor::Prune(at);
    let prune = state.prunes[at];
    let mut watch = Watch::new(prune.generation.into(), Some(point(session)));
    let sessions = sessions(&state.store, prune.passed_over);
    let first = watch.look(&sessions, Duration::ZERO);
    if first.is_over() {
        let mut next = state.clone();
        let mut changed = prune;
        over(world, &mut next, &mut changed);
        next.prunes[at] = changed;
        return steps.push(actor, "sees that no older session is at work", next);
    }
    let Seen { fence, .. } = watch.look(&sessions, FENCE_AFTER);
    for session in fence.into_iter().map(number) {
        let mut next = state.clone();
        if !world.has(Rule::FenceIsStored) {
            next.prunes[at].passed_over |= 1 << session;
            steps.push(actor, "fails to fence a session, and goes on", next);
            continue;
        }
        if state.store.outs[session] == Out::Open {
            next.store.outs[session] = Out::Fenced;
            next.fenced |= 1 << session;
        }
        steps.push(actor, "fences a session that stands still", next);
    }
}

/// Everything is over that this prune waited for.
pub(super) fn over(world: &World, state: &mut State, prune: &mut Prune) {
    prune.passed_over = 0;
    if !world.has(Rule::MarkAfterWait) {
        return prune.go_on_deleting();
    }
    if world.has(Rule::SecondMark) {
        return prune.begin_mark(world);
    }
    let condemned = condemned(state, prune, prune.generation);
    let packs = each(state.store.packs).filter(|pack| condemned.contains(pack_name(*pack)));
    let segments = each(state.store.segments).filter(|at| condemned.contains(segment_name(*at)));
    prune.doomed = List {
        packs: packs.fold(0, |set, at| set | 1 << at),
        segments: segments.fold(0, |set, at| set | 1 << at),
    };
    prune.at = At::Clear;
    prune.go_on_deleting();
}

/// The sessions that are not registered yet.
pub(super) fn unregistered(store: &Store) -> SessionSet {
    let missing = (0..SESSIONS).filter(|session| store.registered[*session].is_none());
    missing.fold(0, |set, session| set | 1 << session)
}

fn sessions(store: &Store, passed_over: SessionSet) -> Sessions {
    let heeded = |session: usize| passed_over & 1 << session == 0;
    let names = store.session_names().chain(store.beat_names());
    let names = names.chain(each(store.packs).map(pack_name));
    let names = names.chain(each(store.segments).map(segment_name));
    let names = names.chain(store.forget_names()).chain(store.outcome_names());
    let mut sessions: Sessions =
        names.filter(|name| session_of(*name).is_none_or(heeded)).collect();
    let beats: Vec<_> = sessions.beats_to_read().collect();
    for (session, _) in beats {
        let beat = store.beats[number(session)];
        sessions.promise(session, beat.unwrap().1.into());
    }
    sessions
}

fn session_of(name: format::names::ObjectName) -> Option<usize> {
    use format::names::ObjectName::{Heartbeat, Index, Pack, Session};
    match name {
        Session(_, session) | Heartbeat(session, _) | Index(session, _) => Some(number(session)),
        Pack(pack) => Some(number(pack.session)),
        _ => None,
    }
}
