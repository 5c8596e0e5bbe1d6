//! The text of `/proc/<pid>/stat` and of pid files.

/// What is known of a process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Process {
    /// The process that it belongs to.
    pub(crate) parent: u32,
    /// When it was started, in clock ticks since the boot.
    pub(crate) started: u64,
    /// Whether it has ended and only waits for its parent to notice.
    pub(crate) ended: bool,
}

impl Process {
    /// Reads the text of `/proc/<pid>/stat`.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        // The second field is a name in parentheses, which may itself hold all of `) \n`.
        let end = text.iter().rposition(|byte| *byte == b')')?;
        let fields = std::str::from_utf8(text.get(end + 1..)?).ok()?;
        let mut fields = fields.split_ascii_whitespace();
        let ended = matches!(fields.next()?, "Z" | "X" | "x");
        let parent = fields.next()?.parse().ok()?;
        let started = fields.nth(17)?.parse().ok()?;
        Some(Self { parent, started, ended })
    }
}

/// The number on the first line; what follows, as in PostgreSQL's, is for others.
pub(crate) fn parse_pid_file(text: &[u8]) -> Option<u32> {
    let line = text.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?.trim();
    line.bytes().all(|byte| byte.is_ascii_digit()).then_some(line)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_be_called_anything() {
        let rest = "S 41 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 987654 19 20";
        for name in ["sleep", "a b", "x) R 1 (y", "\n", ") Z 0 0 0"] {
            let text = format!("42 ({name}) {rest}\n");
            let expected = Process { parent: 41, started: 987_654, ended: false };
            assert_eq!(Process::parse(text.as_bytes()), Some(expected), "{name}");
        }
    }

    #[test]
    fn remains_of_a_process_are_known() {
        let text = b"42 (sh) Z 41 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19";
        assert!(Process::parse(text).unwrap().ended);
    }

    #[test]
    fn a_state_that_is_cut_off_is_no_process() {
        for text in ["", "42", "42 (sh", "42 (sh) S", "42 (sh) S x", "42 (sh) S 1 2 3"] {
            assert_eq!(Process::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_pid_file_is_its_first_line() {
        assert_eq!(parse_pid_file(b"123"), Some(123));
        assert_eq!(parse_pid_file(b" 123 \n/var/lib/postgresql\n"), Some(123));
        for text in ["", "\n5", "-5", "+5", "1x", "99999999999", "\u{662}"] {
            assert_eq!(parse_pid_file(text.as_bytes()), None, "{text}");
        }
    }
}
