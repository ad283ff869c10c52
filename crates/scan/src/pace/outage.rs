//! Outages: nothing comes through any more, and what that teaches once something does.

use std::time::Duration;

use super::round::Round;
use super::{EVIDENCE, Pace, SLOW, truncate};

/// What lasts longer, and nothing came through meanwhile, is a table that is full or a firewall
/// that has shut: it opens by time.
pub(super) const SHORTEST_OUTAGE: Duration = Duration::from_millis(500);

/// Time between two questions that see whether known flows pass.
const CHECK: Duration = Duration::from_millis(500);

/// While nothing comes through, so many sentinels a second see whether it does again.
pub(super) const OUTAGE_RATE: f64 = 10.0;

/// The same at first: a burst of losses may be no more than so many packets long.
const BURST_RATE: f64 = 100.0;

/// What shut after so many packets within a second bears this share of them.
const BELOW: f64 = 0.7;

/// Where all pass again, a sentinel is answered within this time after another packet that was.
const OTHERS_FOLLOW: Duration = Duration::from_millis(350);

/// The path has closed altogether: nothing comes back, not even from sentinels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outage {
    /// When what was lost had begun to be sent.
    pub(super) since: Duration,
    /// The rate until then.
    pub(super) rate: f64,
    /// Probes that went out from the last recovery until then.
    pub(super) carried: f64,
    /// The same, within the last second of that.
    burst: f64,
    /// When something first came back of a flow that the path knew before.
    known_passed: Option<Duration>,
}

/// What an outage has taught: a table on the path that fills, or a firewall that counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    /// How long the path remembers, about.
    pub(super) time: Duration,
    /// The rate that it bore on average, and when that was learnt.
    pub(super) rate: f64,
    pub(super) at: Duration,
    /// It counts packets, not flows: one of a flow that it knows is one more.
    pub(super) counts_packets: bool,
    /// The rate that was too much.
    ceiling: Option<f64>,
    /// Sentinels since then, and how many of them were lost.
    pub(super) asked: u32,
    pub(super) lost: u32,
}

/// Rounds of which nothing came back, one after another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dead {
    /// The first of them.
    first: u32,
    /// When that began, and what had gone out before since the path last opened, and within a
    /// second.
    since: Duration,
    carried: f64,
    burst: f64,
    /// How many there are, with how many sentinels and how many answers that were to be expected.
    rounds: u32,
    sentinels: u32,
    expected: f64,
}

impl Dead {
    /// Whether so much is missing that nothing comes through any more.
    fn is_sure(&self) -> bool {
        self.rounds >= 2 && self.sentinels >= 3 && self.expected >= 2.0 * EVIDENCE
    }
}

impl Memory {
    /// Whether more is lost than the path loses at any rate.
    fn overflows(&self, base_loss: f64) -> bool {
        let usual = f64::from(self.asked) * base_loss.max(0.005);
        self.asked >= 16 && f64::from(self.lost) > usual + 2.5 * (usual + 0.5).sqrt()
    }

    /// The share that is lost beyond what is lost at any rate.
    fn excess(&self, base_loss: f64) -> f64 {
        f64::from(self.lost) / f64::from(self.asked.max(1)) - base_loss
    }

    /// What was seen long ago counts less.
    const fn fade(&mut self) {
        if self.asked >= 128 {
            self.asked /= 2;
            self.lost /= 2;
        }
    }

    /// The rate to try. A table shows only when it has run full what was too much: more only
    /// after it has borne this rate for as long as it remembers, and then little by little. What
    /// counts packets may well count them over a shorter time than that for which it shuts.
    pub(super) fn rate_to_try(&self, now: Duration) -> f64 {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        let times = passed / self.time.as_secs_f64().max(5.0);
        let (aim, margin) = if self.counts_packets {
            (self.rate * 1.25f64.powf(passed.min(60.0)), 0.75)
        } else {
            (
                self.rate * 1.02f64.powf((times - 2.0).clamp(0.0, 6.0)),
                0.94,
            )
        };
        let most = self.ceiling.map_or(f64::INFINITY, |ceiling| {
            ceiling * margin * 1.002f64.powf(times.min(100.0))
        });
        aim.min(most.max(self.rate))
    }
}

impl Pace {
    /// Whether something on the path drops everything for a time after so many packets within a
    /// second: how long, and how many.
    pub const fn shuts(&self) -> Option<(Duration, u32)> {
        self.shuts
    }

    /// Whether the path keeps a table of flows: a question of a flow that it knows costs it
    /// nothing. Returns how long an entry lives, about.
    pub fn keeps_flows(&self) -> Option<Duration> {
        let memory = self.memory.filter(|memory| !memory.counts_packets)?;
        Some(memory.time)
    }

    /// Whether it is time to ask a port that answers, within a flow that the path knows: a table
    /// that is full lets it through, a firewall that has shut does not.
    pub fn checks_flows(&self, now: Duration) -> bool {
        let is_due = self.checked.is_none_or(|then| now >= then + CHECK);
        self.trusts && self.limits.highest >= SLOW && is_due
    }

    /// Such a question went out.
    pub fn checked_flows(&mut self, now: Duration) {
        self.checked = Some(now);
        self.credit -= 1.0;
        self.sent_since += 1.0;
    }

    /// Questions a second that are worth asking while nothing comes through.
    pub(super) fn outage_rate(&self, now: Duration) -> f64 {
        match self.outage {
            Some(outage) if now < outage.since + self.shortest_outage() => {
                BURST_RATE.min(outage.rate).max(OUTAGE_RATE)
            }
            _ => OUTAGE_RATE,
        }
    }

    /// What is over sooner was a burst of losses.
    fn shortest_outage(&self) -> Duration {
        SHORTEST_OUTAGE.max(8 * self.rtt.srtt().unwrap_or_default())
    }

    /// Something came back of a flow that is kept.
    pub(super) fn hear_kept(&mut self, now: Duration) {
        let wait = self.wait();
        if let Some(outage) = &mut self.outage
            && now > outage.since + 2 * wait
        {
            outage.known_passed.get_or_insert(now);
        }
    }

    /// Counts what became of sentinels on a path that remembers, and goes slower when it
    /// overflows again.
    pub(super) fn remember(&mut self, round: &Round, now: Duration) {
        let base_loss = self.losses.base(round.rate);
        self.heard_of += u64::from(round.sentinels);
        if self.outage.is_some() {
            return;
        }
        // What counts packets drops all of them or none: a few that are lost are no sign.
        let Some(memory) = self.memory.as_mut().filter(|of| !of.counts_packets) else {
            return;
        };
        memory.fade();
        let lost = round.sentinels.saturating_sub(round.sentinels_answered);
        memory.asked += round.sentinels;
        memory.lost += lost;
        if lost > 0 && base_loss < 0.005 {
            self.doubts += 1;
        }
        if memory.overflows(base_loss) {
            let excess = memory.excess(base_loss);
            self.slow_down((1.0 - excess).clamp(0.6, 0.99) * 0.98, now);
        }
    }

    /// The path that remembers overflows: it bears less, by this factor.
    fn slow_down(&mut self, factor: f64, now: Duration) {
        let Some(memory) = self.memory.as_mut() else {
            return;
        };
        let tried = self.rate.max(OUTAGE_RATE);
        let rate = memory.rate.min(tried) * factor;
        *memory = Memory {
            rate,
            at: now,
            ceiling: Some(tried),
            asked: 0,
            lost: 0,
            ..*memory
        };
        self.overruns += 1;
        self.cut = now;
        self.set_rate(rate);
    }

    /// Something came back of a round.
    pub(super) fn note_alive(&mut self, number: u32) {
        self.alive = self.alive.max(number);
        self.dead = self.dead.filter(|dead| number < dead.first);
    }

    /// Nothing came back of a round, of which so much was expected. It tells what the last cut of
    /// the rate did not: that lower rates bring nothing either.
    pub(super) fn note_dead(&mut self, number: u32, round: &Round, expected: f64) {
        if number <= self.alive && self.alive > 0 || round.start < self.reopened {
            return;
        }
        let dead = self.dead.get_or_insert_with(|| {
            // The round before it may have been dropped in part.
            let dropped = 0.75 * f64::from(round.sent + round.sentinels);
            Dead {
                first: number,
                since: round.start,
                carried: round.sent_before - dropped,
                burst: round.lately - dropped,
                rounds: 0,
                sentinels: 0,
                expected: 0.0,
            }
        });
        dead.rounds += 1;
        dead.sentinels += round.sentinels;
        dead.expected += expected;
        let dead = *dead;
        if dead.is_sure() && self.outage.is_none() {
            self.close(dead, round.rate);
        }
    }

    /// Nothing comes through any more.
    fn close(&mut self, dead: Dead, rate: f64) {
        self.overruns += 1;
        self.doubling = false;
        self.outage = Some(Outage {
            since: dead.since,
            rate,
            carried: dead.carried.max(1.0),
            burst: dead.burst.max(1.0),
            known_passed: None,
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
        self.dead = None;
        self.cut = now;
        self.reopened = now;
        for round in &mut self.rounds {
            let length = round.lasted();
            round.shut |= round.end.is_none_or(|end| end + length >= outage.since);
        }
        let length = now.saturating_sub(outage.since);
        if length < self.shortest_outage() {
            if let Some(memory) = self.memory {
                // A table that is just full lets in as much as leaves it.
                self.set_rate(memory.rate);
                self.slow_down(0.95, now);
            } else {
                // A burst of losses, no more.
                self.set_rate(outage.rate / 2.0);
            }
            return;
        }
        let cycle = now.saturating_sub(self.opened).as_secs_f64().max(1e-3);
        // A little less: the last of it may have been dropped already, and flows live on for a
        // while when they are asked again.
        let average = 0.91 * outage.carried / cycle;
        // One that passes just before all others do has passed because all may again.
        let first = OTHERS_FOLLOW + self.wait();
        let counts_packets = outage.known_passed.is_none_or(|then| now <= then + first);
        let (rate, ceiling) = if counts_packets {
            let most = match self.memory {
                // It shut again at a rate that was to be borne: it counts over a longer time.
                Some(memory) if memory.counts_packets => outage.burst.min(memory.rate) / 1.5,
                _ => outage.burst,
            };
            let (longest, _) = self.shuts.unwrap_or_default();
            self.shuts = Some((longest.max(length), truncate(most)));
            ((BELOW * most).max(average), Some(most.max(average)))
        } else {
            (average, None)
        };
        let time = self.memory.map_or(length, |memory| memory.time.max(length));
        self.memory = Some(Memory {
            time,
            rate,
            at: now,
            counts_packets,
            ceiling,
            asked: 0,
            lost: 0,
        });
        self.opened = now;
        self.sent_since = 0.0;
        self.wall = None;
        self.episode = None;
        self.set_rate(rate);
    }
}
