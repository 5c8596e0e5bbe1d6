//! Policies that are due at once, without waiting for them.

use catalog::{Catalog, JobName, Look, Task};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use scheduler::timing::Timing;

use crate::world::World;

/// Has the next service find that a run is due, by a policy that runs every so many minutes.
pub fn make_due(world: &World, application: &str, policy: &str, minutes: i64) {
    let job = JobName { application: Some(application.to_owned()), policy: policy.to_owned() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let catalog = Catalog::open(&world.state().join("catalog.sqlite")).await;
        let catalog = catalog.expect("a catalog");
        let now: Timestamp = service::clock::now();
        let handled = now - SignedDuration::from_mins(minutes) - SignedDuration::from_secs(30);
        let schedule = format!("every {minutes}m").parse().expect("a schedule");
        let timing = Timing::of(schedule, TimeZone::system().into());
        let timing = serde_json::to_string(&timing).expect("a timing");
        let (run, joined, events) = (None, None, Vec::new());
        let look = Look { job, task: Task::Backup, handled, timing, run, joined, events };
        catalog.record_looks(vec![look], now).await.expect("it is recorded");
        catalog.close().await;
    });
}
