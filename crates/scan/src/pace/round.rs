//! Rounds: what went out within about a round-trip time, and what came of it.

use std::time::Duration;

use super::{EVIDENCE, Pace};

/// Probes that went out within about a round-trip time.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing learnt on its own, in any combination"
)]
pub(super) struct Round {
    pub(super) start: Duration,
    pub(super) end: Option<Duration>,
    /// The rate that was set.
    pub(super) rate: f64,
    pub(super) sent: u32,
    /// Probes of flows that are kept.
    pub(super) kept: u32,
    /// What had gone out before it since the path last opened.
    pub(super) sent_before: f64,
    pub(super) answered: u32,
    pub(super) sentinels: u32,
    pub(super) sentinels_answered: u32,
    /// The share of answers that was to be expected when it started.
    pub(super) expected_share: Option<f64>,
    /// Answers of hosts that had answered before, and how long the quickest of them had to wait
    /// on its way.
    pub(super) timed: u32,
    pub(super) waited: Option<Duration>,
    pub(super) first_answer: Option<Duration>,
    pub(super) last_answer: Option<Duration>,
    pub(super) weighed: bool,
    /// It was weighed, and what was missing of it was found to be held back at the other end.
    pub(super) limited: bool,
    /// Its sentinels are open ports, whose answers nobody limits.
    pub(super) trusted: bool,
    /// This machine lost packets while its answers were waited for.
    pub(super) dropped: bool,
}

/// Sentinels of the last rounds at about the same rate: of one round there are too few to tell a
/// loss from a few.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Window {
    rate: f64,
    asked: u32,
    lost: u32,
}

impl Window {
    fn add(&mut self, round: &Round) {
        if round.rate > 1.4 * self.rate || round.rate < 0.7 * self.rate {
            *self = Self {
                rate: round.rate,
                ..Self::default()
            };
        } else if self.asked >= 96 {
            self.asked /= 2;
            self.lost /= 2;
        }
        self.asked += round.sentinels;
        self.lost += round.sentinels.saturating_sub(round.sentinels_answered);
    }

    /// The share that is lost beyond what is lost at any rate, if chance does not explain it.
    fn excess(&self, base_loss: f64) -> Option<f64> {
        let (asked, lost) = (f64::from(self.asked), f64::from(self.lost));
        let usual = asked * base_loss.max(0.01);
        let is_more = lost >= 3.0 && lost > usual + 3.0 * (usual + 0.25).sqrt();
        is_more.then(|| lost / asked - base_loss)
    }
}

impl Round {
    /// How much likelier what became of its sentinels is if the path lost `share` of them than if
    /// it lost no more than ever: a natural logarithm.
    pub(super) fn favours_path(&self, share: f64, base_loss: f64) -> f64 {
        let (share, base) = (share.clamp(0.01, 0.99), base_loss.clamp(0.01, 0.9));
        let answered = f64::from(self.sentinels_answered);
        let lost = f64::from(self.sentinels) - answered;
        answered * ((1.0 - share) / (1.0 - base).max(1.0 - share)).ln()
            + lost * (share / base.min(share)).ln()
    }

    /// From its first probe to its end.
    pub(super) fn lasted(&self) -> Duration {
        self.end
            .map_or(Duration::ZERO, |end| end.saturating_sub(self.start))
    }

    /// Packets a second that went out in it.
    pub(super) fn used(&self) -> f64 {
        f64::from(self.sent + self.kept + self.sentinels) / self.lasted().as_secs_f64().max(1e-6)
    }

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
    /// What a round shows, and those before it at about its rate.
    pub(super) fn read_window(
        &mut self,
        round: &Round,
        reading: Reading,
        is_news: bool,
    ) -> Reading {
        if !is_news || !self.trusts || !round.trusted || self.memory.is_some() {
            return reading;
        }
        self.window.add(round);
        match (reading, self.window.excess(self.base_loss)) {
            (Reading::Fine | Reading::Nothing | Reading::Disagreed { .. }, Some(share)) => {
                self.window = Window::default();
                Reading::Lost { share }
            }
            _ => reading,
        }
    }

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
        let (Some(waited), Some(lowest)) = (round.waited, self.rtt.lowest()) else {
            return false;
        };
        round.timed >= 3 && waited > lowest.mul_f64(0.25) + Duration::from_millis(3)
    }
}

/// Whether `came` is too few where `expected` were to come, by more than chance explains.
fn falls_short(came: f64, expected: f64, variance: f64) -> bool {
    came < (0.85 * expected).min(expected - 3.0 * (variance + 0.05).sqrt())
}
