//! When a file is taken for unchanged without being read.
//!
//! Its size, time of modification, number and time of change must be those that the parent point
//! recorded. That is only as good as the stamp: a change within the same tick of the filesystem's
//! clock leaves it as it is, and so does a store into a page that is dirty already. So a stamp is
//! recorded only when it was clearly older than the scan, and after everything that was dirty by
//! then had been written out.

use format::tree::{FileTime, Stamp};
use platform::files::Glance;

use crate::filesystem::Filesystem;

/// How much older than the scan a stamp must be. The coarsest times in use have one second.
const MARGIN_SECONDS: i64 = 2;

/// Which stamps of one scan can be relied on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StampRule {
    /// Stamps from here on are too young.
    young: FileTime,
}

impl StampRule {
    /// The rule for files that stood still, or were written out, at this moment.
    pub(crate) fn at(moment: FileTime) -> Self {
        let seconds = moment.seconds.saturating_sub(MARGIN_SECONDS);
        Self { young: FileTime { seconds, ..moment } }
    }

    /// What to record of a file.
    pub(crate) fn record(self, stamp: Stamp, filesystem: Filesystem) -> Option<Stamp> {
        let old = stamp.changed < self.young;
        (old && filesystem == Filesystem::Stamping).then_some(stamp)
    }
}

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
    fn young_stamps_and_unknown_filesystems_are_not_relied_on() {
        let rule = StampRule::at(time(100));
        let record = |changed, filesystem| {
            rule.record(Stamp { inode: 7, changed: time(changed) }, filesystem).is_some()
        };
        assert!(record(97, Filesystem::Stamping));
        assert!(!record(98, Filesystem::Stamping));
        // A clock that went back.
        assert!(!record(2000, Filesystem::Stamping));
        assert!(!record(97, Filesystem::Other));
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
