//! Reading everything there is, to find what is damaged.

use futures::TryStreamExt as _;
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteExecutor, SqlitePool};

use crate::error::CatalogError;
use crate::{
    Catalog, annotation, application, audit, event, job, notice, open, pin, point, request, run,
    seen, token,
};

impl Catalog {
    /// Reads every row and every index. A row at a time: there may be millions.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`] when something cannot be read, or is nothing that this program writes.
    pub async fn read_through(&self) -> Result<(), CatalogError> {
        // First, for the rows are found by the names of their columns.
        let ours = columns(&mut open::new_in_memory(&self.path).await?).await;
        let theirs = columns(&self.readers).await;
        let are_same = ours.and_then(|ours| Ok(ours == theirs?));
        if !are_same.map_err(|source| self.failed("read its schema", source))? {
            let source = "its tables are not those that it was made with".into();
            return Err(CatalogError::Damaged { path: self.path.clone(), source });
        }
        let read = read_all(&self.readers).await;
        let verdict = read.map_err(|source| self.failed("read itself", source))?;
        if verdict == "ok" {
            return Ok(());
        }
        Err(CatalogError::Damaged { path: self.path.clone(), source: verdict.into() })
    }
}

/// A table and one of its columns, as bytes, because the names may be damaged: what it holds, whether it may
/// be null, and its place in the primary key.
type Column = (Vec<u8>, Vec<u8>, Vec<u8>, i64, i64);

// Not the text of the schema, which another version of SQLite may write otherwise.
async fn columns(connection: impl SqliteExecutor<'_>) -> sqlx::Result<Vec<Column>> {
    sqlx::query_as(
        "SELECT CAST(tables.name AS BLOB), CAST(columns.name AS BLOB), CAST(columns.type AS BLOB),
                columns.\"notnull\", columns.pk
         FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
         WHERE tables.type = 'table' ORDER BY 1, columns.cid",
    )
    .fetch_all(connection)
    .await
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
