//! What is stored: stores, sessions, packs and the index.
//!
//! [`store`] is the port to where the objects lie. [`create`](unlock::create) makes a repository;
//! a [`Reader`](reader::Reader) reads one and cannot do more; a [`Writer`](writer::Writer) adds
//! packs and one restore point in one session; a [`Maintainer`](maintainer::Maintainer) may delete,
//! and manages the key slots. What they do next is decided in [`protocol`]. [`check`] says whether
//! what is there is whole.

pub mod annotate;
pub mod blocking;
pub mod check;
pub mod chunks;
pub mod contract;
pub mod error;
pub mod forget;
pub mod index;
pub mod location;
pub mod maintainer;
pub mod nearby;
pub mod pin;
pub mod pool;
pub mod protocol;
pub mod prune;
pub mod reader;
pub mod repair;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod slots;
pub mod store;
pub mod tree;
pub mod unlock;
pub mod writer;

mod frames;
mod packer;
mod random;
mod salvage;
