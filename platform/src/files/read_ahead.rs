//! Reading before anybody waits.

use std::fs::File;
use std::num::NonZeroU64;

use rustix::fs::{Advice, fadvise};

/// Has the first `length` bytes of a file fetched into the page cache, and does not wait for it.
/// With several files asked for like this, the disk can answer them all at once.
pub fn will_need(file: &File, length: u64) {
    if let Some(length) = NonZeroU64::new(length) {
        // Where this is not known, the file is fetched when it is read.
        let _ = fadvise(file, 0, Some(length), Advice::WillNeed);
    }
}
