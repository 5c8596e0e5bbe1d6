//! Long lists, a piece at a time, the newest first.
//!
//! A piece begins behind the last of the one before it, so that what is new meanwhile moves nothing.

mod points;

use format::ids::{PointId, RepositoryId};
use jiff::Timestamp;
use sqlx::{QueryBuilder, Sqlite, SqlitePool};

use crate::error::CatalogError;
use crate::event::{Event, EventId};
use crate::point::PointRow;
use crate::run::{RunId, RunRow};
use crate::task::Task;
use crate::{Catalog, column};

/// Which runs or events are asked for; the default is all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HistoryFilter {
    /// Only those of these applications.
    pub applications: Option<Vec<String>>,
    /// Only runs that do this.
    pub task: Option<Task>,
}

impl HistoryFilter {
    /// Whether something of this application is asked for.
    pub fn admits(&self, application: Option<&str>) -> bool {
        let Some(wanted) = &self.applications else { return true };
        application.is_some_and(|application| wanted.iter().any(|name| name == application))
    }
}

/// Which restore points are asked for; the default is all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PointPageFilter {
    /// Only those in this repository.
    pub repository: Option<RepositoryId>,
    /// Only those of these applications.
    pub applications: Option<Vec<String>>,
    /// Only those that were taken at this moment or later,
    pub since: Option<Timestamp>,
    /// and before this one.
    pub until: Option<Timestamp>,
}

/// The place of a point in a list.
pub type PointPlace = (Timestamp, PointId, RepositoryId);

impl Catalog {
    /// One run.
    pub async fn run(&self, run: RunId) -> Result<Option<RunRow>, CatalogError> {
        let row = sqlx::query("SELECT * FROM runs WHERE id = ?")
            .bind(run.number())
            .fetch_optional(&self.readers)
            .await;
        let run = row.and_then(|row| row.as_ref().map(RunRow::read).transpose());
        run.map_err(|source| self.failed("look at a run", source))
    }

    /// So many runs, the newest first, that are older than one.
    pub async fn run_page(
        &self,
        filter: &HistoryFilter,
        before: Option<RunId>,
        limit: u32,
    ) -> Result<Vec<RunRow>, CatalogError> {
        let runs = runs(&self.readers, filter, before, limit).await;
        runs.map_err(|source| self.failed("list runs", source))
    }

    /// So many events, the newest first, that are older than one.
    pub async fn event_page(
        &self,
        filter: &HistoryFilter,
        before: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<(EventId, Event)>, CatalogError> {
        let events = events_before(&self.readers, filter, before, limit).await;
        events.map_err(|source| self.failed("list events", source))
    }

    /// The events that are newer than one, the oldest first, so many at the most.
    pub async fn events_after(
        &self,
        filter: &HistoryFilter,
        after: EventId,
        limit: u32,
    ) -> Result<Vec<(EventId, Event)>, CatalogError> {
        let events = events_after(&self.readers, filter, after, limit).await;
        events.map_err(|source| self.failed("list events", source))
    }

    /// So many restore points, the newest first, that come after a place in the list.
    pub async fn point_page(
        &self,
        filter: &PointPageFilter,
        after: Option<PointPlace>,
        limit: u32,
    ) -> Result<Vec<PointRow>, CatalogError> {
        let points = points::list(&self.readers, filter, after, limit).await;
        points.map_err(|source| self.failed("list restore points", source))
    }

    /// The restore point with this id, in each repository that has it.
    pub async fn copies(&self, point: PointId) -> Result<Vec<PointRow>, CatalogError> {
        let copies = points::copies(&self.readers, point).await;
        copies.map_err(|source| self.failed("look at a restore point", source))
    }
}

async fn runs(
    readers: &SqlitePool,
    filter: &HistoryFilter,
    before: Option<RunId>,
    limit: u32,
) -> sqlx::Result<Vec<RunRow>> {
    let mut query = QueryBuilder::new("SELECT * FROM runs WHERE id < ");
    query.push_bind(before.map_or(i64::MAX, RunId::number));
    if let Some(task) = filter.task {
        query.push(" AND task = ").push_bind(task.name());
    }
    only_of(&mut query, filter)?;
    query.push(" ORDER BY id DESC LIMIT ").push_bind(limit);
    query.build().fetch_all(readers).await?.iter().map(RunRow::read).collect()
}

async fn events_before(
    readers: &SqlitePool,
    filter: &HistoryFilter,
    before: Option<EventId>,
    limit: u32,
) -> sqlx::Result<Vec<(EventId, Event)>> {
    let mut query = QueryBuilder::new("SELECT * FROM events WHERE id < ");
    query.push_bind(before.map_or(i64::MAX, EventId::number));
    only_of(&mut query, filter)?;
    query.push(" ORDER BY id DESC LIMIT ").push_bind(limit);
    query.build().fetch_all(readers).await?.iter().map(EventId::read).collect()
}

async fn events_after(
    readers: &SqlitePool,
    filter: &HistoryFilter,
    after: EventId,
    limit: u32,
) -> sqlx::Result<Vec<(EventId, Event)>> {
    let mut query = QueryBuilder::new("SELECT * FROM events WHERE id > ");
    query.push_bind(after.number());
    only_of(&mut query, filter)?;
    query.push(" ORDER BY id LIMIT ").push_bind(limit);
    query.build().fetch_all(readers).await?.iter().map(EventId::read).collect()
}

// A condition that may be none keeps SQLite from its indexes, so there is one only where it is wanted.
fn only_of(query: &mut QueryBuilder<Sqlite>, filter: &HistoryFilter) -> sqlx::Result<()> {
    if let Some(names) = names(filter.applications.as_deref())? {
        query.push(" AND application IN (SELECT value FROM json_each(").push_bind(names).push("))");
    }
    Ok(())
}

/// The list that `json_each` takes.
pub(crate) fn names(names: Option<&[String]>) -> sqlx::Result<Option<String>> {
    names.map(|names| column::json(&names)).transpose()
}
