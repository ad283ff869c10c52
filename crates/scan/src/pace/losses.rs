//! What sentinels lose, and at which rate: loss that does not grow with the rate is the path's own.

use super::round::Round;

/// Bands of rates: two for each doubling, from one packet a second on.
const BANDS: usize = 64;

/// A band forgets what it saw before so many sentinels.
const REMEMBERED: f64 = 64.0;

/// So many sentinels at lower rates say what is lost there.
const KNOWN: f64 = 8.0;

/// The most that may be lost whatever the rate as long as no lower rate has shown it.
const UNPROVEN: f64 = 0.12;

/// So many sentinels tell a loss that must be explained.
const SEEN: f64 = 12.0;

/// The share that must be.
const SUSPECT: f64 = 0.2;

/// Sentinels that were asked, and how many of them were lost.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    asked: f64,
    lost: f64,
}

impl Count {
    fn add(&mut self, round: &Round) {
        self.asked += f64::from(round.sentinels);
        self.lost += f64::from(round.sentinels.saturating_sub(round.sentinels_answered));
    }

    /// The share that is lost, and less where few were asked: none is more likely than any.
    fn share(self) -> f64 {
        (self.lost + 0.1) / (self.asked + 10.0)
    }
}

/// The sentinels of a path by the rate at which they were asked.
#[derive(Debug, Clone)]
pub(super) struct Losses {
    bands: [Count; BANDS],
    /// Those of the last rounds at about the same rate, of which each has too few to tell a loss
    /// from a few.
    recent: Count,
    recent_rate: f64,
}

impl Default for Losses {
    fn default() -> Self {
        Self {
            bands: [Count::default(); BANDS],
            recent: Count::default(),
            recent_rate: 0.0,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float saturates, and the number is not negative"
)]
fn band(rate: f64) -> usize {
    ((2.0 * rate.max(1.0).log2()) as usize).min(BANDS - 1)
}

impl Losses {
    /// A round came to its end.
    pub(super) fn add(&mut self, round: &Round) {
        let band = &mut self.bands[band(round.rate)];
        if band.asked >= REMEMBERED {
            band.asked /= 2.0;
            band.lost /= 2.0;
        }
        band.add(round);
        if round.rate > 1.4 * self.recent_rate || round.rate < 0.7 * self.recent_rate {
            self.recent = Count::default();
            self.recent_rate = round.rate;
        } else if self.recent.asked >= 96.0 {
            self.recent.asked /= 2.0;
            self.recent.lost /= 2.0;
        }
        self.recent.add(round);
    }

    /// What was seen at rates that are clearly lower, up to the one by which least was lost: more
    /// at those between may have been lost for the rate already.
    fn below(&self, rate: f64) -> Option<Count> {
        let mut sum = Count::default();
        let mut best: Option<Count> = None;
        for count in &self.bands[..band(rate).saturating_sub(1)] {
            sum.asked += count.asked;
            sum.lost += count.lost;
            if sum.asked >= KNOWN && best.is_none_or(|best| sum.share() <= best.share()) {
                best = Some(sum);
            }
        }
        best
    }

    /// The share that is lost whatever the rate, as far as rates up to this one show it: where
    /// lower ones are not known, what is lost at this one need not be lost for the rate.
    pub(super) fn base(&self, rate: f64) -> f64 {
        self.below(rate).map_or_else(
            || {
                let this = band(rate);
                let mut near = Count::default();
                for count in &self.bands[this.saturating_sub(1)..=this] {
                    near.asked += count.asked;
                    near.lost += count.lost;
                }
                near.share().min(UNPROVEN)
            },
            Count::share,
        )
    }

    /// The share that was lost of late beyond what is lost at lower rates, if chance does not
    /// explain it.
    pub(super) fn excess(&self) -> Option<f64> {
        let (now, below) = (self.recent, self.below(self.recent_rate)?);
        if now.lost < 3.0 {
            return None;
        }
        let (share, usual) = (now.lost / now.asked, below.lost / below.asked);
        let pooled = (now.lost + below.lost + 0.1) / (now.asked + below.asked + 10.0);
        let spread = pooled * (1.0 - pooled) * (1.0 / now.asked + 1.0 / below.asked);
        (share > usual + 3.0 * spread.sqrt()).then_some(share - usual)
    }

    /// Whether so much was lost of late that it must be seen at a lower rate before it counts as
    /// the path's own: a policer that drops two of three packets at this rate drops none at a third
    /// of it, and delays nothing that would tell of it.
    pub(super) fn is_unproven(&self) -> bool {
        let now = self.recent;
        if now.asked < SEEN || now.lost < SUSPECT * now.asked {
            return false;
        }
        let band = band(self.recent_rate);
        let sum = |bands: &[Count]| {
            bands.iter().fold(Count::default(), |sum, count| Count {
                asked: sum.asked + count.asked,
                lost: sum.lost + count.lost,
            })
        };
        if sum(&self.bands[..band.saturating_sub(2)]).asked >= SEEN {
            return false;
        }
        // As much is lost at more than twice the rate: then the rate is not the cause.
        let above = sum(&self.bands[(band + 3).min(BANDS)..]);
        let kept = |count: Count| 1.0 - count.lost / count.asked;
        above.asked < KNOWN || kept(now) > 1.25 * kept(above)
    }

    /// What was lost of late has been acted upon.
    pub(super) fn forget_recent(&mut self) {
        self.recent = Count::default();
    }
}
