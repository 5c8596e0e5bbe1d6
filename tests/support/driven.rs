//! A clock that runs faster than that of the machine, and can be set.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use service::clock::Clock;

/// A clock that runs so many times as fast.
#[derive(Debug)]
pub struct DrivenClock {
    rate: u32,
    /// What it showed at some time.
    set: Mutex<(Instant, Timestamp)>,
}

impl DrivenClock {
    /// One that shows this moment now.
    pub fn new(moment: Timestamp, rate: u32) -> Self {
        Self { rate, set: Mutex::new((Instant::now(), moment)) }
    }

    /// Sets it by so much forward, or back.
    pub fn set_by(&self, difference: SignedDuration) {
        let now = self.now();
        let moment = now.checked_add(difference).expect("a moment of the calendar");
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), moment);
    }
}

impl Clock for DrivenClock {
    fn now(&self) -> Timestamp {
        let (at, moment) = *self.set.lock().unwrap_or_else(PoisonError::into_inner);
        moment.checked_add(at.elapsed() * self.rate).expect("a moment of the calendar")
    }

    fn until(&self, moment: Timestamp) -> Duration {
        let ahead = Duration::try_from(moment.duration_since(self.now())).unwrap_or_default();
        ahead / self.rate
    }

    fn passes(&self, during: Duration) -> Duration {
        during * self.rate
    }
}
