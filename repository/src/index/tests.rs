//! What the index promises, tried on repositories that exist only here.

#![allow(clippy::cast_possible_truncation, reason = "a test may panic")]

mod damage;
mod model;
mod opening;
mod sharing;
pub(crate) mod world;
