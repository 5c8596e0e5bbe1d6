//! What is known of a repository, row for row as the repository says it.

use std::collections::BTreeSet;

use format::ids::{PointId, RepositoryId};
use format::manifest::Manifest;
use jiff::Timestamp;
use sqlx::{SqliteConnection, SqlitePool};

use crate::annotation::{self, Numbered};
use crate::error::CatalogError;
use crate::point::{self, PointRow};
use crate::writer::Change;
use crate::{Catalog, column};

impl Catalog {
    /// The points that [`Catalog::replace_points`] has put in since a moment, until
    /// [`Catalog::end_rebuild`].
    pub async fn reread_points(
        &self,
        repository: RepositoryId,
        since: Timestamp,
    ) -> Result<BTreeSet<PointId>, CatalogError> {
        let reread = reread(&self.readers, repository, since).await;
        reread.map_err(|source| self.failed("list what was read anew", source))
    }

    /// Puts in restore points as they were read at this moment, whatever is known of them; what is said
    /// about them stays.
    pub async fn replace_points(
        &self,
        repository: RepositoryId,
        manifests: &[Manifest],
        moment: Timestamp,
    ) -> Result<(), CatalogError> {
        let rows = manifests.iter().map(|it| PointRow::of(repository, it)).collect();
        self.write("replace restore points", Change::ReplacePoints(rows, moment)).await?;
        Ok(())
    }

    /// Drops what the repository has not, puts in what is said about its points, whatever is known of that,
    /// and has the next rebuild begin at the beginning.
    pub async fn end_rebuild(
        &self,
        repository: RepositoryId,
        gone: Gone,
        annotations: Vec<Numbered>,
    ) -> Result<(), CatalogError> {
        let change = Change::EndRebuild { repository, gone, annotations };
        self.write("end a rebuild", change).await?;
        Ok(())
    }
}

/// What the catalog knows and the repository has not.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Gone {
    /// The points.
    pub points: Vec<PointId>,
    /// The points and numbers of annotations.
    pub annotations: Vec<(PointId, u64)>,
}

async fn reread(
    readers: &SqlitePool,
    repository: RepositoryId,
    since: Timestamp,
) -> sqlx::Result<BTreeSet<PointId>> {
    sqlx::query("SELECT point FROM reread WHERE repository = ? AND moment >= ?")
        .bind(repository.to_string())
        .bind(column::time(since))
        .fetch_all(readers)
        .await?
        .iter()
        .map(|row| column::parsed(row, "point"))
        .collect()
}

/// Puts points in, also where they are known; answers how many.
pub(crate) async fn replace(
    connection: &mut SqliteConnection,
    points: &[PointRow],
    moment: Timestamp,
) -> sqlx::Result<u64> {
    for row in points {
        point::replace(&mut *connection, row).await?;
        sqlx::query(
            "INSERT INTO reread (repository, point, moment) VALUES (?, ?, ?)
             ON CONFLICT DO UPDATE SET moment = excluded.moment",
        )
        .bind(row.repository.to_string())
        .bind(row.point.to_string())
        .bind(column::time(moment))
        .execute(&mut *connection)
        .await?;
    }
    // A `usize` is never wider than 64 bits.
    Ok(points.len() as u64)
}

/// Drops what a repository has not, and puts annotations in, also where they are known; answers how many
/// points went.
pub(crate) async fn end(
    connection: &mut SqliteConnection,
    repository: RepositoryId,
    gone: &Gone,
    annotations: &[Numbered],
) -> sqlx::Result<u64> {
    let dropped = point::forget(&mut *connection, repository, &gone.points).await?;
    let known = annotations.iter().map(|(name, _)| name);
    for name in gone.annotations.iter().chain(known) {
        annotation::forget(&mut *connection, repository, *name).await?;
    }
    annotation::insert(&mut *connection, repository, annotations).await?;
    sqlx::query("DELETE FROM reread WHERE repository = ?")
        .bind(repository.to_string())
        .execute(connection)
        .await?;
    Ok(dropped)
}
