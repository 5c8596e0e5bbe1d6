//! A freeze on trial: everything but the snapshots.

use std::path::PathBuf;

use format::raw::RawPath;
use platform::driver::Driver;

use crate::drivers::Plan;
use crate::error::ConsistencyError;
use crate::freeze::{Request, not_taken, take};
use crate::snapshot::GroupSnapshot;

/// How a freeze went that was for nothing else.
#[derive(Debug)]
pub struct Rehearsal {
    /// How a backup would snapshot each volume, in the order of the application's.
    pub drivers: Vec<(RawPath, &'static str)>,
    /// What a backup would copy while everything stands still.
    pub copied: Vec<PathBuf>,
    /// What it would read then, as far as it changed since it was read shortly before.
    pub read: Vec<PathBuf>,
    /// What a backup would leave out, a sentence each; and what could not be cleared away.
    pub remarks: Vec<String>,
    /// The freeze; it has no volumes.
    pub freeze: GroupSnapshot,
}

/// Makes ready for the snapshots, as [`take`] does; then freezes, looks, and thaws, and makes none.
///
/// # Errors
/// As those of [`take`]; what was made ready is removed.
pub fn rehearse(request: &Request) -> Result<Rehearsal, ConsistencyError> {
    let volumes = &request.application.volumes;
    let plan = Plan::prepare(volumes, request.run).map_err(not_taken)?;
    plan.sync();
    let drivers = plan.drivers(volumes);
    let [copied, read] = [Driver::Copy, Driver::Live].map(|driver| plan.parts(volumes, driver));
    let mut remarks = plan.remarks().to_vec();
    remarks.extend(plan.remove());
    let mut bare = request.clone();
    bare.application.volumes.clear();
    Ok(Rehearsal { drivers, copied, read, remarks, freeze: take(&bare)? })
}
