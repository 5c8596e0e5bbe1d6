//! A piece of the list of restore points.

use std::collections::BTreeMap;

use format::annotation::Summary;
use format::ids::{PointId, RepositoryId};
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, SqlitePool};

use super::{PointPageFilter, PointPlace, names};
use crate::point::{PointRow, VolumeRow};
use crate::{annotation, column};

/// So many points that pass the filter and come after a place, each with its volumes.
pub(super) async fn list(
    readers: &SqlitePool,
    filter: &PointPageFilter,
    after: Option<PointPlace>,
    limit: u32,
) -> sqlx::Result<Vec<PointRow>> {
    // One transaction, so that all queries see the same points.
    let mut transaction = readers.begin().await?;
    let rows = sqlx::query(
        "SELECT * FROM points
         WHERE (?1 IS NULL OR repository = ?1)
             AND (?2 IS NULL OR application IN (SELECT value FROM json_each(?2)))
             AND (?3 IS NULL OR taken >= ?3) AND (?4 IS NULL OR taken < ?4)
             AND (?5 IS NULL OR (taken, point, repository) < (?5, ?6, ?7))
         ORDER BY taken DESC, point DESC, repository DESC LIMIT ?8",
    )
    .bind(filter.repository.map(|id| id.to_string()))
    .bind(names(filter.applications.as_deref())?)
    .bind(filter.since.map(column::time))
    .bind(filter.until.map(column::time))
    .bind(after.map(|(taken, _, _)| column::time(taken)))
    .bind(after.map(|(_, point, _)| point.to_string()))
    .bind(after.map(|(_, _, repository)| repository.to_string()))
    .bind(limit)
    .fetch_all(&mut *transaction)
    .await?;
    let points = complete(&mut transaction, &rows).await?;
    transaction.rollback().await?;
    Ok(points)
}

/// The point with this id, in each repository that has it.
pub(super) async fn copies(readers: &SqlitePool, point: PointId) -> sqlx::Result<Vec<PointRow>> {
    let mut transaction = readers.begin().await?;
    let rows = sqlx::query("SELECT * FROM points WHERE point = ? ORDER BY repository")
        .bind(point.to_string())
        .fetch_all(&mut *transaction)
        .await?;
    let points = complete(&mut transaction, &rows).await?;
    transaction.rollback().await?;
    Ok(points)
}

// With what lies in other tables.
async fn complete(
    connection: &mut SqliteConnection,
    rows: &[SqliteRow],
) -> sqlx::Result<Vec<PointRow>> {
    let mut points = rows.iter().map(PointRow::read).collect::<sqlx::Result<Vec<_>>>()?;
    let ids: Vec<_> = points.iter().map(|row| (row.repository, row.point)).collect();
    let ids = column::json(&ids)?;
    let mut volumes: BTreeMap<_, Vec<VolumeRow>> = BTreeMap::new();
    for row in &sqlx::query(VOLUMES).bind(&ids).fetch_all(&mut *connection).await? {
        volumes.entry(id(row)?).or_default().push(VolumeRow::read(row)?);
    }
    let mut summaries: BTreeMap<_, Summary> = BTreeMap::new();
    for row in &sqlx::query(ANNOTATIONS).bind(&ids).fetch_all(connection).await? {
        summaries.entry(id(row)?).or_default().add(&annotation::read(row)?);
    }
    for point in &mut points {
        let id = (point.repository, point.point);
        point.volumes = volumes.remove(&id).unwrap_or_default();
        point.annotations = summaries.remove(&id).unwrap_or_default();
    }
    Ok(points)
}

fn id(row: &SqliteRow) -> sqlx::Result<(RepositoryId, PointId)> {
    Ok((column::parsed(row, "repository")?, column::parsed(row, "point")?))
}

const VOLUMES: &str = "SELECT volumes.* FROM json_each(?) AS wanted CROSS JOIN volumes
     ON repository = wanted.value ->> 0 AND point = wanted.value ->> 1
     ORDER BY repository, point, position";
const ANNOTATIONS: &str = "SELECT annotations.* FROM json_each(?) AS wanted CROSS JOIN annotations
     ON repository = wanted.value ->> 0 AND point = wanted.value ->> 1
     ORDER BY repository, point, number";
