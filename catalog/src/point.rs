//! Restore points: what people ask about them without opening the repository.

use std::collections::{BTreeMap, BTreeSet};

use format::annotation::Summary;
use format::ids::{PointId, RepositoryId};
use format::manifest::{Level, Manifest, Occasion, Statistics};
use format::raw::RawPath;
use jiff::Timestamp;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

use crate::filter::PointFilter;
use crate::{annotation, column, occasion};

/// One restore point, without anything secret.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct PointRow {
    /// Where it is stored.
    pub repository: RepositoryId,
    /// The point's id.
    pub point: PointId,
    /// The application, or the name given to a set of paths.
    pub application: String,
    /// What ran it, such as `docker`.
    pub platform: String,
    /// The machine it was taken on.
    pub host: String,
    /// When: the instant of the freeze, or the start of the reading.
    pub taken: Timestamp,
    /// What is proven about the agreement of the volumes.
    pub level: Level,
    /// The volumes, in the order of the manifest.
    pub volumes: Vec<VolumeRow>,
    /// What was counted while writing it.
    pub statistics: Statistics,
    /// How many files could not be saved.
    pub omissions: u64,
    /// What it was made for; absent where a person asked for it.
    pub occasion: Option<Occasion>,
    /// What was said about it afterwards.
    #[serde(flatten)]
    pub annotations: Summary,
}

/// One volume of a restore point.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct VolumeRow {
    /// Its name on the platform, or its path where it has none.
    pub name: RawPath,
    /// How it was snapshotted.
    pub driver: String,
    /// How many files of all kinds it has.
    pub files: u64,
    /// The sum of the sizes of its regular files.
    pub bytes: u64,
}

impl PointRow {
    /// What the catalog keeps of a manifest.
    pub fn of(repository: RepositoryId, manifest: &Manifest) -> Self {
        let volumes = manifest.volumes.iter().map(|volume| VolumeRow {
            name: volume.name.clone(),
            driver: volume.driver.clone(),
            files: volume.files,
            bytes: volume.bytes,
        });
        Self {
            repository,
            point: manifest.point,
            application: manifest.application.clone(),
            platform: manifest.platform.clone(),
            host: manifest.host.clone(),
            taken: manifest.taken,
            level: manifest.level,
            volumes: volumes.collect(),
            statistics: manifest.statistics,
            // A `usize` is never wider than 64 bits.
            omissions: manifest.omissions.len() as u64,
            occasion: manifest.occasion.clone(),
            annotations: Summary::default(),
        }
    }

    pub(crate) fn read(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            repository: column::parsed(row, "repository")?,
            point: column::parsed(row, "point")?,
            application: row.try_get("application")?,
            platform: row.try_get("platform")?,
            host: row.try_get("host")?,
            taken: column::parsed(row, "taken")?,
            level: column::level(row)?,
            volumes: Vec::new(),
            statistics: Statistics {
                files: column::unsigned(row, "files")?,
                scanned: column::unsigned(row, "scanned")?,
                read: column::unsigned(row, "read")?,
                changed: column::unsigned(row, "changed")?,
                stored: column::unsigned(row, "stored")?,
                sent: column::unsigned(row, "sent")?,
            },
            omissions: column::unsigned(row, "omissions")?,
            occasion: occasion::read(row)?,
            annotations: Summary::default(),
        })
    }
}

impl VolumeRow {
    pub(crate) fn read(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            name: column::parsed(row, "name")?,
            driver: row.try_get("driver")?,
            files: column::unsigned(row, "files")?,
            bytes: column::unsigned(row, "bytes")?,
        })
    }
}

/// Stores the points that are not there; answers how many were stored.
pub(crate) async fn insert_all(
    connection: &mut SqliteConnection,
    points: &[PointRow],
) -> sqlx::Result<u64> {
    let mut inserted = 0;
    for point in points {
        let new = insert(&mut *connection, point, "DO NOTHING").await?;
        if new > 0 {
            insert_volumes(&mut *connection, point).await?;
        }
        inserted += new;
    }
    Ok(inserted)
}

/// Stores a point, also where it is there; what is said about it stays.
pub(crate) async fn replace(
    connection: &mut SqliteConnection,
    point: &PointRow,
) -> sqlx::Result<()> {
    // Not `REPLACE`, which would delete it first, and what is said about it with it.
    let update = "DO UPDATE SET application = excluded.application, platform = excluded.platform,
         host = excluded.host, taken = excluded.taken, level = excluded.level,
         files = excluded.files, scanned = excluded.scanned, read = excluded.read,
         changed = excluded.changed, stored = excluded.stored, sent = excluded.sent,
         omissions = excluded.omissions, policy = excluded.policy, due = excluded.due,
         schedules = excluded.schedules";
    insert(&mut *connection, point, update).await?;
    sqlx::query("DELETE FROM volumes WHERE repository = ? AND point = ?")
        .bind(point.repository.to_string())
        .bind(point.point.to_string())
        .execute(&mut *connection)
        .await?;
    insert_volumes(connection, point).await
}

// What happens to one that is there is said in SQL; answers how many rows were written.
async fn insert(
    connection: &mut SqliteConnection,
    point: &PointRow,
    on_conflict: &'static str,
) -> sqlx::Result<u64> {
    let sql = format!(
        "INSERT INTO points (repository, point, application, platform, host, taken, level, files,
             scanned, read, changed, stored, sent, omissions, policy, due, schedules)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT {on_conflict}"
    );
    let statistics = &point.statistics;
    let (policy, due, schedules) = occasion::columns(point.occasion.as_ref())?;
    // Of two texts that stand above.
    let inserted = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(point.repository.to_string())
        .bind(point.point.to_string())
        .bind(&point.application)
        .bind(&point.platform)
        .bind(&point.host)
        .bind(column::time(point.taken))
        .bind(point.level.to_string())
        .bind(statistics.files.cast_signed())
        .bind(statistics.scanned.cast_signed())
        .bind(statistics.read.cast_signed())
        .bind(statistics.changed.cast_signed())
        .bind(statistics.stored.cast_signed())
        .bind(statistics.sent.cast_signed())
        .bind(point.omissions.cast_signed())
        .bind(policy)
        .bind(due)
        .bind(schedules)
        .execute(connection)
        .await?;
    Ok(inserted.rows_affected())
}

async fn insert_volumes(connection: &mut SqliteConnection, point: &PointRow) -> sqlx::Result<()> {
    for (position, volume) in (0_i64..).zip(&point.volumes) {
        sqlx::query(
            "INSERT INTO volumes (repository, point, position, name, driver, files, bytes)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(point.repository.to_string())
        .bind(point.point.to_string())
        .bind(position)
        .bind(volume.name.to_string())
        .bind(&volume.driver)
        .bind(volume.files.cast_signed())
        .bind(volume.bytes.cast_signed())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Removes points with their volumes; answers how many were there.
pub(crate) async fn forget(
    connection: &mut SqliteConnection,
    repository: RepositoryId,
    points: &[PointId],
) -> sqlx::Result<u64> {
    let mut forgotten = 0;
    for point in points {
        forgotten += sqlx::query("DELETE FROM points WHERE repository = ? AND point = ?")
            .bind(repository.to_string())
            .bind(point.to_string())
            .execute(&mut *connection)
            .await?
            .rows_affected();
    }
    Ok(forgotten)
}

/// The ids of all points of a repository.
pub(crate) async fn known(
    readers: &SqlitePool,
    repository: RepositoryId,
) -> sqlx::Result<BTreeSet<PointId>> {
    sqlx::query("SELECT point FROM points WHERE repository = ?")
        .bind(repository.to_string())
        .fetch_all(readers)
        .await?
        .iter()
        .map(|row| column::parsed(row, "point"))
        .collect()
}

/// The points that pass the filter, each with its volumes, the newest first.
pub(crate) async fn list(
    readers: &SqlitePool,
    filter: &PointFilter,
) -> sqlx::Result<Vec<PointRow>> {
    // One transaction, so that all queries see the same points.
    let mut transaction = readers.begin().await?;
    let mut volumes = volumes(&mut transaction, filter).await?;
    let mut annotations = annotation::summaries(&mut transaction, filter).await?;
    let rows = sqlx::query(
        "SELECT * FROM points
         WHERE (?1 IS NULL OR repository = ?1) AND (?2 IS NULL OR application = ?2)
         ORDER BY taken DESC, point DESC, repository",
    )
    .bind(filter.repository.map(|id| id.to_string()))
    .bind(&filter.application)
    .fetch_all(&mut *transaction)
    .await?;
    transaction.rollback().await?;
    rows.iter()
        .map(|row| {
            let mut point = PointRow::read(row)?;
            let id = (point.repository, point.point);
            point.volumes = volumes.remove(&id).unwrap_or_default();
            point.annotations = annotations.remove(&id).unwrap_or_default();
            Ok(point)
        })
        .collect()
}

async fn volumes(
    connection: &mut SqliteConnection,
    filter: &PointFilter,
) -> sqlx::Result<BTreeMap<(RepositoryId, PointId), Vec<VolumeRow>>> {
    let rows = sqlx::query(
        "SELECT volumes.* FROM volumes JOIN points USING (repository, point)
         WHERE (?1 IS NULL OR repository = ?1) AND (?2 IS NULL OR application = ?2)
         ORDER BY repository, point, position",
    )
    .bind(filter.repository.map(|id| id.to_string()))
    .bind(&filter.application)
    .fetch_all(connection)
    .await?;
    let mut volumes: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in &rows {
        let point = (column::parsed(row, "repository")?, column::parsed(row, "point")?);
        volumes.entry(point).or_default().push(VolumeRow::read(row)?);
    }
    Ok(volumes)
}
