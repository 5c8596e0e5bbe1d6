//! Lengths of time as people write them.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// Reads a length such as `90s`, `2h` or `30d`; a day has 24 hours.
///
/// # Errors
/// When the text is none, or runs backwards.
pub fn parse(text: &str) -> Result<Duration, jiff::Error> {
    let span: Span = text.parse()?;
    let days = SpanRelativeTo::days_are_24_hours();
    Duration::try_from(span.to_duration(days)?)
}
