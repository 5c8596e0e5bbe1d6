//! The clock: the only place that reads the time of day.

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
