//! The one place that reads the clock: measuring is what this program is for.

use std::time::Instant;

#[expect(
    clippy::disallowed_methods,
    reason = "what is measured here is real time"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
