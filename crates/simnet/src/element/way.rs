//! One direction of a path: loss, a policer, then the narrow link, then the time that it takes.

use crate::counters::WayCounters;
use crate::element::{Bucket, Losses, Queue};
use crate::rng::Rng;
use crate::scenario::{Order, Path, Way};

/// The state of one direction.
#[derive(Debug)]
pub(crate) struct Direction {
    losses: Losses,
    police: Option<Bucket>,
    queue: Option<Queue>,
    /// Half a round trip, in nanoseconds.
    delay: u64,
    /// The most that the delay differs, in nanoseconds.
    jitter: u64,
    order: Order,
    reorder: f64,
    reorder_by: u64,
    duplicate: f64,
    rng: Rng,
    /// When the latest packet arrives.
    latest: u64,
    pub(crate) counters: WayCounters,
}

/// When a packet arrives, and its duplicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) at: u64,
    pub(crate) again_at: Option<u64>,
}

/// Milliseconds as nanoseconds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a scenario's times are checked to be from 0 to an hour"
)]
pub(crate) fn nanos(ms: f64) -> u64 {
    (ms * 1e6) as u64
}

impl Direction {
    pub(crate) fn new(path: &Path, way: &Way, seed: u64, stream: u64) -> Self {
        Self {
            losses: Losses::new(way.loss, way.burst),
            police: way.police.map(Bucket::new),
            queue: way.bottleneck.map(Queue::new),
            delay: nanos(path.rtt_ms / 2.0),
            jitter: nanos(path.jitter_ms / 2.0),
            order: path.order,
            reorder: way.reorder,
            reorder_by: nanos(way.reorder_by_ms),
            duplicate: way.duplicate,
            rng: Rng::new(seed, stream),
            latest: 0,
            counters: WayCounters::default(),
        }
    }

    /// What becomes of a packet that sets out at `now` (nanoseconds, never earlier than the
    /// last); `None` when it is lost.
    pub(crate) fn pass(&mut self, now: u64) -> Option<Fate> {
        self.counters.entered += 1;
        if self.losses.loses(&mut self.rng) {
            self.counters.lost += 1;
            return None;
        }
        if let Some(police) = &mut self.police
            && !police.take(now)
        {
            self.counters.policed += 1;
            return None;
        }
        let sent = match &mut self.queue {
            None => now,
            Some(queue) => {
                let Some(sent) = queue.take(now) else {
                    self.counters.queue_full += 1;
                    return None;
                };
                sent
            }
        };
        let at = self.arrival(sent);
        let again_at = self.rng.chance(self.duplicate).then(|| {
            self.counters.duplicated += 1;
            self.arrival(sent)
        });
        self.counters.left += 1;
        Some(Fate { at, again_at })
    }

    fn arrival(&mut self, sent: u64) -> u64 {
        let mut at = sent + self.delay;
        if self.jitter > 0 {
            at += self.rng.below(2 * self.jitter + 1);
            at = at.saturating_sub(self.jitter).max(sent);
        }
        if self.order == Order::Kept {
            at = at.max(self.latest);
        }
        self.latest = self.latest.max(at);
        if self.rng.chance(self.reorder) {
            self.counters.reordered += 1;
            at += self.reorder_by;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Limit;

    const MS: u64 = 1_000_000;

    fn direction(path: &Path, way: &Way) -> Direction {
        Direction::new(path, way, 1, 1)
    }

    #[test]
    fn the_delay_is_half_a_round_trip_give_or_take_the_jitter() {
        let path = Path {
            rtt_ms: 40.0,
            jitter_ms: 5.0,
            ..Path::default()
        };
        let mut way = direction(&path, &Way::default());
        let delays: Vec<u64> = (0..10_000u64)
            .map(|n| way.pass(n * MS).unwrap().at - n * MS)
            .collect();
        let (least, most) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
        assert!((17_500_000..17_600_000).contains(least), "{least}");
        assert!((22_400_000..=22_500_000).contains(most), "{most}");
    }

    #[test]
    fn a_policer_passes_a_burst_and_then_its_rate_and_delays_nothing() {
        let limit = Limit {
            rate: 1_000,
            burst: 50,
        };
        let mut way = direction(
            &Path::default(),
            &Way {
                police: Some(limit),
                ..Way::default()
            },
        );
        // 10,000 a second for a second.
        let passed: Vec<u64> = (0..10_000_u64)
            .filter(|n| {
                way.pass(n * MS / 10)
                    .is_some_and(|fate| fate.at == n * MS / 10)
            })
            .collect();
        assert!((1_049..=1_050).contains(&passed.len()), "{}", passed.len());
        assert_eq!(way.counters.policed, 10_000 - passed.len() as u64);
    }

    #[test]
    fn order_is_kept_where_it_is_asked_for() {
        let mut path = Path {
            rtt_ms: 40.0,
            jitter_ms: 20.0,
            ..Path::default()
        };
        let arrivals = |path: &Path| {
            let mut way = direction(path, &Way::default());
            (0..1000u64)
                .map(|n| way.pass(n * 1000).unwrap().at)
                .collect::<Vec<_>>()
        };
        assert!(!arrivals(&path).is_sorted());
        path.order = Order::Kept;
        assert!(arrivals(&path).is_sorted());
    }

    #[test]
    fn duplicates_and_late_packets_have_their_share() {
        let path = Path::default();
        let mut way = direction(
            &path,
            &Way {
                duplicate: 0.1,
                reorder: 0.2,
                reorder_by_ms: 3.0,
                ..Way::default()
            },
        );
        let fates: Vec<Fate> = (0..20_000u64).map(|_| way.pass(0).unwrap()).collect();
        let twice = fates.iter().filter(|fate| fate.again_at.is_some()).count();
        let late = fates.iter().filter(|fate| fate.at == 3 * MS).count();
        assert!((1790..=2210).contains(&twice), "{twice}");
        assert!((3720..=4280).contains(&late), "{late}");
        assert_eq!(way.counters.duplicated, twice as u64);
    }
}
