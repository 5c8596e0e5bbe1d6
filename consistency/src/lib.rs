//! The freeze of an application and the snapshot of all its volumes.
//!
//! [`take`] stops every container at one instant, snapshots every volume while all stand still,
//! and thaws whatever happens. [`warden::serve`] is the other half: a process of its own that
//! alone freezes and thaws. What a snapshot proves is in its evidence; see
//! [`GroupSnapshot::verdict`].
//!
//! What the application itself does before and after is in [`hooks`], which is async; all else is
//! blocking code on threads: call it from a thread that may wait.

#[cfg(test)]
mod allocations;
mod budget;
mod clock;
mod drivers;
pub mod error;
mod freeze;
mod freezer;
mod group;
pub mod hooks;
pub mod journal;
pub mod local;
mod member;
mod needed;
mod outlook;
mod places;
mod rehearsal;
mod rounds;
mod snapshot;
mod still;
pub mod warden;

pub use budget::{BUDGET_MIN, Because, Budget, BudgetError, budget};
pub use error::ConsistencyError;
pub use freeze::{DEADLINE_DEFAULT, Prepared, Request, prepare, take, take_prepared};
pub use outlook::{NeverFrozen, likely_driver};
pub use places::sweep;
pub use rehearsal::{Rehearsal, rehearse};
pub use rounds::another_round_helps;
pub use snapshot::{GroupSnapshot, Verdict, VolumeSnapshot};
pub use still::{StillReader, without_snapshot};
