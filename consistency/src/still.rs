//! Volumes that no snapshot can be made of: whoever wants them reads them inside the freeze.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use format::ids::PointId;
use format::raw::RawPath;
use platform::application::{Application, FileTree, Volume};

use crate::drivers::{Plan, in_place};
use crate::error::ConsistencyError;
use crate::freeze::{Units, not_taken};

/// Reads volumes while everything stands still.
pub trait StillReader: fmt::Debug + Send + Sync {
    /// Reads these volumes whole; each has a name and the files as they lie there.
    ///
    /// It blocks. Nobody writes the files until it returns, or `abandoned` becomes true: then the
    /// freeze is over, and it should return soon, with any error.
    fn read(
        &self,
        volumes: Vec<(RawPath, FileTree)>,
        abandoned: &Arc<AtomicBool>,
    ) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// Which volumes of an application no snapshot can be made of, wholly or in part, with their files as
/// they lie there; whoever reads them beforehand has little left to read in the freeze.
///
/// # Errors
/// As [`crate::take`], before the freeze. Nothing is left behind.
pub fn without_snapshot(
    application: &Application,
    run: PointId,
) -> Result<Vec<(RawPath, FileTree)>, ConsistencyError> {
    Units::of(application)?;
    let volumes = &application.volumes;
    let plan = Plan::prepare(volumes, run).map_err(not_taken)?;
    let unmade = plan.unmade();
    let unmade = volumes.iter().enumerate().filter(|(number, _)| unmade.contains(number));
    let files = |(number, volume): (usize, &Volume)| match in_place(volume) {
        Ok((mut tree, _)) => {
            tree.hidden.extend(plan.hidden(number).cloned());
            Ok((volume.name.clone(), tree))
        }
        Err(source) => Err(ConsistencyError::Snapshot { volume: volume.name.clone(), source }),
    };
    let found = unmade.map(files).collect();
    for left in plan.remove() {
        tracing::warn!("{left}");
    }
    found
}
