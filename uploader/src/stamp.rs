//! When a file is taken for unchanged without being read: its size, time of modification, number and
//! time of change must be those that the parent point recorded.

use format::tree::{FileTime, Stamp};
use platform::files::Glance;

/// What the parent point knows of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) size: u64,
    pub(crate) modified: FileTime,
    pub(crate) stamp: Option<Stamp>,
}

impl Known {
    /// Whether the file is the same, given its stamp, or that of what it is a copy of.
    pub(crate) fn is_unchanged(&self, glance: &Glance, stamp: Option<Stamp>) -> bool {
        self.stamp.is_some()
            && self.stamp == stamp
            && self.size == glance.size
            && self.modified == glance.modified
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::files::GlanceKind;

    fn time(seconds: i64) -> FileTime {
        FileTime { seconds, nanoseconds: 0 }
    }

    #[test]
    fn any_difference_is_a_change() {
        let stamp = Stamp { inode: 7, changed: time(5) };
        let glance = Glance {
            kind: GlanceKind::File,
            size: 3,
            modified: time(4),
            stamp,
            device: 1,
            links: 1,
        };
        let known = Known { size: 3, modified: time(4), stamp: Some(stamp) };
        assert!(known.is_unchanged(&glance, Some(stamp)));
        assert!(!known.is_unchanged(&glance, None));
        assert!(!Known { stamp: None, ..known }.is_unchanged(&glance, None));
        assert!(!Known { size: 4, ..known }.is_unchanged(&glance, Some(stamp)));
        assert!(!Known { modified: time(5), ..known }.is_unchanged(&glance, Some(stamp)));
        for other in [Stamp { inode: 8, ..stamp }, Stamp { changed: time(6), ..stamp }] {
            assert!(!known.is_unchanged(&glance, Some(other)));
        }
    }
}
