//! Giving back the space of what no restore point needs, beside any number of writers, readers and
//! other prunes.
//!
//! Nothing is deleted before everybody could know that it is condemned, and nobody can rely on it
//! any more; see docs/format.md#prune. `survey` looks, `choose` and `plan` decide, `repack`
//! and `publish` write, `wait` and `delete` do what their names say. A prune may be cut off
//! anywhere: what it has left is what the next one goes on from.

mod choose;
mod delete;
mod mark;
mod plan;
mod progress;
pub(crate) mod publish;
mod queue;
mod repack;
mod state;
mod survey;
#[cfg(test)]
mod tests;
mod wait;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use format::ids::PointId;
use serde::Serialize;

pub use self::choose::{Reason, Unused};
pub use self::plan::{Decision, Plan, Segments, Share};
use self::plan::{Orders, decide, summary};
pub use self::progress::{Phase, Progress};
pub use self::state::Reading;
use self::survey::Survey;
use self::wait::Wait;
pub use self::wait::Waiting;
use crate::error::RepositoryError;
use crate::maintainer::Maintainer;
use crate::protocol::watch::FENCE_AFTER;
use crate::reader::Reader;
use crate::store::StoreError;
use crate::writer::Writer;

/// How often a plan is made anew because other prunes were first.
const ATTEMPTS: usize = 10;

/// How to prune.
#[derive(Clone, Debug)]
pub struct Options {
    /// What may stay although nobody needs it: it would cost more to copy what lies beside it.
    pub max_unused: Unused,
    /// After how long without a sign of life a session is ended.
    pub stalled_after: Duration,
    /// Whether to wait for sessions at work. Without it, what they may need is left to the next
    /// prune, and no session is ended.
    pub wait: bool,
    /// Whether sessions may be at work beside it: not on a store that cannot be shared, unless
    /// somebody knows that those which have not ended were cut off.
    pub beside_sessions: bool,
    /// The name of this machine.
    pub host: String,
    /// Where parts of the index are kept; see [`crate::chunks::Chunks::load`].
    pub cache: Option<PathBuf>,
}

impl Options {
    /// The usual ones: 5 % may stay, and a session is ended after half an hour.
    pub fn usual(host: &str, cache: Option<PathBuf>) -> Self {
        Self {
            max_unused: Unused::Percent(5.0),
            stalled_after: FENCE_AFTER,
            wait: true,
            beside_sessions: true,
            host: host.to_owned(),
            cache,
        }
    }
}

/// What a prune did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Packs that were deleted.
    pub deleted: Share,
    /// How many index segments were deleted.
    pub segments: u64,
    /// The bytes of chunks that were copied to new packs, as they are in files.
    pub copied: u64,
    /// Packs that are condemned and still there, because a session may need them.
    pub left: Share,
    /// Sessions that were ended because they stood still.
    pub ended: Vec<PointId>,
}

/// A prune that has looked at everything and written nothing.
#[derive(Debug)]
pub struct Prune<'a> {
    maintainer: &'a Maintainer,
    reader: Reader,
    options: Options,
    progress: Arc<Progress>,
    survey: Arc<Survey>,
    plan: Plan,
}

impl<'a> Prune<'a> {
    /// Looks at everything, and decides what to do.
    ///
    /// # Errors
    /// When anything cannot be listed or read that decides what is needed: a point, a tree, an
    /// index segment. A chunk that is nowhere stops it too: then the repository is damaged, and
    /// what seems to be of no use may be all that is left.
    pub async fn plan(
        maintainer: &'a Maintainer,
        options: Options,
        progress: Arc<Progress>,
    ) -> Result<Self, RepositoryError> {
        let reader = maintainer.reader();
        let cache = options.cache.as_deref();
        let survey = Survey::make(&reader, None, cache, &progress).await?;
        let (orders, decisions) = decide(&survey, options.max_unused);
        let plan = summary(&reader, &survey, &orders, decisions).await?;
        Ok(Self { maintainer, reader, options, progress, survey: Arc::new(survey), plan })
    }

    /// What is to be done.
    pub fn shown(&self) -> &Plan {
        &self.plan
    }

    /// Does it. When another prune decides something first, the plan is made anew.
    ///
    /// # Cancellation
    /// May be dropped at any time; the next prune goes on.
    pub async fn execute(mut self) -> Result<Report, RepositoryError> {
        let mut report = Report::default();
        let mut attempts = 0;
        if self.survey.is_incomplete {
            self.survey = Arc::new(self.look().await?);
        }
        loop {
            match self.round(&mut report).await {
                Ok(Round::Done) => {
                    report.copied = self.progress.copied();
                    return Ok(report);
                }
                Ok(Round::Again) => {}
                // Somebody else was first, or deletes what was to be copied.
                Ok(Round::Overtaken) | Err(RepositoryError::Store(StoreError::Missing { .. }))
                    if attempts < ATTEMPTS =>
                {
                    attempts += 1;
                }
                Ok(Round::Overtaken) => return Err(RepositoryError::Overtaken),
                Err(error) => return Err(error),
            }
            self.survey = Arc::new(self.look().await?);
        }
    }

    async fn look(&self) -> Result<Survey, RepositoryError> {
        let cache = self.options.cache.as_deref();
        Survey::make(&self.reader, Some(self.maintainer), cache, &self.progress).await
    }

    // Condemns, waits, and deletes, by what the survey says.
    async fn round(&mut self, report: &mut Report) -> Result<Round, RepositoryError> {
        self.refuse_company().await?;
        let (orders, _) = decide(&self.survey, self.options.max_unused);
        let mut newest = self.survey.generations.newest;
        let condemns = !orders.is_empty();
        if condemns {
            newest += 1;
            if !self.condemn(newest, &orders).await? {
                return Ok(Round::Overtaken);
            }
        }
        let ended = self.wait(newest, condemns).await?;
        if condemns || ended.is_some() {
            self.survey = Arc::new(self.look().await?);
            self.refuse_company().await?;
        }
        let deleted =
            delete::delete(self.maintainer, &self.reader, &self.survey, &self.progress).await?;
        report.deleted.packs += deleted.packs.packs;
        report.deleted.bytes += deleted.packs.bytes;
        report.segments += deleted.segments;
        report.left = deleted.left;
        let ended = ended.unwrap_or_default();
        report.ended.extend(&ended);
        // What ended sessions have left can be condemned now.
        Ok(if ended.is_empty() { Round::Done } else { Round::Again })
    }

    // Whom a prune does not see, or cannot end, may rely on what it deletes.
    async fn refuse_company(&self) -> Result<(), RepositoryError> {
        let found = self.survey.sessions.unresolved().next();
        let Some((session, _)) = found.filter(|_| !self.options.beside_sessions) else {
            return Ok(());
        };
        let named = wait::named(&self.reader, vec![(session, Duration::ZERO)]).await?;
        let host = named.into_iter().find_map(|waiting| waiting.host);
        let location = self.reader.store().location();
        Err(RepositoryError::SoleWriter { location, session, host: host.unwrap_or_default() })
    }

    // Copies what is to be copied, and condemns what is not needed then; `false` when another
    // prune was first.
    async fn condemn(&self, number: u64, orders: &Orders) -> Result<bool, RepositoryError> {
        let objects = orders.objects(&self.survey);
        if orders.copy.is_empty() && orders.rewrite.is_empty() {
            return publish::condemn(self.maintainer.store(), &self.reader, number, objects).await;
        }
        self.progress.enter(Phase::Repacking);
        let store = self.maintainer.writable();
        let writer = Writer::register(store, &self.reader, &self.options.host).await?;
        let copied =
            repack::repack(&self.reader, &writer, &self.survey, orders, &self.progress).await;
        let condemned = match copied {
            Ok(()) => {
                publish::condemn(self.maintainer.store(), &self.reader, number, objects).await
            }
            Err(error) => Err(error),
        };
        // Its packs are like any others now: whoever condemns them has to know of this list.
        match writer.resolve().await {
            // It was ended for us, which is as good.
            Ok(()) | Err(RepositoryError::Fenced(_)) => condemned,
            Err(error) => condemned.and(Err(error)),
        }
    }

    // Returns the sessions that were ended, or nothing when there was nobody to wait for.
    async fn wait(
        &self,
        generation: u64,
        condemns: bool,
    ) -> Result<Option<BTreeSet<PointId>>, RepositoryError> {
        let survey = &self.survey;
        let is_needed = condemns || survey.is_waiting() || !survey.unresolved_owners().is_empty();
        if !self.options.wait || !is_needed {
            return Ok(None);
        }
        let wait = Wait {
            maintainer: self.maintainer,
            reader: &self.reader,
            stalled_after: self.options.stalled_after,
            progress: &self.progress,
        };
        wait.run(generation, survey).await.map(Some)
    }
}

/// How a round ended.
enum Round {
    Done,
    /// There may be more to do.
    Again,
    /// Another prune was first.
    Overtaken,
}
