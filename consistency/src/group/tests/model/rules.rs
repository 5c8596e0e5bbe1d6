//! The rules that keep a point from claiming too much, each of which the model can leave out.
//!
//! The machines have no switches: a rule is left out by lying to them about what happened.

use super::world::Bounds;

/// A rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Rule {
    SeenBefore,
    AllTaken,
    SeenAfter,
    Continuity,
    Token,
    LookNumber,
    MemberToken,
    FreezesOnce,
    Deadline,
}

use Rule::*;

impl Rule {
    pub(super) const ALL: [Self; 9] = [
        SeenBefore,
        AllTaken,
        SeenAfter,
        Continuity,
        Token,
        LookNumber,
        MemberToken,
        FreezesOnce,
        Deadline,
    ];

    /// The rule in words.
    pub(super) fn text(self) -> &'static str {
        match self {
            SeenBefore => "snapshots begin when every member was seen to stand still",
            AllTaken => "the second look begins when all snapshots are whole",
            SeenAfter => "a point is proven when every member was seen after the last snapshot",
            Continuity => "a member must have stood still from the first look to the second",
            Token => "what is said of another run is not heard",
            LookNumber => "an answer counts for the look that asked for it",
            MemberToken => "a host follows orders of its own run only",
            FreezesOnce => "a warden freezes once, and after its thaw never again",
            Deadline => "a warden thaws at the deadline, whoever is silent",
        }
    }

    /// Where leaving it out does harm.
    pub(super) fn world(self) -> (&'static str, Bounds) {
        match self {
            Token | MemberToken => Bounds::two_runs(),
            _ => Bounds::meddling(),
        }
    }
}
