//! A reader with a pin.

use repository::protocol::roots::Forgotten;

use crate::rules::Rule;
use crate::search::Actor;
use crate::state::{Out, SESSIONS, State, point};
use crate::world::{Steps, World};

/// How far a reader has come; the number is the point.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) enum Reader {
    #[default]
    Start,
    Pinned(u8),
    /// It was told that the point is there, and relies on it.
    Reads(u8),
    Done,
}

/// Every step that this reader can take.
pub(crate) fn steps(world: &World, state: &State, number: usize, steps: &mut Steps) {
    let actor = Actor::Reader(number);
    match state.readers[number] {
        Reader::Start if number < world.readers => {
            for session in (0..SESSIONS).filter(|s| state.store.outs[*s] == Out::Commit) {
                let chosen = u8::try_from(session).unwrap();
                let mut next = state.clone();
                next.store.pins[number] = Some(chosen);
                next.readers[number] = Reader::Pinned(chosen);
                if !world.has(Rule::LookAfterPin) {
                    next.readers[number] = Reader::Reads(chosen);
                }
                steps.push(actor, "pins a point", next);
            }
        }
        Reader::Pinned(chosen) => {
            let mut next = state.clone();
            let forgotten = Forgotten::listed(state.store.forget_names());
            if forgotten.contains(point(chosen.into())) {
                next.store.pins[number] = None;
                next.readers[number] = Reader::Done;
                steps.push(actor, "finds that the point is forgotten", next);
            } else {
                next.readers[number] = Reader::Reads(chosen);
                steps.push(actor, "finds that the point is not forgotten", next);
            }
        }
        Reader::Reads(_) => {
            let mut next = state.clone();
            next.store.pins[number] = None;
            next.readers[number] = Reader::Done;
            steps.push(actor, "is done and removes its pin", next);
        }
        Reader::Start | Reader::Done => {}
    }
}
