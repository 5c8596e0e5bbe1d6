//! What is said about restore points.

use std::collections::{BTreeMap, BTreeSet};

use format::annotation::{Annotation, Summary};
use format::ids::{PointId, RepositoryId};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

use crate::column;
use crate::filter::PointFilter;

/// An annotation with the point that it is about, and its number.
pub type Numbered = ((PointId, u64), Annotation);

/// Remembers annotations. One that is known stays as it is; one of a point that is not known is
/// passed over.
pub(crate) async fn insert(
    connection: &mut SqliteConnection,
    repository: RepositoryId,
    annotations: &[Numbered],
) -> sqlx::Result<u64> {
    let mut inserted = 0;
    for ((point, number), annotation) in annotations {
        let note = column::json(&annotation.note)?;
        inserted += sqlx::query(
            "INSERT INTO annotations (repository, point, number, who, said, note)
             SELECT repository, point, ?, ?, ?, ? FROM points WHERE repository = ? AND point = ?
             ON CONFLICT DO NOTHING",
        )
        .bind(number.cast_signed())
        .bind(&annotation.who)
        .bind(column::time(annotation.when))
        .bind(note)
        .bind(repository.to_string())
        .bind(point.to_string())
        .execute(&mut *connection)
        .await?
        .rows_affected();
    }
    Ok(inserted)
}

/// Drops an annotation.
pub(crate) async fn forget(
    connection: &mut SqliteConnection,
    repository: RepositoryId,
    (point, number): (PointId, u64),
) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM annotations WHERE repository = ? AND point = ? AND number = ?")
        .bind(repository.to_string())
        .bind(point.to_string())
        .bind(number.cast_signed())
        .execute(connection)
        .await?;
    Ok(())
}

/// The names of all annotations of a repository.
pub(crate) async fn known(
    readers: &SqlitePool,
    repository: RepositoryId,
) -> sqlx::Result<BTreeSet<(PointId, u64)>> {
    sqlx::query("SELECT point, number FROM annotations WHERE repository = ?")
        .bind(repository.to_string())
        .fetch_all(readers)
        .await?
        .iter()
        .map(|row| Ok((column::parsed(row, "point")?, column::unsigned(row, "number")?)))
        .collect()
}

/// What the annotations of the points that pass the filter come to.
pub(crate) async fn summaries(
    connection: &mut SqliteConnection,
    filter: &PointFilter,
) -> sqlx::Result<BTreeMap<(RepositoryId, PointId), Summary>> {
    let rows = sqlx::query(
        "SELECT annotations.* FROM annotations JOIN points USING (repository, point)
         WHERE (?1 IS NULL OR repository = ?1) AND (?2 IS NULL OR application = ?2)
         ORDER BY repository, point, number",
    )
    .bind(filter.repository.map(|id| id.to_string()))
    .bind(&filter.application)
    .fetch_all(connection)
    .await?;
    let mut summaries: BTreeMap<_, Summary> = BTreeMap::new();
    for row in &rows {
        let point = (column::parsed(row, "repository")?, column::parsed(row, "point")?);
        summaries.entry(point).or_default().add(&read(row)?);
    }
    Ok(summaries)
}

/// What one row says.
pub(crate) fn read(row: &SqliteRow) -> sqlx::Result<Annotation> {
    let note = serde_json::from_str(row.try_get("note")?)
        .map_err(|error| column::unreadable("note", error))?;
    let (who, when) = (row.try_get("who")?, column::parsed(row, "said")?);
    Ok(Annotation { who, when, note, previous: None })
}
