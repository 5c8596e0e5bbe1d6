//! One clock for us and the warden: both processes read the same kernel counter.

use std::time::Duration;

use format::tree::FileTime;
use rustix::time::{ClockId, Timespec, clock_gettime};
use serde::{Deserialize, Serialize};

/// Microseconds on the monotonic clock of this host.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) struct Moment(u64);

impl Moment {
    /// This very moment.
    pub(crate) fn now() -> Self {
        let time = clock_gettime(ClockId::Monotonic);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
        Self(seconds.saturating_mul(1_000_000).saturating_add(nanoseconds / 1_000))
    }

    /// A moment that [`Moment::micros`] told.
    pub(crate) fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since a moment that is the same until the machine is started again.
    pub(crate) fn micros(self) -> u64 {
        self.0
    }

    /// The moment that much later.
    pub(crate) fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(micros(wait)))
    }

    /// Microseconds from `earlier` to this moment; 0 if it is not earlier.
    pub(crate) fn micros_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// How long it is from `now` to this moment, as a timeout.
    pub(crate) fn wait_from(self, now: Self) -> Duration {
        Duration::from_micros(self.micros_since(now))
    }
}

/// This moment as filesystems stamp it.
pub(crate) fn file_time() -> FileTime {
    let time = clock_gettime(ClockId::Realtime);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    FileTime { seconds: time.tv_sec, nanoseconds }
}

/// A duration in whole microseconds.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A timeout as `poll` takes it, rounded up so that nobody wakes just before the time.
pub(crate) fn timeout(wait: Duration) -> Timespec {
    let wait = wait.saturating_add(Duration::from_micros(1)).min(LONGEST);
    Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: wait.subsec_nanos().into() }
}

// Longer than any wait of ours, and far from what overflows in a kernel.
const LONGEST: Duration = Duration::from_hours(1);
