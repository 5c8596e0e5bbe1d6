//! A snapshot becomes chunks in a repository.
//!
//! [`Upload`](upload::Upload) is one backup: it registers a session, reads any number of volumes
//! and ends with a commit. `walk` goes through a tree of files, `content` reads and cuts them,
//! `intake` keeps what the repository does not have, and `pipeline` compresses, seals and
//! sends it.

pub mod error;
pub mod progress;
pub mod upload;

mod content;
mod intake;
#[allow(dead_code, reason = "wired next")]
mod large;
mod pipeline;
mod pseudo;
#[allow(dead_code, reason = "wired next")]
mod sink;
mod walk;
