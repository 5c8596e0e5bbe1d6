//! What is said about a restore point after it was made.
//!
//! See docs/format.md#annotations.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::control::Link;

/// The content of `ann/<point>/<n>`. Written once; a later one may take an earlier one back.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Annotation {
    /// Who says it: a person, a machine, a policy.
    pub who: String,
    /// When.
    pub when: Timestamp,
    /// What.
    pub note: Note,
    /// The annotation before it, or the point's outcome.
    pub previous: Option<Link>,
}

/// What is said about a restore point.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Note {
    /// The point was restored on trial.
    Drill {
        /// Whether the application ran.
        passed: bool,
        /// What was tried and seen.
        detail: String,
    },
    /// The point must not be forgotten until it is released.
    Hold {
        /// Why.
        reason: String,
    },
    /// The hold ends.
    Release,
    /// The point gets a tag.
    Tag {
        /// The tag.
        tag: String,
    },
    /// The point loses a tag.
    Untag {
        /// The tag.
        tag: String,
    },
    /// The point was read, and every byte was as it should be.
    Verified {
        /// How many bytes of files were read.
        bytes: u64,
    },
    /// What a newer program said. It is kept, and means nothing to this one.
    #[serde(other)]
    Other,
}

/// Why the point must not be forgotten, by its notes in their order; `None` when it may be.
pub fn held<'a>(notes: impl IntoIterator<Item = &'a Note>) -> Option<&'a str> {
    notes.into_iter().fold(None, |held, note| match note {
        Note::Hold { reason } => Some(reason),
        Note::Release => None,
        _ => held,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(note: &str) -> Note {
        let text = format!(
            r#"{{"who":"me","when":"2026-01-02T03:04:05Z","note":{note},"previous":null}}"#
        );
        serde_json::from_str::<Annotation>(&text).unwrap().note
    }

    #[test]
    fn notes_survive_their_json() {
        for note in [
            Note::Drill { passed: true, detail: "started in 3 s".into() },
            Note::Hold { reason: "audit".into() },
            Note::Release,
            Note::Tag { tag: "before 2.0".into() },
            Note::Untag { tag: "before 2.0".into() },
            Note::Verified { bytes: 7 },
        ] {
            assert_eq!(read(&serde_json::to_string(&note).unwrap()), note);
        }
    }

    #[test]
    fn the_last_hold_counts_until_it_is_released() {
        let hold = |reason: &str| Note::Hold { reason: reason.into() };
        let (tag, release) = (Note::Tag { tag: "a".into() }, Note::Release);
        assert_eq!(held([]), None);
        assert_eq!(held([&tag, &hold("audit"), &tag]), Some("audit"));
        assert_eq!(held([&hold("audit"), &release]), None);
        assert_eq!(held([&release, &hold("audit"), &release, &hold("law")]), Some("law"));
    }

    #[test]
    fn what_a_newer_program_said_is_no_error() {
        assert_eq!(read(r#"{"kind":"blessed","by":["the pope"]}"#), Note::Other);
        assert_eq!(read(r#"{"kind":"release","added":1}"#), Note::Release);
    }
}
