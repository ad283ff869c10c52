//! What a sweep sees of its own link and gateway beside answers: packets that this machine lost,
//! and errors of routers that suddenly come in masses.

use std::time::Duration;

/// Counts are compared over this time.
const SPAN: Duration = Duration::from_millis(500);

/// Fewer errors in a span are no storm.
const FEW: u64 = 100;

/// A storm has so many times the share of errors that was usual.
const TIMES: f64 = 4.0;

/// The share of errors that is taken as usual before anything is known.
const USUAL: f64 = 0.05;

/// A lower rate until the storm is over.
#[derive(Debug)]
pub(super) struct Storm {
    since: Duration,
    sent: u64,
    errors: u64,
    lost: u64,
    usual: f64,
    /// Probes a second at the most.
    most: Option<f64>,
    credit: f64,
    credited: Duration,
}

impl Storm {
    pub(super) const fn new(now: Duration) -> Self {
        Self {
            since: now,
            sent: 0,
            errors: 0,
            lost: 0,
            usual: USUAL,
            most: None,
            credit: 0.0,
            credited: now,
        }
    }

    /// The rate that it holds the sweep to.
    pub(super) const fn most(&self) -> Option<f64> {
        self.most
    }

    /// Probes went out.
    pub(super) const fn sent(&mut self, count: u64) {
        self.sent += count;
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let count = count as f64;
        self.credit -= count;
    }

    /// A router said that it cannot deliver.
    pub(super) const fn error(&mut self) {
        self.errors += 1;
    }

    /// This machine has lost so many packets in all, of what came.
    #[expect(clippy::cast_precision_loss, reason = "shares of counts")]
    pub(super) fn look(&mut self, lost: u64, rate: f64, now: Duration) {
        if now < self.since + SPAN {
            return;
        }
        let share = self.errors as f64 / (self.sent as f64).max(1.0);
        let is_storm = self.errors >= FEW && share > TIMES * self.usual && share > 0.02;
        let is_lossy = lost > self.lost;
        if is_storm || is_lossy {
            let span = now.saturating_sub(self.since).as_secs_f64();
            let used = (self.sent as f64 / span).min(rate).max(200.0);
            self.most = Some(used / 2.0);
        } else if let Some(most) = self.most {
            // Back to freedom within seconds, and by then the pace has learnt for itself.
            self.most = Some(most * 1.25).filter(|&most| most < 2.0 * rate);
        }
        if self.sent >= FEW {
            // A storm that does not end is how the path is.
            self.usual += (share - self.usual) * if is_storm { 0.1 } else { 0.2 };
        }
        (self.since, self.sent, self.errors, self.lost) = (now, 0, 0, lost);
    }

    /// How many of `allowed` probes may go out now.
    pub(super) fn allowance(&mut self, allowed: usize, now: Duration) -> usize {
        let passed = now.saturating_sub(self.credited).as_secs_f64();
        self.credited = now;
        let Some(most) = self.most else {
            self.credit = 0.0;
            return allowed;
        };
        self.credit = (self.credit + passed * most).min((most * 0.01).max(1.0));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cast of a float saturates, and the number is not negative"
        )]
        let room = self.credit.max(0.0) as usize;
        allowed.min(room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Sends at 10,000 a second for a second, of which so many meet an error.
    fn second(storm: &mut Storm, at: u32, errors: u64, lost: u64) {
        storm.sent(10_000);
        (0..errors).for_each(|_| storm.error());
        storm.look(lost, 10_000.0, SECOND * at);
    }

    #[test]
    fn errors_that_always_come_are_no_storm() {
        let mut storm = Storm::new(Duration::ZERO);
        for at in 1..20 {
            second(&mut storm, at, 1_500, 0);
        }
        assert_eq!(storm.most(), None);
    }

    #[test]
    fn a_storm_of_errors_halves_the_rate_and_its_end_gives_it_back() {
        let mut storm = Storm::new(Duration::ZERO);
        for at in 1..10 {
            second(&mut storm, at, 50, 0);
        }
        assert_eq!(storm.most(), None);
        second(&mut storm, 10, 6_000, 0);
        assert_eq!(storm.most(), Some(5_000.0));
        for at in 11..20 {
            second(&mut storm, at, 50, 0);
        }
        assert_eq!(storm.most(), None);
    }

    #[test]
    fn packets_that_this_machine_loses_halve_the_rate() {
        let mut storm = Storm::new(Duration::ZERO);
        second(&mut storm, 1, 0, 1);
        assert_eq!(storm.most(), Some(5_000.0));
        assert!(storm.allowance(1_000, SECOND * 2) <= 50);
    }
}
