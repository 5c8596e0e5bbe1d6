//! The verbs that tell what policies will do.

use jiff::{Timestamp, Zoned};
use service::error::ServiceError;
use service::{clock, policy};

use super::Context;
use crate::arguments::PolicyVerb;
use crate::exit::Exit;

impl Context {
    pub(super) fn policy(&self, verb: &PolicyVerb) -> Result<Exit, ServiceError> {
        match verb {
            PolicyVerb::Next { policy, zone, from, count } => {
                let after = here(*from);
                let upcoming = policy::next(&self.config, policy, zone.as_deref(), &after, *count)?;
                Ok(self.answer(&upcoming, Exit::Success))
            }
            PolicyVerb::Simulate { policy, time, zone, from } => {
                let span = (&here(*from), *time);
                let forecast = policy::forecast(&self.config, policy, zone.as_deref(), span)?;
                Ok(self.answer(&forecast, Exit::Success))
            }
        }
    }
}

// A moment, or now, in the time zone of this machine.
fn here(moment: Option<Timestamp>) -> Zoned {
    let now = clock::now_here();
    moment.map_or_else(|| now.clone(), |moment| moment.to_zoned(now.time_zone().clone()))
}
