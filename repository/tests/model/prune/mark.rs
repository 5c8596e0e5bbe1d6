//! The two marks, and what the second one leaves of what is condemned.

use format::names::ObjectName;
use repository::protocol::choice::{Home, PackView, Rank, home};
use repository::protocol::condemned::Condemned;
use repository::protocol::deletion::{NamedPack, may_delete_pack, may_delete_segment};
use repository::protocol::roots::{Forgotten, Roots};
use repository::protocol::sessions::Sessions;

use super::{At, List, Mark, Prune, condemned, condemned_packs, resolve};
use crate::rules::Rule;
use crate::search::Actor;
use crate::state::{Out, SESSIONS, SLOTS, Set, State, Store, each, point, segment_name};
use crate::world::{Steps, World};

/// Every step of a mark before packs are listed.
pub(super) fn steps(world: &World, state: &State, number: usize, steps: &mut Steps) {
    let mut next = state.clone();
    let prune = &mut next.prunes[number];
    let is_reversed = !world.has(Rule::ForgottenBeforePins);
    let what = match prune.at {
        At::ListForgotten => {
            prune.mark.forgotten = state.store.forgotten;
            prune.at = if is_reversed { At::ListPoints } else { At::ListPins };
            "lists what is forgotten"
        }
        At::ListPins => {
            let pinned = state.store.pins.iter().flatten().map(|point| 1 << point);
            prune.mark.pinned = pinned.fold(0, |set, bit: u8| set | bit);
            if !world.has(Rule::PinsCount) {
                prune.mark.pinned = 0;
            }
            prune.at = if is_reversed { At::ListForgotten } else { At::ListPoints };
            if !world.has(Rule::PointsBeforePacks) {
                prune.mark.packs = Some(state.store.packs);
            }
            "lists the pins"
        }
        _ => {
            list_points(world, &state.store, &mut prune.mark);
            prune.at = At::ListPacks;
            "lists the points"
        }
    };
    steps.push(Actor::Prune(number), what, next);
}

fn list_points(world: &World, store: &Store, mark: &mut Mark) {
    let roots = roots(mark);
    let sessions: Sessions = mark.forget_names().chain(store.outcome_names()).collect();
    for session in 0..SESSIONS {
        mark.ended |= u8::from(sessions.is_resolved(point(session))) << session;
        if store.outs[session] == Out::Commit && roots.is_live(point(session)) {
            mark.live |= world.wanted(session);
        }
    }
}

impl Mark {
    fn forget_names(&self) -> impl Iterator<Item = ObjectName> + use<> {
        each(self.forgotten.into()).map(|session| ObjectName::Forgotten(point(session)))
    }
}

fn roots(mark: &Mark) -> Roots {
    Forgotten::listed(mark.forget_names()).with_pins(each(mark.pinned.into()).map(point))
}

/// How good a home each pack is, in its order, and where each live chunk is at home.
pub(super) struct Homes {
    pub(super) views: Vec<(usize, PackView)>,
    pub(super) homes: Vec<(u8, Home<usize>)>,
}

pub(super) fn homes(world: &World, store: &Store, mark: &Mark, condemned: &Condemned) -> Homes {
    let packs = mark.packs.unwrap_or(store.packs);
    let gone = condemned_packs(condemned, packs);
    let named = each(store.segments).filter(|at| !condemned.contains(segment_name(*at)));
    let named = named.fold(0, |named, at| named | store.names[at]);
    let view = |pack: usize| {
        let held = store.holds[pack];
        let is_indexed = named & 1 << pack != 0 || !world.has(Rule::IndexedHome);
        let is_condemned = gone & 1 << pack != 0;
        let is_ended = mark.ended & 1 << (pack / SLOTS) != 0;
        let view = PackView {
            is_condemned,
            is_resolved: is_ended || !world.has(Rule::EndedSessionsOnly),
            is_indexed,
            bytes: held.count_ones().into(),
            live: (held & mark.live).count_ones().into(),
        };
        (pack, view)
    };
    let views: Vec<_> = each(packs).map(view).collect();
    let home_of = |chunk: usize| {
        let places = views.iter().filter(|(pack, _)| store.holds[*pack] & 1 << chunk != 0);
        (chunk as u8, home(places.map(|(pack, view)| (*pack, view.rank()))))
    };
    let homes = each(mark.live.into()).map(home_of).collect();
    Homes { views, homes }
}

/// The second listing of packs says what is deleted.
pub(super) fn doom(world: &World, state: &State, number: usize, steps: &mut Steps) {
    let mut next = state.clone();
    let prune = &mut next.prunes[number];
    let condemned = condemned(state, prune, prune.generation);
    prune.doomed = doomed(world, &state.store, &prune.mark, &condemned);
    let mark = prune.mark;
    prune.mark = Mark { forgotten: mark.forgotten, pinned: mark.pinned, ..Mark::default() };
    if world.has(Rule::MarkAfterWait) || !world.has(Rule::Wait) {
        prune.go_on_deleting();
    } else {
        prune.at = At::Wait;
    }
    steps.push(Actor::Prune(number), "lists the packs, and decides what to delete", next);
}

fn doomed(world: &World, store: &Store, mark: &Mark, condemned: &Condemned) -> List {
    let Homes { mut views, mut homes } = homes(world, store, mark, condemned);
    let condemned_packs = condemned_packs(condemned, store.packs);
    if !world.has(Rule::CondemnedIsNoHome) {
        for (_, view) in &mut views {
            view.is_condemned = false;
        }
        let places = |chunk: u8| {
            let views = views.iter().filter(move |(pack, _)| store.holds[*pack] & 1 << chunk != 0);
            views.map(|(pack, view)| (*pack, view.rank())).collect::<Vec<(usize, Option<Rank>)>>()
        };
        for (chunk, found) in &mut homes {
            *found = home(places(*chunk));
        }
    }
    let may_go = |pack: &usize| {
        let held = homes.iter().filter(|(chunk, _)| store.holds[*pack] & 1 << chunk != 0);
        let homes = held.map(|(_, home)| match home {
            // The one copy that is named stays.
            Home::Rescue(kept) if kept != pack && !world.has(Rule::EveryCopyStays) => {
                Home::In(*kept)
            }
            home => *home,
        });
        let is_condemned = condemned_packs & 1 << pack != 0;
        is_condemned && (!world.has(Rule::SecondMark) || may_delete_pack(is_condemned, homes))
    };
    let packs = each(store.packs).filter(may_go).fold(0, |set: Set, pack| set | 1 << pack);
    let segments = each(store.segments).filter(|segment| {
        may_go_segment(world, store, store.packs & !packs, (condemned, *segment))
    });
    List { packs, segments: segments.fold(0, |set, segment| set | 1 << segment) }
}

fn may_go_segment(
    world: &World,
    store: &Store,
    left: Set,
    (condemned, segment): (&Condemned, usize),
) -> bool {
    let is_condemned = |segment: usize| condemned.contains(segment_name(segment));
    if !world.has(Rule::SegmentsOfPacks) {
        return is_condemned(segment);
    }
    let others = each(store.segments).filter(|at| *at != segment && !is_condemned(*at));
    let elsewhere = others.fold(0, |named, at| named | store.names[at]);
    let named = each(store.names[segment]).map(|pack| NamedPack {
        is_listed: left & 1 << pack != 0,
        is_named_elsewhere: elsewhere & 1 << pack != 0,
    });
    may_delete_segment(is_condemned(segment), named)
}

/// What is done at the end: the prune's own outcome, and what nobody needs.
pub(super) fn clear(world: &World, state: &mut State, prune: &mut Prune, session: usize) {
    if prune.is_registered {
        resolve(state, session);
    }
    let store = &mut state.store;
    let roots = roots(&prune.mark);
    for session in 0..SESSIONS {
        let is_cleared = roots.is_cleared(point(session));
        let is_forgotten = prune.mark.forgotten & 1 << session != 0;
        let is_pinned_too = is_forgotten && !world.has(Rule::PinnedOutcomeStays);
        if store.outs[session] == Out::Commit && (is_cleared || is_pinned_too) {
            store.outs[session] = Out::Open;
            if !world.has(Rule::ForgetStays) {
                store.forgotten &= !(1 << session);
            }
        }
        if store.outs[session] == Out::Fenced && !world.has(Rule::FenceStays) {
            store.outs[session] = Out::Open;
        }
    }
    let names = [store.session_names().collect::<Vec<_>>(), store.beat_names().collect()].concat();
    let mut sessions: Sessions = names.iter().copied().collect();
    sessions.extend(store.outcome_names().chain(store.forget_names()));
    for name in names.into_iter().filter(|name| sessions.is_leftover(*name)) {
        match name {
            ObjectName::Session(_, ended) => store.registered[crate::state::number(ended)] = None,
            ObjectName::Heartbeat(ended, _) => store.beats[crate::state::number(ended)] = None,
            _ => {}
        }
    }
    *prune = Prune { at: At::Done, ..Prune::default() };
}
