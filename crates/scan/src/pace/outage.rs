//! Outages: nothing comes through any more, and what that teaches once something does.

use std::time::Duration;

use super::Pace;
use super::round::Round;

/// What lasts longer, and nothing came through meanwhile, is a table that is full or a firewall
/// that has shut: it opens by time.
pub(super) const SHORTEST_OUTAGE: Duration = Duration::from_millis(500);

/// While nothing comes through, so many sentinels a second see whether it does again.
pub(super) const OUTAGE_RATE: f64 = 10.0;

/// The path has closed altogether: nothing comes back, not even from sentinels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outage {
    /// When what was lost had begun to be sent.
    pub(super) since: Duration,
    /// The rate until then.
    pub(super) rate: f64,
    /// Probes that went out from the last recovery until then.
    pub(super) carried: f64,
}

/// What an outage has taught: a table on the path that fills, or a firewall that counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    /// How long the path remembers, about.
    pub(super) time: Duration,
    /// The rate that it bore on average, and when that was learnt.
    pub(super) rate: f64,
    pub(super) at: Duration,
    /// Sentinels since then, and how many of them were lost.
    pub(super) asked: u32,
    pub(super) lost: u32,
}

impl Memory {
    /// Whether more is lost than the path loses at any rate.
    pub(super) fn overflows(&self, base_loss: f64) -> bool {
        self.asked >= 12 && f64::from(self.lost) > f64::from(self.asked) * (base_loss + 0.08)
    }

    /// The rate to try: more only after it has borne this one for as long as it remembers, and
    /// then little by little.
    pub(super) fn rate_to_try(&self, now: Duration) -> f64 {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        let times = passed / self.time.as_secs_f64().max(0.25);
        self.rate * 1.03f64.powf((times - 3.0).max(0.0))
    }
}

impl Pace {
    /// Counts what became of sentinels on a path that remembers, and goes slower when it
    /// overflows again.
    pub(super) fn remember(&mut self, round: &Round, now: Duration) {
        let base_loss = self.base_loss;
        let Some(memory) = self.memory.as_mut() else {
            return;
        };
        memory.asked += round.sentinels;
        memory.lost += round.sentinels.saturating_sub(round.sentinels_answered);
        if memory.overflows(base_loss) {
            *memory = Memory {
                rate: memory.rate.min(self.rate) * 0.9,
                at: now,
                asked: 0,
                lost: 0,
                ..*memory
            };
            let rate = memory.rate;
            self.overruns += 1;
            self.cut = now;
            self.set_rate(rate);
        }
    }

    /// Nothing comes through any more.
    pub(super) fn close(&mut self, round: &Round) {
        self.overruns += 1;
        self.doubling = false;
        let later: u32 = self
            .rounds
            .iter()
            .filter(|other| other.start >= round.start)
            .map(|other| other.sent + other.sentinels)
            .sum();
        self.outage = Some(Outage {
            since: round.start,
            rate: round.rate,
            carried: (self.sent_since - f64::from(later)).max(1.0),
        });
        self.rate = OUTAGE_RATE.min(self.limits.highest);
    }

    /// Whether a round began while nothing came through.
    pub(super) fn is_of_outage(&self, number: u32) -> bool {
        let place = number.checked_sub(self.first);
        let round = place.and_then(|place| self.rounds.get(place as usize));
        match (round, self.outage) {
            (Some(round), Some(outage)) => round.start > outage.since,
            _ => false,
        }
    }

    /// Something came through again: what went out until it closed, over all the time since the
    /// last opening, is what the path bears in the long run.
    pub(super) fn open_again(&mut self, outage: Outage, now: Duration) {
        self.outage = None;
        self.cut = now;
        let length = now.saturating_sub(outage.since);
        let rtt = self.rtt.srtt().unwrap_or_default();
        if length < SHORTEST_OUTAGE.max(8 * rtt) {
            // A burst of losses, no more.
            self.set_rate(outage.rate / 2.0);
            return;
        }
        let cycle = now.saturating_sub(self.opened).as_secs_f64().max(1e-3);
        // A little less, since the last of it may have been dropped already.
        let rate = 0.95 * outage.carried / cycle;
        self.memory = Some(Memory {
            time: length,
            rate,
            at: now,
            asked: 0,
            lost: 0,
        });
        self.opened = now;
        self.sent_since = 0.0;
        self.wall = None;
        self.episode = None;
        self.cut = now;
        self.set_rate(rate);
    }
}
