//! Sessions: one writer's work in a repository, from registration to outcome.
//!
//! See docs/format.md#sessions.

use serde::{Deserialize, Serialize};

use crate::ids::ObjectId;
use crate::manifest::Manifest;

/// The content of `ses/<n>/<point>`: a writer says that it is there.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Registration {
    /// The machine that the writer runs on.
    pub host: String,
    /// The writer's own number for this object; see [`Outcome::nonce`].
    pub nonce: ObjectId,
}

/// The content of `out/<point>`: how the session ended. Written once.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Outcome {
    /// The number by which a writer knows its own object when the store lost the acknowledgement
    /// and then says that the object exists already.
    pub nonce: ObjectId,
    /// What became of the session.
    pub end: SessionEnd,
}

/// What became of a session.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionEnd {
    /// The restore point exists.
    Commit(Box<Manifest>),
    /// A prune ended the session; it can never commit.
    Fenced,
}
