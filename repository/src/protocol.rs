//! What writers and prunes do next, given what they have seen.
//!
//! Pure: no I/O, no clock, no async. Whoever works on a store feeds listings and records to these
//! decisions and carries them out; so does the model in `repository/tests/model/`, which tries
//! every order in which that can happen. See docs/format.md#prune and docs/reliability.md.
//!
//! # Invariants
//! - An object is **condemned** from the generation on whose `cnd/<n>` names it, for ever.
//! - A session commits no point that relies on what is condemned at the generation that it has
//!   promised in its newest heartbeat, or at the one that it registered under.
//! - A prune of generation `n` deletes only what is condemned at `n` or before, after every session
//!   that has promised less than `n` has ended, and after a second look at what is live then.

pub mod choice;
pub mod condemned;
pub mod deletion;
pub mod generation;
pub mod roots;
pub mod sessions;
pub mod watch;
pub mod writer;
