//! What is said about a restore point after it was made.
//!
//! See docs/format.md#annotations.

use std::collections::BTreeSet;

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

/// What the annotations of a restore point come to.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Summary {
    /// Why the point must not be forgotten; absent when it may be.
    pub held: Option<String>,
    /// Its tags.
    pub tags: BTreeSet<String>,
    /// When it was last read whole.
    pub verified: Option<Timestamp>,
    /// The last restore on trial.
    pub drill: Option<Drill>,
}

/// How a restore on trial ended.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Drill {
    /// When.
    pub when: Timestamp,
    /// Whether the application ran.
    pub passed: bool,
}

impl Summary {
    /// Adds the next annotation, in the order of their numbers.
    pub fn add(&mut self, annotation: &Annotation) {
        let when = annotation.when;
        match &annotation.note {
            Note::Drill { passed, .. } => self.drill = Some(Drill { when, passed: *passed }),
            Note::Hold { reason } => self.held = Some(reason.clone()),
            Note::Release => self.held = None,
            Note::Tag { tag } => {
                self.tags.insert(tag.clone());
            }
            Note::Untag { tag } => {
                self.tags.remove(tag);
            }
            Note::Verified { .. } => self.verified = Some(when),
            Note::Other => {}
        }
    }
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

    fn summary<const N: usize>(notes: [Note; N]) -> Summary {
        let mut summary = Summary::default();
        for (second, note) in (0..).zip(notes) {
            let when = Timestamp::from_second(second).unwrap();
            summary.add(&Annotation { who: "me".into(), when, note, previous: None });
        }
        summary
    }

    #[test]
    fn the_last_hold_counts_until_it_is_released() {
        let hold = |reason: &str| Note::Hold { reason: reason.into() };
        let (tag, release) = (|| Note::Tag { tag: "a".into() }, || Note::Release);
        assert_eq!(summary([]), Summary::default());
        assert_eq!(summary([tag(), hold("audit"), tag()]).held.unwrap(), "audit");
        assert_eq!(summary([hold("audit"), release()]).held, None);
        let law = summary([release(), hold("audit"), release(), hold("law")]);
        assert_eq!(law.held.unwrap(), "law");
    }

    #[test]
    fn tags_come_and_go_and_the_last_look_counts() {
        let tag = |tag: &str| Note::Tag { tag: tag.into() };
        let tags = summary([tag("a"), tag("b"), Note::Untag { tag: "a".into() }, tag("b")]).tags;
        assert_eq!(tags.into_iter().collect::<Vec<_>>(), ["b"]);
        let drill = |passed| Note::Drill { passed, detail: String::new() };
        let verified = Note::Verified { bytes: 1 };
        let summary = summary([verified.clone(), drill(false), verified, drill(true), Note::Other]);
        assert_eq!(summary.verified.unwrap().as_second(), 2);
        let drill = summary.drill.unwrap();
        assert_eq!((drill.when.as_second(), drill.passed), (3, true));
    }

    #[test]
    fn what_a_newer_program_said_is_no_error() {
        assert_eq!(read(r#"{"kind":"blessed","by":["the pope"]}"#), Note::Other);
        assert_eq!(read(r#"{"kind":"release","added":1}"#), Note::Release);
    }
}
