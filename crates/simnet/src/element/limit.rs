//! How operating systems limit their RSTs and ICMP errors: a token bucket, and the credit that
//! Linux shares out between all destinations.

use crate::rng::Rng;
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

/// Linux gives its shared credit anew after this at the soonest, in nanoseconds.
const STEP: u64 = 20_000_000;

/// An ICMP error costs less than this much credit: nobody is to count what others were sent.
const COST_BELOW: u64 = 3;

/// How many ICMP errors Linux sends to all destinations together (`icmp_msgs_per_sec` and
/// `icmp_msgs_burst` in its "IP Sysctl" documentation): while there is credit an error goes out,
/// and costs none, one or two of it by chance.
#[derive(Debug, Clone)]
pub(crate) struct Credit {
    config: Limit,
    left: i64,
    given_at: u64,
    rng: Rng,
}

impl Credit {
    pub(crate) fn new(config: Limit, rng: Rng) -> Self {
        Self {
            config,
            left: config.burst.into(),
            given_at: 0,
            rng,
        }
    }

    /// Whether an error may go out at `now` (nanoseconds).
    pub(crate) fn allows(&mut self, now: u64) -> bool {
        let passed = now.saturating_sub(self.given_at);
        if self.left <= 0 && passed >= STEP {
            // No more than a second's is given at once.
            let gained = u64::from(self.config.rate) * passed.min(1_000_000_000) / 1_000_000_000;
            let gained = i64::try_from(gained).unwrap_or(i64::MAX);
            if gained > 0 {
                self.given_at = now;
                self.left = gained.min(self.config.burst.into());
            }
        }
        self.left > 0
    }

    /// An error goes out.
    pub(crate) fn spend(&mut self) {
        self.left -= i64::try_from(self.rng.below(COST_BELOW)).unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_credit_of_all_destinations_is_a_burst_and_then_about_its_rate() {
        let limit = Limit {
            rate: 1_000,
            burst: 50,
        };
        let mut credit = Credit::new(limit, Rng::new(1, 2));
        let mut passes = |now| {
            let may = credit.allows(now);
            if may {
                credit.spend();
            }
            may
        };
        let burst = (0..1_000).filter(|_| passes(0)).count();
        assert!((40..=60).contains(&burst), "{burst}");
        // 10,000 a second for two seconds.
        let after = (1..=20_000u64).filter(|n| passes(n * 100_000)).count();
        assert!((1_900..=2_100).contains(&after), "{after}");
    }

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
