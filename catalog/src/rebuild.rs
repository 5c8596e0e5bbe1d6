//! Reading everything there is, and dropping what is read anew.

use format::ids::RepositoryId;
use sqlx::{SqliteConnection, SqlitePool};

use crate::error::CatalogError;
use crate::filter::PointFilter;
use crate::writer::Change;
use crate::{Catalog, application, column, event, job, pin, point, run, seen};

impl Catalog {
    /// Drops the points of a repository and what is said about them, because they are read anew. Where
    /// that was begun before and not [ended](Catalog::end_rebuild), what was read since then stays.
    pub async fn begin_rebuild(&self, repository: RepositoryId) -> Result<(), CatalogError> {
        self.write("drop what is read anew", Change::BeginRebuild(repository)).await?;
        Ok(())
    }

    /// Everything of a repository was read anew.
    pub async fn end_rebuild(&self, repository: RepositoryId) -> Result<(), CatalogError> {
        self.write("end a rebuild", Change::EndRebuild(repository)).await?;
        Ok(())
    }

    /// Reads every row and every index.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`] when something cannot be read, or is nothing that this program writes.
    pub async fn read_through(&self) -> Result<(), CatalogError> {
        let read = read_all(&self.readers).await;
        let verdict = read.map_err(|source| self.failed("read itself", source))?;
        if verdict == "ok" {
            return Ok(());
        }
        Err(CatalogError::Damaged { path: self.path.clone(), source: verdict.into() })
    }
}

async fn read_all(readers: &SqlitePool) -> sqlx::Result<String> {
    let verdict = sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(readers).await?;
    point::list(readers, &PointFilter::default()).await?;
    application::list(readers).await?;
    run::latest(readers, u32::MAX).await?;
    event::latest(readers, u32::MAX).await?;
    job::list(readers).await?;
    for repository in repositories(readers).await? {
        seen::list(readers, repository).await?;
        seen::readings(readers, repository).await?;
        pin::list(readers, repository).await?;
    }
    Ok(verdict)
}

async fn repositories(readers: &SqlitePool) -> sqlx::Result<Vec<RepositoryId>> {
    sqlx::query(
        "SELECT repository FROM seen UNION SELECT repository FROM readings
         UNION SELECT repository FROM pins UNION SELECT repository FROM rebuilding",
    )
    .fetch_all(readers)
    .await?
    .iter()
    .map(|row| column::parsed(row, "repository"))
    .collect()
}

/// Drops the points of a repository, unless they are being read anew already; answers how many.
pub(crate) async fn begin(
    connection: &mut SqliteConnection,
    repository: RepositoryId,
) -> sqlx::Result<u64> {
    let begun =
        sqlx::query("INSERT INTO rebuilding (repository) VALUES (?) ON CONFLICT DO NOTHING")
            .bind(repository.to_string())
            .execute(&mut *connection)
            .await?;
    if begun.rows_affected() == 0 {
        return Ok(0);
    }
    let dropped = sqlx::query("DELETE FROM points WHERE repository = ?")
        .bind(repository.to_string())
        .execute(connection)
        .await?;
    Ok(dropped.rows_affected())
}

/// The points of a repository were read anew.
pub(crate) async fn end(
    connection: &mut SqliteConnection,
    repository: RepositoryId,
) -> sqlx::Result<u64> {
    let ended = sqlx::query("DELETE FROM rebuilding WHERE repository = ?")
        .bind(repository.to_string())
        .execute(connection)
        .await?;
    Ok(ended.rows_affected())
}
