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

impl Pace {
    /// Sets the rate by what the round at `place` shows.
    pub(super) fn follow(&mut self, place: usize, reading: Reading, now: Duration) {
        let Some(round) = self.rounds.get(place).cloned() else {
            return;
        };
        let is_news = round.start >= self.cut;
        if is_news {
            self.remember(&round, now);
        }
        let reading = self.read_window(&round, reading, is_news);
        match reading {
            Reading::Nothing => self.learn_share(&round, 0.3),
            Reading::Fine => {
                self.doubt = None;
                self.note_carried(&round);
                self.learn_share(&round, 0.2);
                self.learn_base_loss(&round);
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
                    self.set_wall(round.rate.min(self.rate), now);
                    self.set_rate(delivered.min(round.rate) * 0.97);
                    self.cut = now;
                }
            }
            Reading::Disagreed { share } => {
                let doubt = self.doubt.get_or_insert_default();
                if round.trusted {
                    doubt.chance += round.favours_path(share, self.base_loss);
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
            Reading::Dead => {
                self.doubt = None;
                self.note_dead(self.first + as_u32(place), &round, is_news);
            }
            Reading::Lost { share } => {
                self.doubt = None;
                if is_news && self.memory.is_none() {
                    self.cut_for(&round, share, now);
                }
            }
        }
    }

    pub(super) fn cut_for(&mut self, round: &Round, share: f64, now: Duration) {
        let (rate, lost) = *self.episode.get_or_insert((round.rate, share));
        // Through a narrow link as much comes as before, whatever the rate.
        let is_narrow = round.rate * (1.0 - share) > 0.8 * rate * (1.0 - lost);
        if round.rate <= 0.6 * rate && share >= 0.7 * lost && share < 0.95 && !is_narrow {
            // At little more than half the rate as much is lost: the rate is not the cause.
            self.base_loss = 1.0 - (1.0 - self.base_loss) * (1.0 - share);
            self.share = self.share.map(|known| known * (1.0 - share));
            self.episode = None;
            self.wall = None;
            self.set_rate(rate);
            self.cut = now;
            return;
        }
        self.overruns += 1;
        self.doubling = false;
        self.note_narrow(round.rate * (1.0 - share));
        self.set_wall(round.rate, now);
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
            self.narrowest = self.narrowest.filter(|&narrowest| used < 1.4 * narrowest);
        }
    }

    /// More came than the path carries, which is `rate` by one round more.
    fn note_narrow(&mut self, rate: f64) {
        let known = self.narrowest.unwrap_or(rate);
        self.narrowest = Some(known + (rate - known) / 4.0);
    }

    pub(super) fn set_wall(&mut self, rate: f64, now: Duration) {
        self.streak = 0;
        self.wall = Some((rate, now));
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
        let factor = if self.doubling {
            2.0
        } else {
            match self.wall {
                Some((wall, at)) if now.saturating_sub(at) < Duration::from_secs(10) => {
                    let near = round.rate / wall;
                    // What failed once and holds now for many rounds was no wall, but a burst of
                    // losses.
                    match self.streak {
                        _ if near < 0.75 => 1.2,
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
        let used = round.used();
        let mut aim = (round.rate * factor).min((used * 4.0).max(self.limits.initial));
        if let Some(memory) = self.memory {
            // A path that remembers for seconds shows only after seconds what was too much.
            aim = aim.min(memory.rate_to_try(now));
        }
        if aim > self.rate {
            self.set_rate(aim);
        }
    }

    /// What sentinels lose at any rate.
    fn learn_base_loss(&mut self, round: &Round) {
        // Near a rate that was too much, what is lost is lost for the rate.
        let is_low = self.wall.is_none_or(|(wall, _)| round.rate <= 0.6 * wall);
        if round.sentinels > 0 && self.memory.is_none() && is_low {
            let lost = 1.0 - f64::from(round.sentinels_answered) / f64::from(round.sentinels);
            // An average at first, and then one that forgets.
            self.base_seen = (self.base_seen + f64::from(round.sentinels)).min(100.0);
            let weight = f64::from(round.sentinels) / (10.0 + self.base_seen);
            self.base_loss += (lost.clamp(0.0, 1.0) - self.base_loss) * weight;
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
