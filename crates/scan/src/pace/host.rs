//! How fast one host says of its UDP ports that they are closed.
//!
//! A host sends so many ICMP errors a second and no more (RFC 1812, 4.3.2.8; RFC 4443, 2.4 f):
//! the rest of its closed ports stay silent. So the number of its answers a second does not grow
//! any more from some rate of asking on, and that number is its limit. The rate doubles until the
//! share that is answered falls; from then on it stays a little above the limit, so that nothing
//! of it is wasted. When more or less is answered than that, the limit has changed, or fewer
//! closed ports are left: it doubles again from where it is, and finds out.

use std::time::Duration;

/// Questions a second at first, at the least, and at the most: the first is what even a host
/// with a low limit shows something at.
pub(crate) const SLOWEST: f64 = 10.0;
const FASTEST: f64 = 1_000.0;

/// The rate is this much above the limit: to lose a question costs a packet, not to ask one costs
/// time.
const ABOVE: f64 = 1.25;

/// Beyond so many times what is answered, asking faster is only noise, unless that is very little.
const NOISE: f64 = 8.0;
const LITTLE: f64 = 100.0;

/// What is answered is looked at over this long at the least, and at the most.
const WINDOW: Duration = Duration::from_millis(400);
const LONGEST_WINDOW: Duration = Duration::from_secs(3);

/// With fewer answers to be expected, a window is too short to say something.
const EVIDENCE: f64 = 8.0;

/// Questions that were missed since time passed in steps may go out at once for this long.
const LATE: Duration = Duration::from_millis(20);

/// Sets the rate at which one host is asked about ports that do not answer.
#[derive(Debug, Clone)]
pub(crate) struct HostPace {
    rate: f64,
    next: Duration,
    /// Answers a second that it sends at the most.
    limit: Option<f64>,
    /// The share that was answered where the rate began to double.
    share: Option<f64>,
    /// The rate at which that share fell, and to what.
    fell_at: Option<(f64, f64)>,
    since: Duration,
    sent: u32,
    answered: u32,
}

impl HostPace {
    /// A host of which this many answers a second were seen.
    pub(crate) fn new(seen: f64, now: Duration) -> Self {
        Self {
            rate: seen.clamp(SLOWEST, 10.0 * SLOWEST),
            next: now,
            limit: None,
            share: None,
            fell_at: None,
            since: now,
            sent: 0,
            answered: 0,
        }
    }

    /// Answers a second that it sends at the most; `None` where that was not reached.
    pub(crate) const fn limit(&self) -> Option<f64> {
        self.limit
    }

    /// When the next question is due.
    pub(crate) const fn due(&self) -> Duration {
        self.next
    }

    /// A question went out.
    pub(crate) fn sent(&mut self, now: Duration) {
        self.sent += 1;
        let from = self.next.max(now.saturating_sub(LATE));
        self.next = from + Duration::from_secs_f64(1.0 / self.rate);
    }

    /// One was answered.
    pub(crate) const fn answered(&mut self) {
        self.answered += 1;
    }

    /// Nothing was asked for a while: what is seen begins anew.
    pub(crate) fn begin(&mut self, now: Duration) {
        self.since = now;
        self.sent = 0;
        self.answered = 0;
        self.next = self.next.max(now);
    }

    /// Looks at what came of the questions, where enough is known of them; `rtt` is how long an
    /// answer takes.
    pub(crate) fn review(&mut self, now: Duration, rtt: Duration) {
        let passed = now.saturating_sub(self.since);
        if passed < WINDOW.max(8 * rtt) || self.sent < 4 {
            return;
        }
        let (sent, answered) = (f64::from(self.sent), f64::from(self.answered));
        let seconds = passed.as_secs_f64();
        let expected = match (self.limit, self.share) {
            (Some(limit), _) => limit * seconds,
            (None, Some(share)) => share * sent,
            (None, None) => 0.0,
        };
        if answered.max(expected) < EVIDENCE && passed < LONGEST_WINDOW {
            return;
        }
        let (share, carried) = (answered / sent, answered / seconds);
        let fell = answered < 0.8 * expected - 1.5 * expected.sqrt();
        let rate = self.rate;
        match self.limit {
            None if fell => {
                self.limit = Some(carried);
                self.fell_at = Some((rate, share));
                self.rate = carried * ABOVE;
            }
            None => {
                self.share = Some(self.share.map_or(share, |known| known.max(share)));
                self.climb(carried);
                if self.rate <= rate && passed < LONGEST_WINDOW {
                    // More of the same tells more.
                    return;
                }
            }
            // It bears more now, or less is left to be answered: both are seen by asking faster.
            Some(limit) if fell || (share > 0.93 && rate > 1.1 * limit) => {
                self.limit = None;
                self.share = Some(share);
                match self.fell_at.take() {
                    // At a lower rate a limit leaves a larger share; chance, and silent ports, do
                    // not.
                    Some((fell_at, then)) if share < then * (fell_at / rate).sqrt() => {
                        self.rate = fell_at;
                    }
                    _ => self.climb(carried),
                }
            }
            Some(limit) => {
                let limit = limit + 0.3 * (carried - limit);
                self.limit = Some(limit);
                self.fell_at = None;
                self.rate = limit * ABOVE;
            }
        }
        self.rate = self.rate.clamp(0.5, FASTEST);
        self.begin(now);
    }

    fn climb(&mut self, carried: f64) {
        let most = (NOISE * carried).max(LITTLE);
        self.rate = (2.0 * self.rate).min(most).max(self.rate.min(most));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host with so many closed ports and others that stay silent.
    struct Host {
        /// Answers a second, and how many at once.
        limit: Option<(f64, f64)>,
        tokens: f64,
        closed: u32,
        silent: u32,
    }

    /// Asks the host for so long, each of its ports in turn; returns how many closed ports were
    /// told, and how many questions that took.
    fn ask(host: &mut Host, pace: &mut HostPace, from: Duration, until: Duration) -> (u32, u32) {
        let rtt = Duration::from_millis(20);
        let (mut now, mut told, mut sent) = (from, 0, 0);
        let step = Duration::from_millis(1);
        let mut order = 0_u32;
        while now < until && host.closed > 0 {
            now += step;
            if let Some((rate, burst)) = host.limit {
                host.tokens = (host.tokens + rate * step.as_secs_f64()).min(burst);
            }
            while pace.due() <= now && host.closed > 0 {
                pace.sent(now);
                sent += 1;
                order = order.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let is_closed = (order >> 8) % (host.closed + host.silent) < host.closed;
                let may = host.limit.is_none() || host.tokens >= 1.0;
                if is_closed && may {
                    host.tokens -= 1.0;
                    host.closed -= 1;
                    told += 1;
                    pace.answered();
                }
            }
            pace.review(now, rtt);
        }
        (told, sent)
    }

    fn seconds(count: f64) -> Duration {
        Duration::from_secs_f64(count)
    }

    #[test]
    fn nearly_all_that_a_host_may_say_is_heard_and_little_more_is_asked() {
        let mut host = Host {
            limit: Some((50.0, 10.0)),
            tokens: 10.0,
            closed: 5_000,
            silent: 0,
        };
        let mut pace = HostPace::new(60.0, Duration::ZERO);
        let (told, sent) = ask(&mut host, &mut pace, Duration::ZERO, seconds(20.0));
        assert!(told >= 980, "{told}");
        assert!(sent < 2 * told, "{sent} for {told}");
        let limit = pace.limit().unwrap();
        assert!((45.0..55.0).contains(&limit), "{limit}");
    }

    #[test]
    fn a_host_that_says_one_a_second_is_not_flooded() {
        let mut host = Host {
            limit: Some((1.0, 6.0)),
            tokens: 0.0,
            closed: 1_000,
            silent: 0,
        };
        let mut pace = HostPace::new(5.0, Duration::ZERO);
        let (told, sent) = ask(&mut host, &mut pace, Duration::ZERO, seconds(60.0));
        assert!(told >= 57, "{told}");
        assert!(sent < 1_500, "{sent}");
    }

    #[test]
    fn a_host_without_a_limit_is_asked_faster_and_faster() {
        let mut host = Host {
            limit: None,
            tokens: 0.0,
            closed: 2_000,
            silent: 0,
        };
        let mut pace = HostPace::new(50.0, Duration::ZERO);
        let (told, _) = ask(&mut host, &mut pace, Duration::ZERO, seconds(6.0));
        assert_eq!(told, 2_000);
        assert_eq!(pace.limit(), None);
    }

    #[test]
    fn silent_ports_are_not_taken_for_a_limit() {
        let mut host = Host {
            limit: None,
            tokens: 0.0,
            closed: 400,
            silent: 3_600,
        };
        let mut pace = HostPace::new(50.0, Duration::ZERO);
        let (told, sent) = ask(&mut host, &mut pace, Duration::ZERO, seconds(30.0));
        // At the rate that it began with, 1,500 would have been asked.
        assert!(sent > 1_700 && told > 100, "{told} of {sent}");
    }

    #[test]
    fn a_limit_that_changes_is_followed() {
        for (first, then) in [(50.0, 200.0), (200.0, 50.0)] {
            let mut host = Host {
                limit: Some((first, 10.0)),
                tokens: 0.0,
                closed: 100_000,
                silent: 0,
            };
            let mut pace = HostPace::new(60.0, Duration::ZERO);
            ask(&mut host, &mut pace, Duration::ZERO, seconds(5.0));
            host.limit = Some((then, 10.0));
            let (told, _) = ask(&mut host, &mut pace, seconds(5.0), seconds(15.0));
            assert!(f64::from(told) > 8.5 * then, "{told} at {then}/s");
            ask(&mut host, &mut pace, seconds(15.0), seconds(20.0));
            let rate = pace.rate;
            assert!((then..2.5 * then).contains(&rate), "{rate} at {then}/s");
        }
    }
}
