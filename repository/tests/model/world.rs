//! What a run of the model has in it, and every step that can be taken in it.

use crate::prune;
use crate::reader::{self, Reader};
use crate::rules::Rule;
use crate::search::{Actor, Step};
use crate::state::{Chunks, List, Out, SESSIONS, SLOTS, SessionSet, State, object};
use crate::writer::{self, At};

/// A session that ended before the run begins.
#[derive(Clone, Debug)]
pub(crate) struct Old {
    /// What its point has; nothing, when it was fenced.
    pub(crate) wants: Chunks,
    /// The chunks of its packs.
    pub(crate) packs: Vec<Chunks>,
    pub(crate) is_forgotten: bool,
    /// Everything of it is in `cnd/1`, and still there.
    pub(crate) is_condemned: bool,
    /// The packs are gone, though nobody deleted them.
    pub(crate) is_lost: bool,
}

/// What a run has in it. A prune can fence at any time, a step can be late by any time, and whoever
/// does nothing any more may have crashed.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) name: &'static str,
    pub(crate) old: Vec<Old>,
    /// What each writer backs up.
    pub(crate) writers: Vec<Chunks>,
    /// How many sessions each writer may use.
    pub(crate) attempts: u8,
    pub(crate) prunes: usize,
    /// How often each prune may plan.
    pub(crate) plans: u8,
    pub(crate) readers: usize,
    /// Which points, by session, may be forgotten.
    pub(crate) forgettable: SessionSet,
    /// A segment of which less stands is written anew.
    pub(crate) least_percent: u64,
    /// Acknowledgements are lost, and creates arrive late or twice.
    pub(crate) is_network_bad: bool,
    /// A prune condemns whatever of it the rules allow, and not what its plan says.
    pub(crate) is_plan_free: bool,
    pub(crate) without: Vec<Rule>,
}

/// The steps from one state.
#[derive(Debug, Default)]
pub(crate) struct Steps(pub(crate) Vec<Step>);

impl Steps {
    pub(crate) fn push(&mut self, actor: Actor, what: &'static str, state: State) {
        self.0.push(Step { actor, what, state });
    }
}

impl World {
    pub(crate) fn has(&self, rule: Rule) -> bool {
        !self.without.contains(&rule)
    }

    pub(crate) fn without(&self, rule: Rule) -> Self {
        Self { without: [self.without.as_slice(), &[rule]].concat(), ..self.clone() }
    }

    /// The session of a writer in one of its attempts.
    pub(crate) fn writer_session(&self, writer: usize, attempt: u8) -> usize {
        self.old.len() + writer * usize::from(self.attempts) + usize::from(attempt)
    }

    /// The session of a prune.
    pub(crate) fn prune_session(&self, prune: usize) -> usize {
        let session = self.writer_session(self.writers.len(), 0) + prune;
        assert!(session < SESSIONS, "the world is too large");
        session
    }

    /// What the point of a session has.
    pub(crate) fn wanted(&self, session: usize) -> Chunks {
        match session.checked_sub(self.old.len()) {
            None => self.old[session].wants,
            Some(later) => {
                self.writers.get(later / usize::from(self.attempts)).copied().unwrap_or(0)
            }
        }
    }

    /// Equal writers begin in their order: who is who makes no difference.
    pub(crate) fn may_start_writer(&self, state: &State, number: usize) -> bool {
        number < self.writers.len()
            && (0..number).all(|earlier| {
                self.writers[earlier] != self.writers[number]
                    || state.writers[earlier].at != At::Start
                    || state.writers[earlier].attempt > 0
            })
    }

    pub(crate) fn start(&self) -> State {
        let mut state = State { repeats: u8::from(self.is_network_bad), ..State::default() };
        for (session, old) in self.old.iter().enumerate() {
            let is_point = old.wants != 0;
            state.store.outs[session] = if is_point { Out::Commit } else { Out::Fenced };
            state.store.forgotten |= u8::from(old.is_forgotten) << session;
            for (slot, chunks) in (0..).zip(&old.packs) {
                state.store.create_pack(object(session, slot), *chunks);
            }
            let packs = (0..).zip(&old.packs).map(|(slot, _)| 1 << object(session, slot)).sum();
            if is_point && packs != 0 {
                state.store.create_segment(object(session, 0), packs);
            }
            if old.is_condemned {
                let segments = state.store.segments & 1 << object(session, 0);
                (state.store.generation, state.store.lists[0]) =
                    (1, Some(List { packs, segments }));
            }
            if old.is_lost {
                state.store.packs &= !packs;
            }
        }
        state
    }

    /// Every step that anybody can take.
    pub(crate) fn steps(&self, state: &State) -> Vec<Step> {
        let mut steps = Steps::default();
        for number in 0..self.writers.len() {
            writer::steps(self, state, number, &mut steps);
        }
        for number in 0..self.prunes {
            prune::steps(self, state, number, &mut steps);
        }
        for number in 0..self.readers {
            reader::steps(self, state, number, &mut steps);
        }
        self.forget(state, &mut steps);
        self.deliver(state, &mut steps);
        steps.0
    }

    fn forget(&self, state: &State, steps: &mut Steps) {
        let open = self.forgettable & !state.store.forgotten;
        for session in (0..SESSIONS).filter(|session| open & (1 << session) != 0) {
            if state.store.outs[session] == Out::Commit {
                let mut next = state.clone();
                next.store.forgotten |= 1 << session;
                next.unwanted |= 1 << session;
                steps.push(Actor::User, "forgets a point", next);
            }
        }
    }

    // What was on its way arrives.
    fn deliver(&self, state: &State, steps: &mut Steps) {
        for number in 0..self.writers.len() {
            let writer = state.writers[number];
            let session = self.writer_session(number, writer.attempt);
            if writer.is_late {
                let mut next = state.clone();
                next.writers[number].is_late = false;
                if state.store.outs[session] == Out::Open {
                    writer::create_outcome(self, &mut next, number);
                }
                steps.push(Actor::Network, "delivers the late outcome", next);
            }
        }
        if state.repeats > 0 {
            let first = self.old.len() * SLOTS;
            let gone = (first..SESSIONS * SLOTS)
                .filter(|pack| state.store.holds[*pack] != 0 && state.store.packs & 1 << pack == 0);
            for pack in gone {
                let mut next = state.clone();
                (next.repeats, next.store.packs) = (0, state.store.packs | 1 << pack);
                steps.push(Actor::Network, "delivers a pack again that was deleted", next);
            }
        }
    }

    /// What is lost in this state, if anything.
    pub(crate) fn lost(&self, state: &State) -> Option<&'static str> {
        let store = &state.store;
        for session in (0..SESSIONS).filter(|session| store.outs[*session] == Out::Commit) {
            let is_forgotten = store.forgotten & (1 << session) != 0;
            if !is_forgotten && !store.finds(self.wanted(session)) {
                return Some("a chunk of a point");
            }
        }
        for reader in &state.readers {
            if let Reader::Reads(point) = *reader {
                let session = usize::from(point);
                if store.outs[session] != Out::Commit {
                    return Some("a pinned point");
                }
                if !store.finds(self.wanted(session)) {
                    return Some("a chunk of a pinned point");
                }
            }
        }
        for (number, writer) in state.writers.iter().enumerate() {
            let session = self.writer_session(number, writer.attempt);
            let is_wanted = state.unwanted & (1 << session) == 0;
            if writer.at == At::Committed && store.outs[session] != Out::Commit && is_wanted {
                return Some("a point that was reported");
            }
        }
        None
    }
}
