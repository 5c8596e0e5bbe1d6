//! Applications: those that were seen running, and those that have restore points.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

use crate::column;

/// One application.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ApplicationRow {
    /// Its name on the platform.
    pub name: String,
    /// What runs it, such as `docker`.
    pub platform: String,
    /// When it was last seen on this host; `None` when only its restore points are known.
    pub seen: Option<Timestamp>,
    /// When its newest restore point was taken.
    pub newest: Option<Timestamp>,
}

/// Remembers when applications were last seen, by their names and what runs them; answers how many.
pub(crate) async fn record(
    connection: &mut SqliteConnection,
    applications: &[(String, String)],
    seen: Timestamp,
) -> sqlx::Result<u64> {
    for (name, platform) in applications {
        sqlx::query(
            "INSERT INTO applications (name, platform, seen) VALUES (?, ?, ?)
             ON CONFLICT DO UPDATE SET seen = max(seen, excluded.seen)",
        )
        .bind(name)
        .bind(platform)
        .bind(column::time(seen))
        .execute(&mut *connection)
        .await?;
    }
    // A `usize` is never wider than 64 bits.
    Ok(applications.len() as u64)
}

/// Every application, in the order of their names.
pub(crate) async fn list(readers: &SqlitePool) -> sqlx::Result<Vec<ApplicationRow>> {
    let rows = sqlx::query(
        "SELECT name, platform, max(seen) AS seen, max(newest) AS newest FROM (
             SELECT name, platform, seen, NULL AS newest FROM applications
             UNION ALL
             SELECT application, platform, NULL, max(taken) FROM points
             GROUP BY application, platform
         )
         GROUP BY name, platform ORDER BY name, platform",
    )
    .fetch_all(readers)
    .await?;
    rows.iter().map(read).collect()
}

/// What one row says.
pub(crate) fn read(row: &SqliteRow) -> sqlx::Result<ApplicationRow> {
    Ok(ApplicationRow {
        name: row.try_get("name")?,
        platform: row.try_get("platform")?,
        seen: column::parsed_option(row, "seen")?,
        newest: column::parsed_option(row, "newest")?,
    })
}
