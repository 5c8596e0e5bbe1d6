//! Stores that fail in every way that stores fail, and a small world to try it in.
//!
//! [`FaultyStore`](store::FaultyStore) stands in front of a real store and fails when told to.
//! [`World`](world::World) backs up, restores and keeps account of what was promised.
//! Everything here panics when it cannot go on: it is used by tests alone.

#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

pub mod fault;
pub mod files;
pub mod memory;
pub mod s3;
pub mod simulation;
pub mod store;
pub mod trial;
pub mod world;
