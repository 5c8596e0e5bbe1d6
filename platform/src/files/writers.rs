//! Waiting for whoever writes a file.

use std::fs::File;

use rustix::fs::{SeekFrom, seek};

/// Waits until every `write` to the file has ended that had begun by now.
///
/// A filesystem sets the time of change when a `write` begins, and on ext4 and btrfs nothing keeps a
/// reader from what it has not reached yet: the content would be older than the time says. To look for
/// a hole takes the lock that writers hold there; on XFS every read does.
pub fn wait_for_writers(file: &File) {
    // Where holes are not known nobody relies on the time either.
    let _ = seek(file, SeekFrom::Hole(0)).and_then(|_| seek(file, SeekFrom::Start(0)));
}
