//! Moments and spans as the database holds them: whole microseconds.

use std::time::Duration;

use jiff::Timestamp;

use crate::error::{Error, Result};

/// Microseconds since 1970-01-01 UTC.
pub(crate) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// The moment that [`micros`] wrote.
pub(crate) fn timestamp(micros: i64) -> Result<Timestamp> {
    Timestamp::from_microsecond(micros).map_err(|error| Error::damaged("a time", error))
}

/// Whole microseconds of a span; the longest that fits for longer ones.
pub(crate) fn span_micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// The span that [`span_micros`] wrote.
pub(crate) fn span(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}
