//! How long answers take.

use std::time::Duration;

/// Before anything has answered, wait this long (RFC 6298, 2.1).
const INITIAL_TIMEOUT: Duration = Duration::from_secs(1);

/// The slowest of at least so many of the last answers is remembered, and of no more than twice
/// as many.
const WINDOW: u32 = 64;

/// The estimate of a path's round-trip time (RFC 6298, section 2), and its lowest value.
#[derive(Debug, Clone, Default)]
pub struct RoundTrip {
    /// Smoothed round-trip time and its variation, in seconds.
    smoothed: Option<(f64, f64)>,
    lowest: Option<Duration>,
    /// The slowest of the last answers, and of as many before them.
    slowest: [Duration; 2],
    seen: u32,
}

impl RoundTrip {
    /// Takes in one more measurement. One of a probe that was sent twice says nothing (Karn's
    /// algorithm, RFC 6298, 3), and is left out by the caller.
    pub fn sample(&mut self, rtt: Duration) {
        let seconds = rtt.as_secs_f64();
        self.smoothed = Some(match self.smoothed {
            None => (seconds, seconds / 2.0),
            Some((srtt, var)) => (
                srtt + (seconds - srtt) / 8.0,
                var + ((srtt - seconds).abs() - var) / 4.0,
            ),
        });
        if self.seen == WINDOW {
            self.slowest = [Duration::ZERO, self.slowest[0]];
            self.seen = 0;
        }
        self.seen += 1;
        self.slowest[0] = self.slowest[0].max(rtt);
        self.lowest = Some(self.lowest.map_or(rtt, |lowest| lowest.min(rtt)));
    }

    /// Smoothed round-trip time; `None` until the first answer (RFC 6298, 2.2).
    pub fn srtt(&self) -> Option<Duration> {
        self.smoothed.map(|(srtt, _)| Duration::from_secs_f64(srtt))
    }

    /// The lowest round-trip time seen.
    pub const fn lowest(&self) -> Option<Duration> {
        self.lowest
    }

    /// When nearly every answer that comes will have come: SRTT + 4 × RTTVAR, without the lower
    /// bound of RFC 6298, 2.4, and no less than the slowest of the last answers took. That formula
    /// is of one peer; a path leads to hosts that are nearer and farther.
    pub fn expected(&self) -> Duration {
        self.smoothed.map_or(INITIAL_TIMEOUT, |(srtt, var)| {
            let slowest = self.slowest[0].max(self.slowest[1]);
            Duration::from_secs_f64(srtt + 4.0 * var).max(slowest)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_a_second_before_it_knows_better() {
        assert_eq!(RoundTrip::default().expected(), Duration::from_secs(1));
    }

    #[test]
    fn it_follows_the_measurements() {
        let mut rtt = RoundTrip::default();
        for _ in 0..100 {
            rtt.sample(Duration::from_millis(60));
        }
        assert_eq!(rtt.srtt().unwrap().as_millis(), 60);
        assert!(rtt.expected() < Duration::from_millis(61));
        rtt.sample(Duration::from_millis(30));
        assert_eq!(rtt.lowest(), Some(Duration::from_millis(30)));
    }
}
