//! What gives space back: restore points are forgotten, and what nobody needs is deleted.

mod retention;

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::PointRow;
use format::annotation::Note;
use format::ids::{ObjectId, PointId};
use repository::error::RepositoryError;
use repository::forget;
use repository::maintainer::Maintainer;
use repository::pin;
use repository::prune::{self, Options, Progress, Prune};
use repository::store::probe::Probe;
use scheduler::retention::SUSPICIOUS;
use serde::Serialize;

pub use self::retention::{Judged, JudgedPoint, Look};
use crate::engine::Engine;
use crate::error::ServiceError;
use crate::points::{PointName, choose};

/// An engine that may also delete.
pub struct Upkeep {
    pub(crate) engine: Engine,
    pub(crate) maintainer: Maintainer,
}

/// Which points are to be forgotten.
#[derive(Clone, Debug, Serialize)]
pub struct ForgetPlan {
    /// The points, the newest first.
    pub points: Vec<PointRow>,
    /// How many points stay.
    pub stay: u64,
    /// Where rules choose: what they say of every point.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Judged>,
    /// What is written down as the reason.
    #[serde(skip)]
    why: String,
}

impl Upkeep {
    /// Writes down what is pending in the catalog; see [`Engine::close`].
    pub async fn close(self) {
        self.engine.close().await;
    }

    /// What the store does, as far as this machine knows; with `tries` it finds out first, which
    /// creates a small object.
    pub async fn store(&self, tries: bool) -> Result<Probe, ServiceError> {
        if tries {
            return self.engine.attach().await;
        }
        Ok(self.engine.remembered_store().unwrap_or_default())
    }

    /// The usual way to prune, on this machine.
    pub fn prune_options(&self) -> Options {
        Options::usual(&self.engine.host, self.engine.cache.clone())
    }

    /// Deletes what no point needs, in the usual way.
    pub(crate) async fn prune(&self) -> Result<prune::Report, ServiceError> {
        self.unpin_abandoned().await?;
        let store = self.store(true).await?;
        let options = Options { beside_sessions: store.may_be_shared(), ..self.prune_options() };
        let prune = self.plan_prune(options, Arc::default()).await?;
        Ok(prune.execute().await?)
    }

    /// Looks for what no point needs. Nothing is written before the prune is executed.
    pub async fn plan_prune(
        &self,
        options: Options,
        progress: Arc<Progress>,
    ) -> Result<Prune<'_>, ServiceError> {
        Ok(Prune::plan(&self.maintainer, options, progress).await?)
    }

    /// Removes the pins of restores of this host that were cut off.
    pub async fn unpin_abandoned(&self) -> Result<(), ServiceError> {
        self.engine.release_abandoned(self.maintainer.store()).await
    }

    /// Removes the pin of a restore that was cut off on some other host.
    pub async fn unpin(&self, pin: ObjectId) -> Result<(), ServiceError> {
        let removed = pin::remove(self.maintainer.store(), pin).await;
        removed.map_err(RepositoryError::from)?;
        Ok(self.engine.catalog.forget_pin(self.engine.reader.id(), pin).await?)
    }

    /// What forgetting these points means; nothing is written.
    ///
    /// # Errors
    /// When a point is not there, or is held.
    pub async fn plan_forget(
        &self,
        names: &[PointName],
        application: Option<&str>,
    ) -> Result<ForgetPlan, ServiceError> {
        let all = self.engine.points(None).await?;
        let offered = self.engine.points(application).await?;
        let mut chosen: BTreeMap<PointId, PointRow> = BTreeMap::new();
        for name in names {
            let row = choose(offered.clone(), name)?;
            chosen.insert(row.point, row);
        }
        let ids: Vec<PointId> = chosen.keys().copied().collect();
        forget::look(&self.engine.reader, &ids).await?;
        let stay = all.len().saturating_sub(chosen.len()) as u64;
        let points = all.into_iter().filter(|row| chosen.contains_key(&row.point)).collect();
        let why = "asked for by name".to_owned();
        Ok(ForgetPlan { points, stay, groups: Vec::new(), why })
    }

    /// Forgets the points of a plan. Nobody sees them from then on; their space comes back with
    /// the next prune.
    ///
    /// Points that are unlike those before them are marked first: nothing of their application goes by any
    /// rule until somebody accepts them.
    pub async fn forget(&self, plan: &ForgetPlan) -> Result<(), ServiceError> {
        for point in plan.groups.iter().flat_map(|group| &group.suspects) {
            self.engine.note(*point, Note::Tag { tag: SUSPICIOUS.to_owned() }).await?;
        }
        let points: Vec<PointId> = plan.points.iter().map(|row| row.point).collect();
        if points.is_empty() {
            return Ok(());
        }
        let request = forget::Request {
            who: self.engine.host.clone(),
            when: self.engine.machine.clock.now(),
            why: plan.why.clone(),
        };
        forget::forget(&self.maintainer, &points, &request).await?;
        let repository = self.engine.reader.id();
        if let Err(error) = self.engine.catalog.forget_points(repository, &points).await {
            // They are forgotten; the next command brings the catalog up to date.
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the catalog still knows the forgotten points");
        }
        Ok(())
    }
}
