//! A token bucket: how operating systems limit their RSTs and ICMP errors.

use crate::scenario::Limit;

/// The state of a limit of `rate` a second, `burst` at once.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    rate: u64,
    /// Tokens times nanoseconds of a second: the most that gather.
    most: u128,
    level: u128,
    filled_at: u64,
}

const SECOND: u128 = 1_000_000_000;

impl Bucket {
    pub(crate) fn new(config: Limit) -> Self {
        let most = u128::from(config.burst) * SECOND;
        Self {
            rate: config.rate.into(),
            most,
            level: most,
            filled_at: 0,
        }
    }

    /// Takes a token at `now` (nanoseconds), if there is one.
    pub(crate) fn take(&mut self, now: u64) -> bool {
        let passed = now.saturating_sub(self.filled_at);
        self.filled_at = self.filled_at.max(now);
        let gained = u128::from(passed) * u128::from(self.rate);
        self.level = (self.level + gained).min(self.most);
        let has_token = self.level >= SECOND;
        if has_token {
            self.level -= SECOND;
        }
        has_token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let mut bucket = Bucket::new(Limit {
            rate: 200,
            burst: 50,
        });
        assert_eq!((0..1000).filter(|_| bucket.take(0)).count(), 50);
        // 10,000 a second for a second.
        let passed = (1..=10_000u64).filter(|n| bucket.take(n * 100_000)).count();
        assert_eq!(passed, 200);
    }

    #[test]
    fn tokens_do_not_gather_beyond_the_burst() {
        let mut bucket = Bucket::new(Limit { rate: 10, burst: 3 });
        assert_eq!(
            (0..10).filter(|_| bucket.take(3_600_000_000_000)).count(),
            3
        );
    }
}
