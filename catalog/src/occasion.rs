//! The columns that say which policy wanted a point or a run: `policy`, `due` and `schedules`.

use format::manifest::Occasion;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::column;

/// What the columns say; absent where a person asked.
pub(crate) fn read(row: &SqliteRow) -> sqlx::Result<Option<Occasion>> {
    let Some(policy) = row.try_get("policy")? else { return Ok(None) };
    let schedules: &str = row.try_get("schedules")?;
    let schedules =
        serde_json::from_str(schedules).map_err(|error| column::unreadable("schedules", error))?;
    Ok(Some(Occasion { policy, due: column::parsed(row, "due")?, schedules }))
}

/// What the columns hold: the policy, the moment, and the schedules.
pub(crate) fn columns(
    occasion: Option<&Occasion>,
) -> sqlx::Result<(Option<&str>, Option<String>, Option<String>)> {
    let Some(Occasion { policy, due, schedules }) = occasion else { return Ok((None, None, None)) };
    Ok((Some(policy), Some(column::time(*due)), Some(column::json(schedules)?)))
}
