//! Writers, prunes, forgets and restores at once, on a network that fails, with clocks that are
//! wrong and processes that stand still for days: everything of it follows from one number.
//!
//! The code of sessions, forgets, prunes and reads is the program's own. Time is virtual, chance is
//! seeded ([`repository::simulation`]), and everything runs on one thread. What stores a point is
//! [`author`]: the pipeline of the uploader has threads, whose order no seed decides.

pub mod author;
mod fate;
pub mod flaw;
mod ledger;
pub mod link;
pub mod network;
mod run;

pub use self::run::{Lag, Outcome, Setting, run};
