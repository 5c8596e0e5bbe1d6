//! The clock: the only place that reads the time of day.

use std::fmt::Debug;
use std::time::Duration;

use format::tree::FileTime;
use jiff::{Timestamp, Zoned};

/// What tells the time of day.
pub trait Clock: Debug + Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// How long it is until this moment, as timers count; nothing when it is over. Somebody may set the
    /// clock meanwhile: look again after a while.
    fn until(&self, moment: Timestamp) -> Duration;

    /// How much of its time passes while timers count so much, if nobody sets it.
    fn passes(&self, during: Duration) -> Duration;
}

/// The clock of this machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        now()
    }

    fn until(&self, moment: Timestamp) -> Duration {
        moment.duration_since(now()).try_into().unwrap_or_default()
    }

    fn passes(&self, during: Duration) -> Duration {
        during
    }
}

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
