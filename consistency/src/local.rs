//! Local snapshots: group snapshots that stay on this host, beside what they show, until they are
//! removed.
//!
//! Their records lie in one directory, where no container can write: `<id>.json`. The files lie in
//! `.stillpoint` of their filesystems, marked so that no sweep removes them. A record is written before
//! the marks and once more after them; one that was not is of a process that died. Beside them lie the
//! locks and notes of snapshots that are being put back.

mod error;
mod plan;
mod purpose;
mod put_back;
mod record;
mod restoring;
mod shelf;

pub use self::error::LocalError;
pub use self::plan::{LocalPlan, PlannedVolume, plan};
pub use self::put_back::{PutBack, put_back};
pub use self::record::{Label, LocalSnapshot, LocalVolume};
pub use self::restoring::{Admitted, Alone, Restoring};
pub use self::shelf::{Found, Shelf};

#[cfg(test)]
mod tests;
