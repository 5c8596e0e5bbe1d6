//! The thaws that failed, kept in memory that is there from the start, and printed when nothing is
//! frozen any more.

use std::fmt;

use super::protocol::Report;
use crate::clock::Moment;
use crate::freezer::Trouble;

/// The last failures, and how many there were.
#[derive(Debug)]
pub(super) struct Ring {
    entries: [Option<Entry>; ENTRIES],
    count: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    target: usize,
    trouble: Trouble,
    at: Moment,
}

impl Default for Ring {
    fn default() -> Self {
        Self { entries: [None; ENTRIES], count: 0 }
    }
}

impl Ring {
    /// Keeps a report if it is of a failure, in the place of the oldest if need be.
    pub(super) fn note(&mut self, report: &Report) {
        let &Report::ThawFailed { target, trouble } = report else { return };
        if let Some(entry) = self.entries.get_mut(self.count % ENTRIES) {
            *entry = Some(Entry { target, trouble, at: Moment::now() });
        }
        self.count += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl fmt::Display for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "stillpoint warden: {} thaws failed before everything ran again", self.count)?;
        let (newer, older) = self.entries.split_at(self.count % ENTRIES);
        for entry in older.iter().chain(newer).flatten() {
            let Entry { target, trouble, at } = entry;
            writeln!(f, "  at {} \u{b5}s, target {target}: {trouble}", at.micros())?;
        }
        Ok(())
    }
}

const ENTRIES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_failures_are_kept_in_their_order() {
        let mut ring = Ring::default();
        assert!(ring.is_empty());
        for target in 0..ENTRIES + 3 {
            ring.note(&Report::ThawFailed { target, trouble: Trouble::Stuck });
        }
        let text = ring.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 1 + ENTRIES);
        assert!(lines[0].contains("67 thaws failed"), "{text}");
        assert!(lines[1].contains("target 3: it does not run again"), "{text}");
        assert!(lines[ENTRIES].contains("target 66:"), "{text}");
    }
}
