//! Index segments: which packs a session wrote, and what is in them.
//!
//! See docs/format.md#index-segments.

use serde::{Deserialize, Serialize};

use crate::control::Link;
use crate::pack::PackRecord;

/// One object of the index. It repeats the footers of its packs, so a lost segment can be rebuilt.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct IndexSegment {
    /// The packs, in no particular order.
    pub packs: Vec<PackRecord>,
    /// The session's control object before it.
    pub previous: Option<Link>,
}
