//! What there is to say of runs that have ended.

use jiff::Timestamp;
use sqlx::{Row as _, SqliteConnection};

use crate::column;
use crate::run::RunId;
use crate::writer::{Change, RunChange};
use crate::{Catalog, CatalogError};

impl Catalog {
    /// Remembers what there is to say of a run, as JSON. Whoever says it again, says it instead.
    pub async fn record_report(&self, run: RunId, report: String) -> Result<(), CatalogError> {
        self.write("remember a report", Change::Run(RunChange::Report(run, report))).await?;
        Ok(())
    }

    /// Forgets what there was to say of the runs that ended before a moment.
    pub async fn forget_reports(&self, before: Timestamp) -> Result<(), CatalogError> {
        self.write("forget reports", Change::Run(RunChange::ForgetReports(before))).await?;
        Ok(())
    }

    /// What there is to say of a run, as JSON; nothing where nobody said anything.
    pub async fn report(&self, run: RunId) -> Result<Option<String>, CatalogError> {
        let found = sqlx::query("SELECT report FROM reports WHERE run = ?")
            .bind(run.number())
            .fetch_optional(&self.readers)
            .await;
        let report = found.and_then(|row| row.map(|row| row.try_get("report")).transpose());
        report.map_err(|source| self.failed("read a report", source))
    }
}

pub(crate) async fn record(
    connection: &mut SqliteConnection,
    run: RunId,
    report: &str,
) -> sqlx::Result<u64> {
    let inserted = sqlx::query("INSERT OR REPLACE INTO reports (run, report) VALUES (?, ?)")
        .bind(run.number())
        .bind(report)
        .execute(connection)
        .await?;
    Ok(inserted.rows_affected())
}

pub(crate) async fn forget(
    connection: &mut SqliteConnection,
    before: Timestamp,
) -> sqlx::Result<u64> {
    let deleted =
        sqlx::query("DELETE FROM reports WHERE run IN (SELECT id FROM runs WHERE ended < ?)")
            .bind(column::time(before))
            .execute(connection)
            .await?;
    Ok(deleted.rows_affected())
}
