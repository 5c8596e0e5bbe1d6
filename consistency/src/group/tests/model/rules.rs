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

impl Rule {
    pub(super) const ALL: [Self; 9] = [
        Self::SeenBefore,
        Self::AllTaken,
        Self::SeenAfter,
        Self::Continuity,
        Self::Token,
        Self::LookNumber,
        Self::MemberToken,
        Self::FreezesOnce,
        Self::Deadline,
    ];

    /// The rule in words.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::SeenBefore => "snapshots begin when every member was seen to stand still",
            Self::AllTaken => "the second look begins when all snapshots are whole",
            Self::SeenAfter => {
                "a point is proven when every member was seen after the last snapshot"
            }
            Self::Continuity => "a member must have stood still from the first look to the second",
            Self::Token => "what is said of another run is not heard",
            Self::LookNumber => "an answer counts for the look that asked for it",
            Self::MemberToken => "a host follows orders of its own run only",
            Self::FreezesOnce => "a warden freezes once, and after its thaw never again",
            Self::Deadline => "a warden thaws at the deadline, whoever is silent",
        }
    }

    /// Where leaving it out does harm.
    pub(super) fn world(self) -> (&'static str, Bounds) {
        match self {
            Self::Token | Self::MemberToken => Bounds::two_runs(),
            _ => Bounds::meddling(),
        }
    }
}
