//! The bytes of a Stillpoint repository, and what they mean.
//!
//! Pure: no I/O, no clock, no async, no globals. `docs/format.md` says the same in words.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a test may panic"))]

pub mod evidence;
pub mod ids;
pub mod manifest;
pub mod raw;
pub mod tree;
