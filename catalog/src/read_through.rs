//! Reading everything there is, to find what is damaged.

use futures::TryStreamExt as _;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;

use crate::error::CatalogError;
use crate::{
    Catalog, annotation, application, audit, event, job, notice, pin, point, request, run, seen,
    token,
};

impl Catalog {
    /// Reads every row and every index. A row at a time: there may be millions.
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
    for (sql, read) in TABLES {
        let mut rows = sqlx::query(sql).fetch(readers);
        while let Some(row) = rows.try_next().await? {
            read(&row)?;
        }
    }
    Ok(verdict)
}

type Read = fn(&SqliteRow) -> sqlx::Result<()>;

const TABLES: [(&str, Read); 14] = [
    ("SELECT * FROM points", |row| point::PointRow::read(row).map(drop)),
    ("SELECT * FROM volumes", |row| point::VolumeRow::read(row).map(drop)),
    ("SELECT * FROM annotations", |row| annotation::read(row).map(drop)),
    ("SELECT * FROM runs", |row| run::RunRow::read(row).map(drop)),
    ("SELECT *, NULL AS newest FROM applications", |row| application::read(row).map(drop)),
    ("SELECT * FROM jobs", |row| job::read(row).map(drop)),
    ("SELECT * FROM events", |row| event::Event::read(row).map(drop)),
    ("SELECT * FROM audit", |row| audit::DeedRow::read(row).map(drop)),
    ("SELECT * FROM request_keys", |row| request::read_key(row).map(drop)),
    ("SELECT * FROM notices", |row| notice::read(row).map(drop)),
    ("SELECT * FROM tokens", |row| token::read(row).map(drop)),
    ("SELECT * FROM seen", |row| seen::read(row).map(drop)),
    ("SELECT * FROM readings", |row| seen::read_reading(row).map(drop)),
    ("SELECT * FROM pins", |row| pin::read(row).map(drop)),
];
