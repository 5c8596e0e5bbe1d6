//! The words of a command, as they are declared.

use serde::{Deserialize, Serialize};

/// A command: a line for a shell, or a program with its arguments.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Words {
    /// A line for `sh -c`.
    Line(String),
    /// A program and its arguments.
    List(Vec<String>),
}

impl Words {
    /// A list where the text is one in JSON, and a line otherwise.
    pub(super) fn parse(text: &str) -> Self {
        match serde_json::from_str(text) {
            Ok(list) if text.trim_start().starts_with('[') => Self::List(list),
            _ => Self::Line(text.to_owned()),
        }
    }

    /// The program and its arguments.
    pub(super) fn into_words(self) -> Vec<String> {
        match self {
            Self::Line(line) => vec!["sh".to_owned(), "-c".to_owned(), line],
            Self::List(words) => words,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_run_as_it_is_and_a_line_by_a_shell() {
        let words = |text| Words::parse(text).into_words();
        assert_eq!(words(r#"["touch", "a b"]"#), ["touch", "a b"]);
        assert_eq!(words("touch a; sync"), ["sh", "-c", "touch a; sync"]);
        assert_eq!(words("[ -e a ] && sync"), ["sh", "-c", "[ -e a ] && sync"]);
        assert_eq!(words("[1]"), ["sh", "-c", "[1]"]);
    }
}
