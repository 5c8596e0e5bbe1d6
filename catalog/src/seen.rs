//! What was seen of repositories: objects that must not change or vanish, and when packs were read.

use std::collections::BTreeMap;

use format::ids::{Digest, RepositoryId};
use format::names::ObjectName;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, SqlitePool};

use crate::column;

/// An object as it was seen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seen {
    /// Its length in bytes.
    pub size: u64,
    /// The digest of its bytes; absent while it was only listed.
    pub digest: Option<Digest>,
}

/// Remembers objects. Of one that is known already only a digest is added.
pub(crate) async fn remember(
    connection: &mut SqliteConnection,
    repository: RepositoryId,
    objects: &[(ObjectName, Seen)],
) -> sqlx::Result<u64> {
    let mut changed = 0;
    for (object, seen) in objects {
        changed += sqlx::query(
            "INSERT INTO seen (repository, object, size, digest) VALUES (?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET digest = coalesce(digest, excluded.digest)",
        )
        .bind(repository.to_string())
        .bind(object.to_string())
        .bind(seen.size.cast_signed())
        .bind(seen.digest.map(|digest| digest.to_string()))
        .execute(&mut *connection)
        .await?
        .rows_affected();
    }
    Ok(changed)
}

/// Drops what is known of these objects.
pub(crate) async fn forget(
    connection: &mut SqliteConnection,
    repository: RepositoryId,
    objects: &[ObjectName],
) -> sqlx::Result<u64> {
    let mut forgotten = 0;
    for object in objects {
        forgotten += sqlx::query("DELETE FROM seen WHERE repository = ? AND object = ?")
            .bind(repository.to_string())
            .bind(object.to_string())
            .execute(&mut *connection)
            .await?
            .rows_affected();
    }
    Ok(forgotten)
}

/// Everything that is remembered of a repository.
pub(crate) async fn list(
    readers: &SqlitePool,
    repository: RepositoryId,
) -> sqlx::Result<BTreeMap<ObjectName, Seen>> {
    sqlx::query("SELECT object, size, digest FROM seen WHERE repository = ?")
        .bind(repository.to_string())
        .fetch_all(readers)
        .await?
        .iter()
        .map(read)
        .collect()
}

/// What one row says.
pub(crate) fn read(row: &SqliteRow) -> sqlx::Result<(ObjectName, Seen)> {
    let size = column::unsigned(row, "size")?;
    let digest = column::parsed_option(row, "digest")?;
    Ok((column::parsed(row, "object")?, Seen { size, digest }))
}

/// Remembers that these packs were read, and drops what is known of those in `gone`.
pub(crate) async fn record_readings(
    connection: &mut SqliteConnection,
    repository: RepositoryId,
    (packs, read): (&[ObjectName], Timestamp),
    gone: &[ObjectName],
) -> sqlx::Result<u64> {
    for pack in packs {
        sqlx::query(
            "INSERT INTO readings (repository, pack, read) VALUES (?, ?, ?)
             ON CONFLICT DO UPDATE SET read = max(read, excluded.read)",
        )
        .bind(repository.to_string())
        .bind(pack.to_string())
        .bind(column::time(read))
        .execute(&mut *connection)
        .await?;
    }
    for pack in gone {
        sqlx::query("DELETE FROM readings WHERE repository = ? AND pack = ?")
            .bind(repository.to_string())
            .bind(pack.to_string())
            .execute(&mut *connection)
            .await?;
    }
    // A `usize` is never wider than 64 bits.
    Ok(packs.len() as u64)
}

/// When the packs of a repository were read, those that were.
pub(crate) async fn readings(
    readers: &SqlitePool,
    repository: RepositoryId,
) -> sqlx::Result<BTreeMap<ObjectName, Timestamp>> {
    sqlx::query("SELECT pack, read FROM readings WHERE repository = ?")
        .bind(repository.to_string())
        .fetch_all(readers)
        .await?
        .iter()
        .map(read_reading)
        .collect()
}

/// What one row of the readings says.
pub(crate) fn read_reading(row: &SqliteRow) -> sqlx::Result<(ObjectName, Timestamp)> {
    Ok((column::parsed(row, "pack")?, column::parsed(row, "read")?))
}
