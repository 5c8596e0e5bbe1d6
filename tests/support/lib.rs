//! What the tests of the whole system share: a world to run the program in, applications to back
//! up, trees of files, and a comparison that trusts none of our own code.
//!
//! [`World`](world::World) is a repository with all that belongs to it. [`compare`](mod@compare)
//! tells two trees apart. [`sequence`] is an application whose volumes show whether they are of
//! one instant. Everything here panics when it cannot go on: it is used by tests alone.

#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

pub mod chance;
pub mod compare;
pub mod containers;
pub mod cost;
pub mod directory;
pub mod driven;
pub mod due;
pub mod engine;
pub mod every_kind;
pub mod golden;
pub mod http;
pub mod lab;
pub mod machine;
pub mod many_points;
pub mod markdown;
pub mod proxy;
pub mod sequence;
pub mod sources;
pub mod world;
