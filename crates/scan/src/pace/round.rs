//! Rounds: what went out within about a round-trip time, and what came of it.

use std::time::Duration;

use super::{EVIDENCE, Pace};

/// Probes that went out within about a round-trip time.
#[derive(Debug, Clone)]
pub(super) struct Round {
    pub(super) start: Duration,
    pub(super) end: Option<Duration>,
    /// The rate that was set.
    pub(super) rate: f64,
    pub(super) sent: u32,
    pub(super) answered: u32,
    pub(super) sentinels: u32,
    pub(super) sentinels_answered: u32,
    /// The share of answers that was to be expected when it started.
    pub(super) expected_share: Option<f64>,
    /// The lowest round-trip time of its answers.
    pub(super) rtt: Option<Duration>,
    pub(super) first_answer: Option<Duration>,
    pub(super) last_answer: Option<Duration>,
    pub(super) weighed: bool,
    /// It was weighed, and what was missing of it was found to be held back at the other end.
    pub(super) limited: bool,
    /// Its sentinels are open ports, whose answers nobody limits.
    pub(super) trusted: bool,
}

impl Round {
    pub(super) fn waiting(&self) -> u32 {
        (self.sent + self.sentinels).saturating_sub(self.answered + self.sentinels_answered)
    }
}

/// How a round is read, before the rate follows from it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Reading {
    /// Too few answers were to be expected.
    Nothing,
    /// What was expected came.
    Fine,
    /// It came, but it queued; so much a second came through.
    Queued { delivered: f64 },
    /// Too little came; this share of it was lost.
    Lost { share: f64 },
    /// Nothing came at all.
    Dead,
    /// Sentinels answered, other probes less than before, by this share.
    Disagreed { share: f64 },
}

impl Pace {
    /// What `round` shows, so far as its answers have come.
    pub(super) fn read(&self, round: &Round) -> Reading {
        let share = round.expected_share.or(self.share).unwrap_or(0.0);
        let sent = f64::from(round.sent);
        let sentinels = f64::from(round.sentinels);
        let probes_expected = sent * share;
        let sentinels_expected = sentinels * (1.0 - self.base_loss);
        let expected = probes_expected + sentinels_expected;
        let came = f64::from(round.answered + round.sentinels_answered);
        if expected < EVIDENCE {
            return if expected >= 1.0 && came >= expected * 0.85 {
                Reading::Fine
            } else {
                Reading::Nothing
            };
        }
        if came == 0.0 && sentinels >= 2.0 && self.trusts && round.trusted {
            return Reading::Dead;
        }
        let spread = sent * share * (1.0 - share) + sentinels * self.base_loss.max(0.05);
        if falls_short(came, expected, spread) {
            let walk_spread = sent * share * (1.0 - share);
            let walk_fell = falls_short(f64::from(round.answered), probes_expected, walk_spread);
            let sentinel_spread = sentinels * self.base_loss.max(0.05);
            let sentinels_came = f64::from(round.sentinels_answered);
            let sentinels_fell = falls_short(sentinels_came, sentinels_expected, sentinel_spread);
            // Where answers queue, it is the path that drops.
            let queues = came >= 4.0 && self.queues(round);
            if self.trusts && !round.trusted && !queues {
                // Open ports must say whether it is the path.
                return Reading::Disagreed {
                    share: 1.0 - came / expected,
                };
            }
            if self.trusts && walk_fell && !sentinels_fell && !queues {
                return Reading::Disagreed {
                    share: 1.0 - f64::from(round.answered) / probes_expected,
                };
            }
            return Reading::Lost {
                share: 1.0 - came / expected,
            };
        }
        if came >= 4.0
            && self.queues(round)
            && let (Some(first), Some(last)) = (round.first_answer, round.last_answer)
        {
            let span = last.saturating_sub(first).as_secs_f64();
            let length = round
                .end
                .map_or(0.0, |end| end.saturating_sub(round.start).as_secs_f64());
            let carried = (sent + sentinels) * (came / expected).min(1.0);
            return Reading::Queued {
                delivered: carried / span.max(length).max(1e-6),
            };
        }
        Reading::Fine
    }

    /// Whether even the quickest answer of the round had to wait in a queue.
    pub(super) fn queues(&self, round: &Round) -> bool {
        let (Some(rtt), Some(lowest)) = (round.rtt, self.rtt.lowest()) else {
            return false;
        };
        rtt > lowest.mul_f64(1.25) + Duration::from_millis(3)
    }
}

/// Whether `came` is too few where `expected` were to come, by more than chance explains.
fn falls_short(came: f64, expected: f64, variance: f64) -> bool {
    came < (0.85 * expected).min(expected - 3.0 * (variance + 0.05).sqrt())
}
