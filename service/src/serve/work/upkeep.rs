//! Runs for a repository as a whole: what gives its space back, and what looks whether it is whole.

use std::collections::BTreeSet;
use std::sync::Arc;

use catalog::{Happening, PointRow};
use format::ids::PointId;
use repository::check::Progress;
use repository::error::RepositoryError;

use super::{Done, Work};
use crate::check::{CheckRequest, ReadData};
use crate::config::PolicyConfig;
use crate::engine::{Engine, Settings};
use crate::error::ServiceError;
use crate::serve::RunError;

impl Work {
    /// Gives back the space of what no point needs.
    pub(super) async fn prune(&self, settings: Settings) -> Result<Done, ServiceError> {
        let upkeep = Engine::open_to_maintain(settings).await?;
        let pruned = Box::pin(upkeep.prune()).await;
        upkeep.close().await;
        let pruned = pruned?;
        let (packs, bytes) = (pruned.deleted.packs, pruned.deleted.bytes);
        self.report(Happening::Pruned { packs, bytes }).await;
        Ok(Done::succeeded(&pruned))
    }

    /// Looks whether everything is there that should be.
    pub(super) async fn check(
        &self,
        settings: Settings,
        request: CheckRequest,
    ) -> Result<Done, ServiceError> {
        let engine = Engine::open(settings).await?;
        let checked = Box::pin(engine.check(request, &Progress::default())).await;
        engine.close().await;
        let report = checked?;
        let count = report.findings.len();
        Ok(match report.class() {
            None => Done::succeeded(&report),
            Some(worst) => Done::failed(&RunError::Findings { count, worst }.into()).with(&report),
        })
    }

    /// Reads the newest point of each application of this host that was not verified yet.
    pub(super) async fn verify(&self, settings: Settings) -> Result<Done, ServiceError> {
        let engine = Engine::open(settings).await?;
        let verified = Box::pin(verify_newest(&engine)).await;
        engine.close().await;
        let (points, lossy) = verified?;
        self.report(Happening::Verified { points }).await;
        if lossy.is_empty() {
            return Ok(Done::succeeded(&serde_json::json!({ "points": points })));
        }
        Err(RunError::Lossy { points: lossy }.into())
    }
}

/// What a policy wants to have checked: the structure, and what is due to be read.
pub(super) fn check_of(policy: &PolicyConfig) -> CheckRequest {
    let within = policy.read_data_within;
    let data = within.map_or(ReadData::Nothing, |within| ReadData::Due { within });
    CheckRequest { time_max: policy.limit_time, ..CheckRequest::of(data) }
}

/// How many points were read, and which of them have lost something.
async fn verify_newest(engine: &Engine) -> Result<(u64, Vec<PointId>), ServiceError> {
    let (mut read, mut lossy) = (0, Vec::new());
    for point in newest_unverified(&engine.points(None).await?, &engine.host) {
        let manifest = match engine.reader.point(point).await {
            Ok(Some(manifest)) => manifest,
            // It was forgotten since.
            Ok(None) | Err(RepositoryError::Forgotten(_) | RepositoryError::UnknownPoint(_)) => {
                continue;
            }
            Err(RepositoryError::Damaged { .. }) => {
                lossy.push(point);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let verification = engine.verify(manifest, Arc::default()).await?;
        read += 1;
        if !verification.lost.is_empty() {
            lossy.push(point);
        }
    }
    Ok((read, lossy))
}

// Of points from the newest to the oldest.
fn newest_unverified(points: &[PointRow], host: &str) -> Vec<PointId> {
    let mut seen = BTreeSet::new();
    let newest = points.iter().filter(|row| row.host == host && seen.insert(&row.application));
    newest.filter(|row| row.annotations.verified.is_none()).map(|row| row.point).collect()
}
