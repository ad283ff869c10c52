//! How much has gone out within the last second: what a firewall that shuts after a burst has
//! counted.

use std::collections::VecDeque;
use std::time::Duration;

/// Firewalls count what comes from an address within a second, most of them.
const WINDOW: Duration = Duration::from_secs(1);

/// What has gone out in all, at the beginning of each round of the last second.
#[derive(Debug, Default)]
pub(super) struct Lately {
    sent: f64,
    then: VecDeque<(Duration, f64)>,
}

impl Lately {
    /// A packet went out.
    pub(super) const fn sent(&mut self) {
        self.sent += 1.0;
    }

    /// How many went out within the second before `now`, which is no earlier than when this was
    /// asked last.
    pub(super) fn within(&mut self, now: Duration) -> f64 {
        let from = now.saturating_sub(WINDOW);
        // The last that is older tells what had gone out until then.
        while self.then.get(1).is_some_and(|&(at, _)| at <= from) {
            self.then.pop_front();
        }
        let before = self.then.front().map_or(0.0, |&(_, sent)| sent);
        self.then.push_back((now, self.sent));
        self.sent - before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_out_more_than_a_second_ago_is_forgotten() {
        let mut lately = Lately::default();
        let mut counted = 0.0;
        for step in 0..100 {
            counted = lately.within(Duration::from_millis(50 * step));
            for _ in 0..10 {
                lately.sent();
            }
        }
        assert!((counted - 200.0).abs() < 1e-9, "{counted}");
        assert_eq!(lately.then.len(), 21);
    }
}
