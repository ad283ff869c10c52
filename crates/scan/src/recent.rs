//! How fast a scan was in the last moments: what it did at its beginning, while the rate was still to
//! be found, says little of what is to come.

use std::collections::VecDeque;
use std::time::Duration;

/// The moments that are looked back on.
const SPAN: Duration = Duration::from_secs(1);

/// Before this, the time that is left cannot be told.
const SETTLED: Duration = Duration::from_secs(1);

/// Where a scan was, at reports of its progress.
#[derive(Debug)]
pub(crate) struct Recent {
    started: Duration,
    /// Time, probes sent, and how much was done.
    marks: VecDeque<(Duration, u64, u128)>,
    /// What was done at the first report, by an earlier part of the scan above all.
    begun: Option<u128>,
    left: Option<Duration>,
}

impl Recent {
    /// Nothing was done before `now`, by a clock that stands still while the scan is paused.
    pub(crate) fn new(now: Duration) -> Self {
        Self {
            started: now,
            marks: VecDeque::from([(now, 0, 0)]),
            begun: None,
            left: None,
        }
    }

    /// A report: so many probes have been sent, and so much is done.
    pub(crate) fn note(&mut self, now: Duration, sent: u64, done: u128) {
        if self.begun.is_none() {
            self.begun = Some(done);
            self.marks = VecDeque::from([(self.started, 0, done)]);
        }
        self.marks.push_back((now, sent, done));
        while self.marks.get(1).is_some_and(|(at, ..)| *at + SPAN <= now) {
            self.marks.pop_front();
        }
    }

    /// Since the oldest mark: seconds, probes, and how much was done.
    #[expect(clippy::cast_precision_loss, reason = "figures to show")]
    fn passed(&self) -> Option<(f64, f64, f64)> {
        let (&(since, sent, done), &(now, sent_now, done_now)) =
            (self.marks.front()?, self.marks.back()?);
        let span = now.saturating_sub(since).as_secs_f64();
        let sent = sent_now.saturating_sub(sent) as f64;
        let done = done_now.saturating_sub(done) as f64;
        (span > 0.0).then_some((span, sent, done))
    }

    /// Probes sent a second; none while it is paused.
    pub(crate) fn rate(&self, is_paused: bool) -> f64 {
        let passed = self.passed().filter(|_| !is_paused);
        passed.map_or(0.0, |(span, sent, _)| sent / span)
    }

    /// The time left until `total` is done; while it is paused, what it was before.
    #[expect(clippy::cast_precision_loss, reason = "figures to show")]
    pub(crate) fn left(&mut self, total: u128, is_paused: bool) -> Option<Duration> {
        if is_paused {
            return self.left;
        }
        let &(now, _, done) = self.marks.back()?;
        let elapsed = now.saturating_sub(self.started);
        self.left = (elapsed >= SETTLED && done > 0 && done < total)
            .then(|| {
                let lately = self.passed().map_or(0.0, |(span, _, done)| done / span);
                // Where little is done for a moment, since answers are waited for, the mean holds.
                let begun = self.begun.unwrap_or_default();
                let mean = done.saturating_sub(begun) as f64 / elapsed.as_secs_f64();
                let left = (total - done) as f64 / lately.max(mean);
                Duration::try_from_secs_f64(left).ok()
            })
            .flatten();
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_second() {
        let at = Duration::from_millis;
        let mut recent = Recent::new(at(0));
        for tenth in 1..=30 {
            // Slow for two seconds, and then at 10,000 a second.
            let sent = if tenth <= 20 {
                tenth
            } else {
                20 + (tenth - 20) * 1_000
            };
            recent.note(at(100 * tenth), sent, sent.into());
            if tenth < 10 {
                assert_eq!(recent.left(100_000, false), None, "{tenth}");
            }
        }
        assert!(
            (9_900.0..10_100.0).contains(&recent.rate(false)),
            "{}",
            recent.rate(false)
        );
        let left = recent.left(100_000, false).unwrap().as_secs_f64();
        assert!((8.9..9.1).contains(&left), "{left}");
    }

    #[test]
    fn what_an_earlier_part_has_done_is_no_sign_of_speed() {
        let at = Duration::from_millis;
        let mut recent = Recent::new(at(0));
        for tenth in 1..=20 {
            recent.note(at(100 * tenth), 10 * tenth, 50_000 + 10 * u128::from(tenth));
        }
        let left = recent.left(60_000, false).unwrap().as_secs_f64();
        assert!((90.0..110.0).contains(&left), "{left}");
    }

    #[test]
    fn while_it_is_paused_the_time_left_stands() {
        let at = Duration::from_secs;
        let mut recent = Recent::new(at(0));
        recent.note(Duration::from_millis(100), 0, 0);
        recent.note(at(1), 100, 100);
        let left = recent.left(1_000, false);
        assert_eq!(left, Some(at(9)));
        recent.note(at(60), 100, 100);
        assert_eq!(recent.left(1_000, true), left);
    }
}
