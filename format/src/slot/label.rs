//! What people call a key slot.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

/// How many characters a label has at most.
const CHARACTERS_MAX: usize = 64;

/// A line of at most 64 characters that can be printed on any terminal; empty where none was given.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Label(String);

/// Why a text is no label.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ParseLabelError {
    /// It would not be a line, or not read as it is written.
    #[error("a label has no control characters")]
    Control,
    /// It is too long.
    #[error("a label has at most {CHARACTERS_MAX} characters")]
    Length,
}

impl Label {
    /// The text of the label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Label {
    type Err = ParseLabelError;

    fn from_str(text: &str) -> Result<Self, ParseLabelError> {
        if text.chars().any(|c| c.is_control() || turns(c)) {
            return Err(ParseLabelError::Control);
        }
        if text.chars().nth(CHARACTERS_MAX).is_some() {
            return Err(ParseLabelError::Length);
        }
        Ok(Self(text.to_owned()))
    }
}

// What turns the direction of writing makes a line look like another one.
fn turns(c: char) -> bool {
    let marks = ['\u{200e}'..='\u{200f}', '\u{2028}'..='\u{202e}', '\u{2066}'..='\u{2069}'];
    marks.iter().any(|range| range.contains(&c))
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_lines_are_labels() {
        for right in ["", "in the safe", "Büro", &"ü".repeat(64)] {
            assert_eq!(right.parse::<Label>().unwrap().as_str(), right);
        }
        for wrong in ["a\nb", "\u{1b}[2J", "\u{202e}x", &"x".repeat(65)] {
            assert!(wrong.parse::<Label>().is_err(), "{wrong:?}");
        }
    }
}
