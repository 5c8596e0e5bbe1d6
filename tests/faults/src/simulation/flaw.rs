//! Rules that can be broken, to see that the simulation would notice.
//!
//! No flaw is in the program: either the way to the store shows a process less than there is, or
//! who writes points here does less than it should.

/// A rule that is broken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flaw {
    /// A session relies on what is condemned.
    ReliesOnCondemned,
    /// A session that has moved does not look everything up again.
    MovesBlindly,
    /// A prune sees no session at work, and waits for none.
    WaitsForNobody,
    /// A prune takes sessions at work for ended.
    TakesAllForEnded,
    /// The second mark of a prune goes by the points of the first.
    MarksOnce,
    /// A prune deletes the outcomes of sessions that were ended.
    DeletesFences,
    /// A prune deletes the records of what is forgotten.
    DeletesForgetRecords,
}
