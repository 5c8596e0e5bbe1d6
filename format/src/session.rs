//! Sessions: one writer's work in a repository, from registration to outcome.
//!
//! See docs/format.md#sessions.

use serde::{Deserialize, Serialize};

use crate::control::Link;
use crate::ids::ObjectId;
use crate::manifest::Manifest;

/// The content of `ses/<n>/<point>`: a writer says that it is there.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Registration {
    /// The machine that the writer runs on.
    pub host: String,
    /// The writer's own number for this object; see [`Outcome::nonce`].
    pub nonce: ObjectId,
    /// Nothing: it is the first object of its session.
    pub previous: Option<Link>,
}

/// The content of `hb/<point>/<n>`: the writer is still at work.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Heartbeat {
    /// Which heartbeat of the session it is, counted from 0; also in its name.
    pub number: u64,
    /// The generation that the writer has moved on to.
    pub generation: u64,
    /// The heartbeat before it, or the registration. No other object links to a heartbeat, because
    /// a prune clears them away.
    pub previous: Option<Link>,
}

/// The content of `out/<point>`: how the session ended. Written once.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Outcome {
    /// The number by which a writer knows its own object when the store lost the acknowledgement
    /// and then says that the object exists already.
    pub nonce: ObjectId,
    /// What became of the session.
    pub end: SessionEnd,
    /// The last control object of the session before it, heartbeats aside; for a fence, the
    /// generation of the prune that wrote it.
    pub previous: Option<Link>,
}

/// What became of a session.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionEnd {
    /// The restore point exists.
    Commit(Box<Manifest>),
    /// A prune ended the session; it can never commit.
    Fenced,
    /// It was a prune's own: its packs hold what was moved, and there is no restore point.
    Repacked,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additions_to_a_record_are_passed_over() {
        let nonce = ObjectId::new([1; 16]);
        let text = format!("{{\"host\":\"h\",\"nonce\":\"{nonce}\",\"added\":[1]}}");
        let registration: Registration = serde_json::from_str(&text).unwrap();
        assert_eq!(registration, Registration { host: "h".into(), nonce, previous: None });
    }

    #[test]
    fn a_heartbeat_and_ends_without_a_point_survive_their_json() {
        let beat = Heartbeat { number: 3, generation: 7, previous: None };
        let text = serde_json::to_string(&beat).unwrap();
        assert_eq!(serde_json::from_str::<Heartbeat>(&text).unwrap(), beat);
        let nonce = ObjectId::new([2; 16]);
        for (end, word) in [(SessionEnd::Fenced, "fenced"), (SessionEnd::Repacked, "repacked")] {
            let outcome = Outcome { nonce, end, previous: None };
            let text = serde_json::to_string(&outcome).unwrap();
            let wanted = format!("{{\"nonce\":\"{nonce}\",\"end\":\"{word}\",\"previous\":null}}");
            assert_eq!(text, wanted);
            assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), outcome);
        }
    }
}
