//! The clock: the only place that reads the time of day.

use format::tree::FileTime;
use jiff::{Timestamp, Zoned};

/// Now.
#[allow(clippy::disallowed_methods, reason = "everyone else takes the time as an argument")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Now, in the time zone of this machine.
#[allow(clippy::disallowed_methods, reason = "everyone else takes the time as an argument")]
pub fn now_here() -> Zoned {
    Zoned::now()
}

/// The same moment as filesystems keep it.
pub(crate) fn file_time(moment: Timestamp) -> FileTime {
    let nanoseconds = moment.as_nanosecond();
    FileTime {
        seconds: i64::try_from(nanoseconds.div_euclid(1_000_000_000)).unwrap_or(i64::MIN),
        nanoseconds: u32::try_from(nanoseconds.rem_euclid(1_000_000_000)).unwrap_or(0),
    }
}
