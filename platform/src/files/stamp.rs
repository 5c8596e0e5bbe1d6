//! When the stamp of a file says that it did not change.
//!
//! That is only as good as the stamp: a change within the same tick of the filesystem's clock
//! leaves it as it is, and so does a store into a page that is dirty already. So a stamp is relied on
//! only when it was clearly older than the look at the file, and after everything that was dirty by
//! then had been written out.

use format::tree::{FileTime, Stamp};

use super::filesystem::Filesystem;

/// How much older than the scan a stamp must be. The coarsest times in use have one second.
const MARGIN_SECONDS: i64 = 2;

/// Which stamps of one scan can be relied on.
#[derive(Clone, Copy, Debug)]
pub struct StampRule {
    /// Stamps from here on are too young.
    young: FileTime,
}

impl StampRule {
    /// The rule for files that stood still, or were written out, at this moment.
    pub fn at(moment: FileTime) -> Self {
        let seconds = moment.seconds.saturating_sub(MARGIN_SECONDS);
        Self { young: FileTime { seconds, ..moment } }
    }

    /// The stamp of a file, if it can be relied on.
    pub fn record(self, stamp: Stamp, filesystem: Filesystem) -> Option<Stamp> {
        let old = stamp.changed < self.young;
        (old && filesystem == Filesystem::Stamping).then_some(stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
