//! Bringing the catalog up to what the repository says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use catalog::{Gone, Seen};
use format::ids::PointId;
use format::manifest::Manifest;
use format::names::{Folder, ObjectName};
use futures::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use repository::annotate;
use repository::check::Finding;
use repository::error::RepositoryError;
use repository::reader::FETCHES;

use crate::engine::Engine;
use crate::error::ServiceError;
use crate::evidence;

/// How far the catalog is with points that it does not know yet.
#[derive(Debug, Default)]
pub struct Learning {
    points: AtomicU64,
    read: AtomicU64,
    unreadable: AtomicU64,
}

impl Learning {
    /// How many points are read in all.
    pub fn points(&self) -> u64 {
        self.points.load(Ordering::Relaxed)
    }

    /// How many were read.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// How many of these are damaged.
    pub fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }
}

impl Engine {
    /// Adds what others wrote and drops what they forgot; what is not as this host has seen it stays in
    /// mind, and a warning says so.
    pub(crate) async fn synchronise(&mut self, learning: &Learning) -> Result<(), ServiceError> {
        let repository = self.reader.id();
        let known = self.catalog.known_points(repository).await?;
        let mut seen = self.catalog.seen(repository).await?;
        let found = self.reader.listed(&LOOKED_FOR).await?;
        let found: BTreeMap<_, _> = found.into_iter().map(sight).collect();
        let is_forgotten = |point| found.contains_key(&ObjectName::Forgotten(point));
        let present = found.keys().filter_map(|name| match name {
            ObjectName::Outcome(point) => Some(*point),
            _ => None,
        });
        let is_news = |point: &PointId| !known.contains(point) && !is_forgotten(*point);
        let news = present.filter(is_news).collect();
        self.learn_points(news, Learned::Added, learning).await?;
        self.learn_annotations(&found, is_forgotten).await?;
        // Whatever else is known of a point, it was there.
        let gone = known.iter().map(|point| ObjectName::Outcome(*point));
        for name in gone.filter(|name| !found.contains_key(name)) {
            seen.entry(name).or_insert(UNREAD);
        }
        let compared = evidence::compare(&seen, &found, is_looked_for);
        let forgotten: Vec<_> = known.into_iter().filter(|point| is_forgotten(*point)).collect();
        self.catalog.forget_points(repository, &forgotten).await?;
        self.catalog.remember_seen(repository, compared.remember).await?;
        self.catalog.forget_seen(repository, compared.forget).await?;
        self.missing = evidence::missing_points(&compared.findings);
        self.evidence = compared.findings;
        warn_of(&self.evidence);
        Ok(())
    }

    /// Reads every point and annotation anew, whatever is known of them. What is known stays until it is
    /// replaced, so that nobody meets a point without its annotations. Goes on where one was cut off that
    /// began within a day.
    pub(crate) async fn reread(&mut self, learning: &Learning) -> Result<(), ServiceError> {
        let (repository, now) = (self.reader.id(), self.machine.clock.now());
        let since = now.checked_sub(REREAD_WITHIN).unwrap_or(now);
        let done = self.catalog.reread_points(repository, since).await?;
        // Known before the look, so that nothing is dropped that is made meanwhile.
        let points = self.catalog.known_points(repository).await?;
        let annotations = self.catalog.known_annotations(repository).await?;
        let found = self.reader.listed(&LOOKED_FOR).await?;
        let is_there = |name| found.contains_key(&name);
        let left = found.keys().filter_map(|name| match name {
            ObjectName::Outcome(point) => Some(*point),
            _ => None,
        });
        let left = left.filter(|it| !done.contains(it) && !is_there(ObjectName::Forgotten(*it)));
        self.learn_points(left.collect(), Learned::Replaced(now), learning).await?;
        let said = found.keys().filter_map(|name| match name {
            ObjectName::Annotation(point, number) => Some((*point, *number)),
            _ => None,
        });
        let said = annotate::read(&self.reader, said.collect()).await?;
        let gone = Gone {
            points: points.into_iter().filter(|it| !is_there(ObjectName::Outcome(*it))).collect(),
            annotations: annotations
                .into_iter()
                .filter(|(point, number)| !is_there(ObjectName::Annotation(*point, *number)))
                .collect(),
        };
        self.catalog.end_rebuild(repository, gone, said).await?;
        self.synchronise(&Learning::default()).await
    }

    // Many at once, because a store far away answers late; and written down by the hundred, so that one
    // that is cut off goes on from there.
    async fn learn_points(
        &self,
        news: Vec<PointId>,
        learned: Learned,
        learning: &Learning,
    ) -> Result<(), ServiceError> {
        learning.points.fetch_add(news.len() as u64, Ordering::Relaxed);
        let read = async |point| (point, self.reader.point(point).await);
        let mut batches =
            std::pin::pin!(stream::iter(news).map(read).buffer_unordered(FETCHES).chunks(BATCH));
        while let Some(batch) = batches.next().await {
            let count = batch.len() as u64;
            let mut manifests = Vec::with_capacity(batch.len());
            for (point, read) in batch {
                match read {
                    Err(error @ RepositoryError::Damaged { .. }) => {
                        // One bad record must not hide all the good ones; `check` reports it.
                        learning.unreadable.fetch_add(1, Ordering::Relaxed);
                        tracing::warn!(%point, error = &error as &dyn std::error::Error, "unreadable restore point");
                    }
                    read => manifests.extend(present(read)?),
                }
            }
            let repository = self.reader.id();
            match learned {
                Learned::Added => self.catalog.insert_points(repository, &manifests).await?,
                Learned::Replaced(now) => {
                    self.catalog.replace_points(repository, &manifests, now).await?;
                }
            }
            learning.read.fetch_add(count, Ordering::Relaxed);
        }
        Ok(())
    }

    // Adds what was said about points since the last time.
    async fn learn_annotations(
        &self,
        found: &BTreeMap<ObjectName, Seen>,
        is_forgotten: impl Fn(PointId) -> bool,
    ) -> Result<(), ServiceError> {
        let repository = self.reader.id();
        let known = self.catalog.known_annotations(repository).await?;
        let present = found.keys().filter_map(|name| match name {
            ObjectName::Annotation(point, number) => Some((*point, *number)),
            _ => None,
        });
        let is_news = |name: &(PointId, u64)| !known.contains(name) && !is_forgotten(name.0);
        let news = present.filter(is_news).collect();
        let news = annotate::read(&self.reader, news).await?;
        Ok(self.catalog.insert_annotations(repository, news).await?)
    }
}

/// What becomes of points that were read.
#[derive(Clone, Copy, Debug)]
enum Learned {
    /// They are added to what is known.
    Added,
    /// They replace what is known, at this moment.
    Replaced(Timestamp),
}

// Nothing for a session without a point, or one that was forgotten meanwhile.
fn present(
    read: Result<Option<Manifest>, RepositoryError>,
) -> Result<Option<Manifest>, RepositoryError> {
    match read {
        Err(RepositoryError::Forgotten(_) | RepositoryError::UnknownPoint(_)) => Ok(None),
        read => read,
    }
}

fn sight((name, size): (ObjectName, u64)) -> (ObjectName, Seen) {
    (name, Seen { size, digest: None })
}

fn is_looked_for(name: ObjectName) -> bool {
    name.folder().is_some_and(|folder| LOOKED_FOR.contains(&folder))
}

fn warn_of(findings: &[Finding]) {
    for finding in findings.iter().take(WARNINGS_MAX) {
        if let Finding::RolledBack { object, reason } = finding {
            tracing::warn!(%object, "the repository went back: {reason}");
        }
    }
    let more = findings.len().saturating_sub(WARNINGS_MAX);
    if more > 0 {
        tracing::warn!(
            more,
            "more of the repository is not as it was; `stillpoint check` names all"
        );
    }
}

/// A point of which a catalog of an earlier version knows, and no more than that.
const UNREAD: Seen = Seen { size: 0, digest: None };
/// What every command looks at. Outcomes first: who forgets a point says so before a prune removes
/// it, and annotations go before the outcome.
const LOOKED_FOR: [Folder; 4] =
    [Folder::Annotations, Folder::Outcomes, Folder::Forgotten, Folder::Generations];
/// How many points are written down at once.
const BATCH: usize = 100;
/// How many warnings a command begins with at the most.
const WARNINGS_MAX: usize = 5;
/// For how long a rebuild that was cut off is gone on with.
const REREAD_WITHIN: SignedDuration = SignedDuration::from_hours(24);
