//! What the model knows: the objects in the store, and how far everyone has come.

use format::ids::{ObjectId, PointId};
use format::names::{ObjectName, PackName};
use repository::protocol::condemned::Condemned;

use crate::prune::Prune;
use crate::reader::Reader;
use crate::writer::Writer;

/// How many sessions there can be.
pub(crate) const SESSIONS: usize = 7;
/// How many packs, and how many segments, a session can have.
pub(crate) const SLOTS: usize = 3;
const OBJECTS: usize = SESSIONS * SLOTS;
/// How many generations there can be.
pub(crate) const GENERATIONS: usize = 4;

/// A set of chunks.
pub(crate) type Chunks = u8;
/// A set of sessions.
pub(crate) type SessionSet = u8;
/// A set of packs, or of segments.
pub(crate) type Set = u32;

/// The outcome of a session.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) enum Out {
    #[default]
    Open,
    Commit,
    Fenced,
    Repacked,
}

/// The content of `cnd/<n>`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct List {
    pub(crate) packs: Set,
    pub(crate) segments: Set,
}

/// Every object that there is.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Store {
    /// The newest `gen/<n>`.
    pub(crate) generation: u8,
    /// `cnd/1` and so on.
    pub(crate) lists: [Option<List>; GENERATIONS],
    /// The generation that each session is registered under.
    pub(crate) registered: [Option<u8>; SESSIONS],
    /// The newest heartbeat of each: its number, and the generation in it.
    pub(crate) beats: [Option<(u8, u8)>; SESSIONS],
    pub(crate) outs: [Out; SESSIONS],
    pub(crate) forgotten: SessionSet,
    pub(crate) pins: [Option<u8>; 1],
    pub(crate) packs: Set,
    pub(crate) segments: Set,
    /// What each pack has; it stays known when the pack is deleted.
    pub(crate) holds: [Chunks; OBJECTS],
    /// What each segment names.
    pub(crate) names: [Set; OBJECTS],
}

/// Everything.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) writers: [Writer; 2],
    pub(crate) prunes: [Prune; 2],
    pub(crate) readers: [Reader; 1],
    /// Sessions that were fenced at any time, and those whose points were forgotten.
    pub(crate) fenced: SessionSet,
    pub(crate) unwanted: SessionSet,
    /// Somebody committed what relies on a condemned pack.
    pub(crate) is_promise_broken: bool,
    /// How often the network may still deliver a create of a pack a second time.
    pub(crate) repeats: u8,
}

pub(crate) fn point(session: usize) -> PointId {
    PointId::new([u8::try_from(session).unwrap(); 16])
}

pub(crate) fn number(point: PointId) -> usize {
    usize::from(point.as_bytes()[0])
}

pub(crate) fn object(session: usize, slot: u8) -> usize {
    session * SLOTS + usize::from(slot)
}

/// The members of a set.
pub(crate) fn each(set: u32) -> impl Iterator<Item = usize> {
    (0..32).filter(move |bit| set & (1 << bit) != 0)
}

pub(crate) fn pack_name(pack: usize) -> ObjectName {
    let id = ObjectId::new([u8::try_from(pack % SLOTS).unwrap(); 16]);
    ObjectName::Pack(PackName { session: point(pack / SLOTS), id })
}

pub(crate) fn segment_name(segment: usize) -> ObjectName {
    let id = ObjectId::new([u8::try_from(segment % SLOTS).unwrap(); 16]);
    ObjectName::Index(point(segment / SLOTS), id)
}

impl List {
    pub(crate) fn objects(self) -> impl Iterator<Item = ObjectName> {
        each(self.packs).map(pack_name).chain(each(self.segments).map(segment_name))
    }
}

impl Store {
    /// What the lists up to a generation condemn.
    pub(crate) fn condemned(&self, generation: u8) -> Condemned {
        let mut condemned = Condemned::default();
        for number in 1..=generation {
            let list = self.lists[usize::from(number) - 1].unwrap_or_default();
            condemned.add(number.into(), list.objects());
        }
        condemned
    }

    pub(crate) fn generations(&self) -> impl Iterator<Item = ObjectName> {
        (1..=u64::from(self.generation)).map(ObjectName::Generation)
    }

    pub(crate) fn list_names(&self) -> impl Iterator<Item = ObjectName> {
        let numbers = (1..).zip(&self.lists).filter(|(_, list)| list.is_some());
        numbers.map(|(number, _)| ObjectName::Condemned(number))
    }

    pub(crate) fn forget_names(&self) -> impl Iterator<Item = ObjectName> {
        each(self.forgotten.into()).map(|session| ObjectName::Forgotten(point(session)))
    }

    pub(crate) fn outcome_names(&self) -> impl Iterator<Item = ObjectName> {
        let ended = (0..SESSIONS).filter(|session| self.outs[*session] != Out::Open);
        ended.map(|session| ObjectName::Outcome(point(session)))
    }

    pub(crate) fn session_names(&self) -> impl Iterator<Item = ObjectName> {
        let registered = self.registered.iter().enumerate();
        registered.filter_map(|(session, generation)| {
            Some(ObjectName::Session((*generation)?.into(), point(session)))
        })
    }

    pub(crate) fn beat_names(&self) -> impl Iterator<Item = ObjectName> {
        let beats = self.beats.iter().enumerate();
        beats.filter_map(|(session, beat)| {
            Some(ObjectName::Heartbeat(point(session), (*beat)?.0.into()))
        })
    }

    /// Whether a reader finds every one of these chunks: a segment names a pack that is there.
    pub(crate) fn finds(&self, wanted: Chunks) -> bool {
        self.found(self.packs, |_| true) & wanted == wanted
    }

    /// The chunks in those of `packs` that count and that a segment names.
    pub(crate) fn found(&self, packs: Set, counts: impl Fn(usize) -> bool) -> Chunks {
        let named = self.named(self.segments);
        let packs = each(named & packs).filter(|pack| counts(*pack));
        packs.fold(0, |found, pack| found | self.holds[pack])
    }

    /// The packs that these segments name.
    pub(crate) fn named(&self, segments: Set) -> Set {
        each(segments).fold(0, |named, segment| named | self.names[segment])
    }

    pub(crate) fn create_pack(&mut self, pack: usize, chunks: Chunks) {
        (self.packs, self.holds[pack]) = (self.packs | 1 << pack, chunks);
    }

    pub(crate) fn create_segment(&mut self, segment: usize, packs: Set) {
        (self.segments, self.names[segment]) = (self.segments | 1 << segment, packs);
    }
}

impl State {
    /// What is wrong in this state though it is no loss yet.
    pub(crate) fn wrong(&self) -> Option<&'static str> {
        let is_fenced = |session: &usize| self.fenced & (1 << session) != 0;
        let committed = |session: usize| self.store.outs[session] == Out::Commit;
        if (0..SESSIONS).filter(is_fenced).any(committed) {
            return Some("a fenced session has committed");
        }
        self.is_promise_broken.then_some("a point was committed that relies on what is condemned")
    }
}
