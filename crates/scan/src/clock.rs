//! Time, as the engine is given it.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Where the engine takes the time from, so that a test can hold it.
pub trait Clock {
    /// The time since some fixed moment; it never goes back.
    fn now(&self) -> Duration;

    /// The moment that [`now`](Self::now) was `at`, as people write it.
    fn timestamp(&self, at: Duration) -> Timestamp;
}

/// The system's monotonic clock, from the moment it was made. What it calls the time of day is
/// the wall clock of that moment plus what has passed since, so that a clock that is set in
/// mid-scan makes nothing jump.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    origin: Instant,
    wall: Timestamp,
}

impl SystemClock {
    /// A clock that reads zero now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
            wall: Timestamp::now(),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn timestamp(&self, at: Duration) -> Timestamp {
        self.wall.checked_add(at).unwrap_or(self.wall)
    }
}
