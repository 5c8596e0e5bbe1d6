//! Waiting for the sessions that may rely on what is condemned, and ending those that stand still.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use format::ids::PointId;
use format::names::ObjectName;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::progress::{Phase, Progress};
use super::survey::Survey;
use super::{publish, state};
use crate::error::RepositoryError;
use crate::maintainer::Maintainer;
use crate::protocol::sessions::Sessions;
use crate::protocol::watch::Watch;
use crate::reader::Reader;

/// The sessions are looked at again after this time, then less and less often.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// A session that is waited for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Waiting {
    /// The session, which is also the id of the restore point that it is to become.
    pub session: PointId,
    /// The machine that it says it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// For how many seconds it has shown no sign of life, as far as this prune has seen.
    pub still_seconds: u64,
}

/// What to wait for, and for how long.
#[derive(Debug)]
pub(super) struct Wait<'a> {
    pub(super) maintainer: &'a Maintainer,
    pub(super) reader: &'a Reader,
    pub(super) stalled_after: Duration,
    pub(super) progress: &'a Arc<Progress>,
}

impl Wait<'_> {
    /// Waits until nobody can rely on anything that is condemned at `generation`, and until every
    /// session with packs has ended or shown that it lives. Returns the sessions that were ended.
    pub(super) async fn run(
        &self,
        generation: u64,
        survey: &Survey,
    ) -> Result<BTreeSet<PointId>, RepositoryError> {
        let owners = survey.unresolved_owners();
        // Those that never registered are known by what they stored alone.
        let one_each = survey.packs.iter().map(|(pack, _)| pack);
        let mut names: BTreeMap<PointId, ObjectName> = BTreeMap::new();
        for pack in one_each.filter(|pack| owners.contains(&pack.session)) {
            names.entry(pack.session).or_insert(ObjectName::Pack(pack));
        }
        let started = Instant::now();
        let mut watch = Watch::new(u64::MAX, None);
        let mut first_beats: Option<BTreeMap<PointId, Option<u64>>> = None;
        let (mut fenced, mut pause) = (BTreeSet::new(), PAUSE_MIN);
        loop {
            let sessions = state::sessions(self.reader, names.values().copied()).await?;
            let beats = beats(&sessions);
            let first_beats = first_beats.get_or_insert_with(|| beats.clone());
            let seen = watch.look(&sessions, started.elapsed());
            let below: BTreeSet<_> = sessions
                .unresolved()
                .filter(|(_, standing)| standing.is_below(generation))
                .map(|(session, _)| session)
                .collect();
            let has_not_moved = |session: &PointId| first_beats.get(session) == beats.get(session);
            let mut waiting = seen.waiting;
            waiting.retain(|(session, _)| {
                below.contains(session) || owners.contains(session) && has_not_moved(session)
            });
            if waiting.is_empty() {
                return Ok(fenced);
            }
            let stalled = waiting.iter().filter(|(_, still)| *still >= self.stalled_after);
            let stalled: Vec<_> = stalled.map(|(session, _)| *session).collect();
            for session in &stalled {
                if publish::fence(self.maintainer.store(), self.reader, *session, generation)
                    .await?
                {
                    fenced.insert(*session);
                }
            }
            if stalled.is_empty() {
                self.progress.enter(Phase::Waiting(named(self.reader, waiting).await?));
                sleep(pause.min(self.stalled_after / 4)).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

/// These sessions, with what they say of themselves.
pub(super) async fn named(
    reader: &Reader,
    waiting: Vec<(PointId, Duration)>,
) -> Result<Vec<Waiting>, RepositoryError> {
    let sessions = waiting.iter().map(|(session, _)| *session).collect();
    let mut hosts = state::hosts(reader, &sessions).await?;
    let named = |(session, still): (PointId, Duration)| {
        let host = hosts.remove(&session);
        Waiting { session, host, still_seconds: still.as_secs() }
    };
    Ok(waiting.into_iter().map(named).collect())
}

fn beats(sessions: &Sessions) -> BTreeMap<PointId, Option<u64>> {
    sessions.unresolved().map(|(session, standing)| (session, standing.newest_beat())).collect()
}
