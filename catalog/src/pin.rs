//! The pins that this host has made in repositories.

use format::ids::{ObjectId, RepositoryId};
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, SqlitePool};

use crate::column;
use crate::run::Process;

/// Remembers a pin that is about to be made.
pub(crate) async fn record(
    connection: &mut SqliteConnection,
    repository: RepositoryId,
    pin: ObjectId,
    process: Process,
) -> sqlx::Result<u64> {
    let inserted =
        sqlx::query("INSERT INTO pins (repository, pin, pid, start_ticks) VALUES (?, ?, ?, ?)")
            .bind(repository.to_string())
            .bind(pin.to_string())
            .bind(process.pid)
            .bind(process.start_ticks.cast_signed())
            .execute(connection)
            .await?;
    Ok(inserted.rows_affected())
}

/// Drops a pin that was removed from the repository.
pub(crate) async fn forget(
    connection: &mut SqliteConnection,
    repository: RepositoryId,
    pin: ObjectId,
) -> sqlx::Result<u64> {
    let deleted = sqlx::query("DELETE FROM pins WHERE repository = ? AND pin = ?")
        .bind(repository.to_string())
        .bind(pin.to_string())
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected())
}

/// The pins that are remembered, each with the process that made it.
pub(crate) async fn list(
    readers: &SqlitePool,
    repository: RepositoryId,
) -> sqlx::Result<Vec<(ObjectId, Process)>> {
    sqlx::query("SELECT pin, pid, start_ticks FROM pins WHERE repository = ? ORDER BY pin")
        .bind(repository.to_string())
        .fetch_all(readers)
        .await?
        .iter()
        .map(read)
        .collect()
}

/// What one row says.
pub(crate) fn read(row: &SqliteRow) -> sqlx::Result<(ObjectId, Process)> {
    Ok((column::parsed(row, "pin")?, Process::read(row)?))
}
