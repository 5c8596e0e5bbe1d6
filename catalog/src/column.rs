//! How values lie in columns.
//!
//! Times are text of a fixed width, not nanoseconds in an INTEGER: the years 0 to 9999 fit where
//! a 64-bit count ends in 2262, equal width makes text order time order, and whoever opens the
//! file with `sqlite3` can read them. Unsigned numbers keep their 64 bits and are signed only to
//! the database, so that even a nonsensical count of a foreign manifest survives.

use std::error::Error;
use std::str::FromStr;

use format::manifest::Level;
use jiff::Timestamp;
use serde::Serialize;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

/// The text of a time, as wide as that of any other.
pub(crate) fn time(time: Timestamp) -> String {
    format!("{time:.9}")
}

/// The text of a value that has no columns of its own.
pub(crate) fn json(value: &impl Serialize) -> sqlx::Result<String> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// A column that holds the text of a `T`.
pub(crate) fn parsed<T>(row: &SqliteRow, column: &str) -> sqlx::Result<T>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|error: T::Err| unreadable(column, error))
}

/// A column that holds the text of a `T`, or nothing.
pub(crate) fn parsed_option<T>(row: &SqliteRow, column: &str) -> sqlx::Result<Option<T>>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    match row.try_get::<Option<&str>, _>(column)? {
        Some(_) => parsed(row, column).map(Some),
        None => Ok(None),
    }
}

/// A column that holds a name, or is empty.
pub(crate) fn name(row: &SqliteRow, column: &str) -> sqlx::Result<Option<String>> {
    let text: String = row.try_get(column)?;
    Ok((!text.is_empty()).then_some(text))
}

/// A column that holds an unsigned number.
pub(crate) fn unsigned(row: &SqliteRow, column: &str) -> sqlx::Result<u64> {
    row.try_get::<i64, _>(column).map(i64::cast_unsigned)
}

/// The column `level`.
pub(crate) fn level(row: &SqliteRow) -> sqlx::Result<Level> {
    let text: &str = row.try_get("level")?;
    [Level::Fuzzy, Level::Crash, Level::Application]
        .into_iter()
        .find(|level| level.to_string() == text)
        .ok_or_else(|| unreadable("level", format!("`{text}` is no level")))
}

/// The error of a column whose content is not ours.
pub(crate) fn unreadable(
    column: &str,
    source: impl Into<Box<dyn Error + Send + Sync>>,
) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_texts_is_the_order_of_times() {
        let times = [
            "0001-01-01T00:00:00Z",
            "2024-02-29T23:59:59.000000001Z",
            "2024-02-29T23:59:59.5Z",
            "2024-03-01T00:00:00Z",
            "9999-12-30T00:00:00Z",
        ]
        .map(|text| text.parse::<Timestamp>().unwrap());
        assert!(times.map(time).is_sorted());
        for moment in times {
            assert_eq!(time(moment).len(), 30);
            assert_eq!(time(moment).parse::<Timestamp>().unwrap(), moment);
        }
    }
}
