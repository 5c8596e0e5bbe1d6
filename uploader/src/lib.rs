//! A snapshot becomes chunks in a repository.
//!
//! [`Upload`](upload::Upload) is one backup: it registers a session, reads any number of volumes
//! and ends with a commit. `walk` goes through a tree of files and compares it with the parent
//! point, `file` reads what is new or changed, `assemble` writes the new tree, `intake` keeps what
//! the repository does not have, `pipeline` compresses, seals and sends it, and `indexing` names
//! what is stored.

pub mod error;
pub mod progress;
pub mod rehearsal;
pub mod selection;
pub mod upload;
pub mod volume;

mod assemble;
mod event;
mod file;
mod indexing;
mod intake;
mod large;
mod maps;
mod parent;
mod pipeline;
mod reach;
mod settled;
mod sink;
mod spool;
mod stamp;
mod stream;
mod walk;
