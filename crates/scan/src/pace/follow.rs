//! What follows from a round: the next rate, and what is known of the path.

use std::time::Duration;

use super::round::{Reading, Round};
use super::{Pace, SHORTEST_ROUND, as_u32};

/// With a chance below this, it was not the path.
pub(super) const BEYOND_DOUBT: f64 = 0.005;

/// Rounds in which sentinels and other probes disagreed, one after another.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Doubt {
    /// How much likelier it is that the path lost what was missing than that it did not, by what
    /// became of the sentinels: a natural logarithm.
    pub(super) chance: f64,
}

/// A rate that overran the path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wall {
    pub(super) rate: f64,
    at: Duration,
    /// How often about this rate was too much. Once may have been a burst of losses.
    hits: u32,
}

/// What was so before the rate was cut for losses, and what has come since of rounds that had
/// left before, as quickly.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    at: Duration,
    /// The rate of the round that showed the losses, and the share of it that was lost.
    of: f64,
    share: f64,
    rate: f64,
    doubling: bool,
    wall: Option<Wall>,
    /// When the rate had been cut before.
    before: Duration,
    /// How much likelier it is that nothing was lost for the rate than that this share was: a
    /// natural logarithm.
    chance: f64,
}

impl Pace {
    /// Sets the rate by what the round at `place` shows.
    pub(super) fn follow(&mut self, place: usize, reading: Reading, now: Duration) {
        let Some(round) = self.rounds.get(place).cloned() else {
            return;
        };
        if self.trusts && round.trusted && round.sentinels > 0 && round.is_silent() {
            let expected = self.expects_of(&round);
            self.note_dead(self.first + as_u32(place), &round, expected);
        }
        let is_news = round.start >= self.cut;
        if is_news {
            self.remember(&round, now);
        }
        if self.trusts && round.trusted && self.memory.is_none() && reading != Reading::Dead {
            self.losses.add(&round);
        }
        let is_news = is_news || self.reconsider(&round, reading);
        let reading = self.read_window(&round, reading, is_news);
        let reading = self.read_shortage(&round, reading);
        if is_news
            && self.trusts
            && round.trusted
            && self.memory.is_none()
            && self.outage.is_none()
            && !matches!(reading, Reading::Dead | Reading::Lost { .. })
            && self.losses.is_unproven()
        {
            self.look_lower(&round, now);
            return;
        }
        match reading {
            Reading::Nothing if self.sentinels_fail(&round) => {}
            Reading::Nothing => self.learn_share(&round, 0.3),
            Reading::Unsure => {}
            Reading::Fine => {
                self.doubt = None;
                self.note_carried(&round);
                self.learn_share(&round, 0.2);
                if is_news {
                    self.episode = None;
                    self.grow(&round, now);
                }
            }
            Reading::Queued { delivered } => {
                self.doubt = None;
                self.learn_share(&round, 0.2);
                if is_news {
                    self.doubling = false;
                    self.note_narrow(delivered);
                    self.set_wall(round.rate.min(self.rate), 2, now);
                    self.undecided = None;
                    self.set_rate(delivered.min(round.rate) * 0.97);
                    self.cut = now;
                }
            }
            Reading::Disagreed { share } => {
                let doubt = self.doubt.get_or_insert_default();
                if round.trusted {
                    doubt.chance += round.favours_path(share, self.losses.base(round.rate));
                }
                if doubt.chance > -BEYOND_DOUBT.ln() {
                    self.doubt = None;
                    if is_news && self.memory.is_none() {
                        self.cut_for(&round, share, now);
                    }
                } else if doubt.chance < BEYOND_DOUBT.ln() {
                    self.limited = true;
                    self.doubt = None;
                    self.learn_share(&round, 1.0);
                    if let Some(round) = self.rounds.get_mut(place) {
                        round.limited = true;
                    }
                    if is_news {
                        self.grow(&round, now);
                    }
                }
            }
            Reading::Dead => self.doubt = None,
            Reading::Lost { share } => {
                self.doubt = None;
                if is_news && self.memory.is_none() {
                    self.cut_for(&round, share, now);
                }
            }
        }
    }

    /// Goes on at a third of the rate, to see whether less is lost there. If not, the rate soon is
    /// what it was.
    fn look_lower(&mut self, round: &Round, now: Duration) {
        self.losses.forget_recent();
        self.undecided = None;
        self.doubt = None;
        self.set_rate(round.rate.min(self.rate) / 3.0);
        self.cut = now;
    }

    /// Whether so many sentinels of a round were lost that its other probes say nothing of what
    /// is there.
    fn sentinels_fail(&self, round: &Round) -> bool {
        let expected = f64::from(round.sentinels) * (1.0 - self.losses.base(round.rate));
        round.sentinels > 0 && f64::from(round.sentinels_answered) < 0.6 * expected
    }

    pub(super) fn cut_for(&mut self, round: &Round, share: f64, now: Duration) {
        let (rate, lost) = *self.episode.get_or_insert((round.rate, share));
        // What comes through of each packet: as much as before if the path loses at any rate, more
        // by as much as the rate is less if it carries so many packets and drops the others.
        let (kept, before) = (1.0 - share, (1.0 - lost).max(1e-4));
        let narrow = (before * rate / round.rate).min(1.0);
        let is_constant = share >= 0.7 * lost && kept < (before * narrow).sqrt();
        if round.rate <= 0.6 * rate && share < 0.95 && is_constant {
            // At little more than half the rate as much is lost: the rate is not the cause.
            self.share = self.share.map(|known| known * (1.0 - share));
            self.episode = None;
            self.wall = None;
            self.set_rate(rate);
            self.cut = now;
            return;
        }
        self.undecided = Some(Cut {
            at: now,
            of: round.rate,
            share,
            rate: self.rate,
            doubling: self.doubling,
            wall: self.wall,
            before: self.cut,
            chance: 0.0,
        });
        self.overruns += 1;
        self.doubling = false;
        self.note_narrow(round.rate * (1.0 - share));
        self.set_wall(round.rate, 1, now);
        self.set_rate(round.rate.min(self.rate) * (1.0 - share).clamp(0.25, 0.95) * 0.95);
        self.cut = now;
    }

    /// A round came through whole. More than that was lost or queued before: it was no limit of
    /// the path, if this is clearly more.
    fn note_carried(&mut self, round: &Round) {
        let used = round.used();
        if round.lasted() >= 2 * SHORTEST_ROUND {
            self.carried = self.carried.max(used);
        }
        // A queue takes a short burst whatever lies behind it.
        let whole = self.rtt.srtt().unwrap_or_default().max(2 * SHORTEST_ROUND);
        if round.lasted() >= whole {
            // What a policer saved up is gone within a second.
            let sustained = used.min(round.lately);
            self.narrowest = self
                .narrowest
                .filter(|&narrowest| sustained < 1.4 * narrowest);
        }
    }

    /// More came than the path carries, which is `rate` by one round more.
    fn note_narrow(&mut self, rate: f64) {
        let known = self.narrowest.unwrap_or(rate);
        self.narrowest = Some(known + (rate - known) / 4.0);
    }

    /// Rounds that left as quickly as the one for which the rate was cut, but before that was
    /// known: where they came through, the rate was not the cause of what was lost, and stands
    /// again. Returns whether this round shows it.
    fn reconsider(&mut self, round: &Round, reading: Reading) -> bool {
        let Some(mut cut) = self.undecided else {
            return false;
        };
        if round.start >= cut.at {
            // All that had left before has been weighed.
            self.undecided = None;
            return false;
        }
        if round.rate < 0.9 * cut.of {
            return false;
        }
        if !matches!(reading, Reading::Fine | Reading::Nothing | Reading::Unsure) {
            self.undecided = None;
            return false;
        }
        cut.chance += self.favours_rate(round, cut.share);
        self.undecided = Some(cut);
        if cut.chance < -BEYOND_DOUBT.ln() {
            return false;
        }
        self.undecided = None;
        self.overruns = self.overruns.saturating_sub(1);
        self.doubling = cut.doubling;
        self.wall = cut.wall;
        self.cut = cut.before;
        self.episode = None;
        self.set_rate(cut.rate);
        true
    }

    /// How much likelier what became of a round is if nothing of it was lost for the rate than if
    /// `share` was: a natural logarithm.
    fn favours_rate(&self, round: &Round, share: f64) -> f64 {
        let kept = (1.0 - share).clamp(0.01, 0.99);
        let of = |asked: u32, answered: u32, expected: f64| {
            let expected = expected.clamp(0.01, 0.99);
            let lost = f64::from(asked.saturating_sub(answered));
            -f64::from(answered) * kept.ln()
                + lost * ((1.0 - expected) / (1.0 - expected * kept)).ln()
        };
        let share_of_walk = round.expected_share.or(self.share).unwrap_or(0.0);
        of(round.sent, round.answered, share_of_walk)
            + of(
                round.sentinels,
                round.sentinels_answered,
                1.0 - self.losses.base(round.rate),
            )
    }

    /// A rate was too much, which counts as so many times.
    pub(super) fn set_wall(&mut self, rate: f64, hits: u32, now: Duration) {
        self.streak = 0;
        let before = self
            .wall
            .filter(|wall| (0.7..1.4).contains(&(rate / wall.rate)))
            .map_or(0, |wall| wall.hits);
        self.wall = Some(Wall {
            rate,
            at: now,
            hits: before.saturating_add(hits),
        });
    }

    pub(super) fn set_rate(&mut self, rate: f64) {
        let lowest = if self.trusts || self.memory.is_some() {
            self.limits.lowest
        } else {
            self.limits
                .initial
                .clamp(self.limits.lowest, self.limits.highest)
        };
        self.rate = rate.clamp(lowest, self.limits.highest);
    }

    pub(super) fn grow(&mut self, round: &Round, now: Duration) {
        self.streak += 1;
        let used = round.used();
        if let Some(wall) = self.wall
            && wall.hits < 2
            && used > 1.1 * wall.rate
        {
            // It holds now: there is no wall.
            self.wall = None;
            self.doubling = true;
        }
        let factor = if self.doubling {
            2.0
        } else {
            match self.wall {
                Some(wall) if now.saturating_sub(wall.at) < Duration::from_secs(10) => {
                    let near = round.rate / wall.rate;
                    // What failed once and holds now for many rounds was no wall, but a burst of
                    // losses.
                    match self.streak {
                        _ if near < 0.75 && wall.hits < 2 => 1.5,
                        _ if near < 0.75 => 1.2,
                        0..2 if wall.hits < 2 => 1.05,
                        2..4 if wall.hits < 2 => 1.5,
                        _ if wall.hits < 2 => 2.0,
                        0..5 => 1.02,
                        5..10 => 1.1,
                        10..15 => 1.3,
                        _ => 2.0,
                    }
                }
                _ => 1.25,
            }
        };
        // What was not used is not known to be carried.
        let mut aim = (round.rate * factor).min((used * 4.0).max(self.limits.initial));
        if let Some(memory) = self.memory {
            // A path that remembers for seconds shows only after seconds what was too much.
            aim = aim.min(memory.rate_to_try(now));
        }
        if aim > self.rate {
            self.set_rate(aim);
        }
    }

    pub(super) fn learn_share(&mut self, round: &Round, weight: f64) {
        if round.sent < 16 {
            return;
        }
        let now = (f64::from(round.answered) / f64::from(round.sent)).min(1.0);
        self.share = Some(match self.share {
            None => now,
            Some(known) => known + (now - known) * weight,
        });
    }
}
