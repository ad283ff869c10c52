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
    /// What had gone out within the second before it.
    pub(super) lately: f64,
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
    /// Some of it went out while nothing came through.
    pub(super) shut: bool,
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

    /// Whether nothing at all came back of it.
    pub(super) const fn is_silent(&self) -> bool {
        self.answered == 0 && self.sentinels_answered == 0
    }

    /// Packets a second that went out in it.
    pub(super) fn used(&self) -> f64 {
        f64::from(self.sent + self.kept + self.sentinels) / self.lasted().as_secs_f64().max(1e-6)
    }

    pub(super) fn waiting(&self) -> u32 {
        (self.sent + self.sentinels).saturating_sub(self.answered + self.sentinels_answered)
    }
}

/// What was expected of probes, and what came.
#[derive(Debug, Clone, Copy, Default)]
struct Expected {
    answers: f64,
    came: f64,
    variance: f64,
}

impl Expected {
    /// Of so many probes this share was to be answered.
    fn of(asked: u32, share: f64, answered: u32) -> Self {
        let asked = f64::from(asked);
        Self {
            answers: asked * share,
            came: f64::from(answered),
            // A share that nearly all of few had is not known so well.
            variance: asked * share * (1.0 - share).max(0.05),
        }
    }

    /// The walk's and the sentinels'. More answers of the walk than were expected do not stand for
    /// sentinels that are lost: they may be those that were lost before.
    fn both(walk: Self, sentinels: Self) -> Self {
        let mut all = Self {
            came: walk.came.min(walk.answers),
            ..walk
        };
        all.add(sentinels);
        all
    }

    fn add(&mut self, other: Self) {
        self.answers += other.answers;
        self.came += other.came;
        self.variance += other.variance;
    }

    /// Whether too little came by more than chance explains.
    fn is_short(self) -> bool {
        self.came < (0.85 * self.answers).min(self.answers - 3.0 * (self.variance + 0.05).sqrt())
    }

    /// The share of what was expected that did not come.
    fn missing(self) -> f64 {
        1.0 - self.came / self.answers
    }
}

/// Rounds in a row of which too little came, but so little too little that it may be chance: of
/// several it can be told.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shortage {
    walk: Expected,
    sentinels: Expected,
}

/// How a round is read, before the rate follows from it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Reading {
    /// Too few answers were to be expected.
    Nothing,
    /// Less came than was expected, which may be chance.
    Unsure,
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
        match (reading, self.losses.excess()) {
            (
                Reading::Fine | Reading::Nothing | Reading::Unsure | Reading::Disagreed { .. },
                Some(share),
            ) => {
                self.losses.forget_recent();
                Reading::Lost { share }
            }
            _ => reading,
        }
    }

    /// The same, with those before it of which too little came, but not so much too little that
    /// each alone would show it.
    pub(super) fn read_shortage(&mut self, round: &Round, reading: Reading) -> Reading {
        if !matches!(reading, Reading::Unsure | Reading::Nothing) {
            self.shortage = Shortage::default();
            return reading;
        }
        let [walk, sentinels, all] = self.expected_of(round);
        if reading == Reading::Nothing && all.came >= 0.7 * all.answers {
            return reading;
        }
        self.shortage.walk.add(walk);
        self.shortage.sentinels.add(sentinels);
        let Shortage { walk, sentinels } = self.shortage;
        let all = Expected::both(walk, sentinels);
        if all.answers < EVIDENCE || !all.is_short() {
            return reading;
        }
        if self.trusts && (!round.trusted || !sentinels.is_short()) {
            // Each that follows says so again, until it is clear which of the two it is.
            return Reading::Disagreed {
                share: walk.missing().clamp(0.0, 1.0),
            };
        }
        self.shortage = Shortage::default();
        Reading::Lost {
            share: all.missing(),
        }
    }

    /// What was expected of the walk, of the sentinels and of both, and what came.
    fn expected_of(&self, round: &Round) -> [Expected; 3] {
        let share = round.expected_share.or(self.share).unwrap_or(0.0);
        let walk = Expected::of(round.sent, share, round.answered);
        let base_loss = self.losses.base(round.rate);
        let sentinels = Expected::of(round.sentinels, 1.0 - base_loss, round.sentinels_answered);
        [walk, sentinels, Expected::both(walk, sentinels)]
    }

    /// How many answers were to be expected of a round.
    pub(super) fn expects_of(&self, round: &Round) -> f64 {
        self.expected_of(round)[2].answers
    }

    /// What `round` shows, so far as its answers have come.
    pub(super) fn read(&self, round: &Round) -> Reading {
        let [walk, sentinels, all] = self.expected_of(round);
        if all.answers < EVIDENCE {
            return if all.answers >= 1.0 && all.came >= all.answers * 0.85 {
                Reading::Fine
            } else {
                Reading::Nothing
            };
        }
        if all.came == 0.0 && round.sentinels >= 1 && self.trusts && round.trusted {
            return Reading::Dead;
        }
        let queues = all.came >= 4.0 && self.queues(round);
        if all.is_short() {
            // Where answers queue, it is the path that drops.
            if self.trusts && !round.trusted && !queues {
                // Open ports must say whether it is the path.
                return Reading::Disagreed {
                    share: all.missing(),
                };
            }
            if self.trusts && walk.is_short() && !sentinels.is_short() && !queues {
                return Reading::Disagreed {
                    share: walk.missing(),
                };
            }
            return Reading::Lost {
                share: all.missing(),
            };
        }
        if queues && let (Some(first), Some(last)) = (round.first_answer, round.last_answer) {
            let span = last.saturating_sub(first).max(round.lasted());
            let sent = f64::from(round.sent + round.sentinels);
            let carried = sent * (all.came / all.answers).min(1.0);
            return Reading::Queued {
                delivered: carried / span.as_secs_f64().max(1e-6),
            };
        }
        if all.came < 0.7 * all.answers {
            return Reading::Unsure;
        }
        Reading::Fine
    }

    /// Whether even the quickest answer of the round had to wait in a queue.
    pub(super) fn queues(&self, round: &Round) -> bool {
        let (Some(waited), Some(lowest)) = (round.waited, self.rtt.lowest()) else {
            return false;
        };
        let least = lowest.mul_f64(0.25) + Duration::from_millis(3);
        round.timed >= 3 && waited > least.max(self.roughness.explains())
    }
}
