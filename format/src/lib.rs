//! The bytes of a Stillpoint repository, and what they mean.
//!
//! Pure: no I/O, no clock, no async, no globals. `docs/format.md` says the same in words.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::indexing_slicing,
        reason = "a test may panic"
    )
)]

pub mod annotation;
mod bounded;
pub mod changed_ranges;
pub mod chunker;
pub mod content;
pub mod control;
pub mod descriptor;
pub mod evidence;
pub mod frame;
pub mod ids;
pub mod index;
pub mod keys;
pub mod listing;
pub mod manifest;
pub mod names;
pub mod pack;
pub mod prune;
pub mod raw;
pub mod seal;
pub mod session;
pub mod slot;
pub mod stream;
pub mod tree;

mod hex;
