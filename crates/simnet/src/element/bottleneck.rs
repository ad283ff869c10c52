//! A narrow link with a queue before it.

use crate::scenario::Bottleneck;

/// Nanoseconds in a second.
const SECOND: u128 = 1_000_000_000;

/// The state of a link that sends `rate` packets a second and lets `queue` packets wait.
///
/// Time is counted in nanoseconds times the rate, so that each packet takes exactly
/// [`SECOND`] of it and no rate is rounded.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    rate: u128,
    waiting_most: u128,
    /// When the link will have sent all that it has taken.
    free_at: u128,
}

impl Queue {
    pub(crate) fn new(config: Bottleneck) -> Self {
        Self {
            rate: config.rate.into(),
            waiting_most: config.queue.into(),
            free_at: 0,
        }
    }

    /// Takes a packet at `now` (nanoseconds, never earlier than the last). When it will have been
    /// sent; `None` when the queue is full.
    pub(crate) fn take(&mut self, now: u64) -> Option<u64> {
        let now = u128::from(now) * self.rate;
        let backlog = self.free_at.saturating_sub(now).div_ceil(SECOND);
        // One packet is being sent, the others wait.
        if backlog > self.waiting_most {
            return None;
        }
        self.free_at = self.free_at.max(now) + SECOND;
        u64::try_from(self.free_at.div_ceil(self.rate)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_leaves_at_exactly_the_rate() {
        let mut link = Queue::new(Bottleneck {
            rate: 3,
            queue: 100,
        });
        let sent: Vec<_> = (0..6).map(|_| link.take(0).unwrap()).collect();
        assert_eq!(
            sent,
            [
                333_333_334,
                666_666_667,
                1_000_000_000,
                1_333_333_334,
                1_666_666_667,
                2_000_000_000
            ]
        );
    }

    #[test]
    fn one_packet_is_sent_the_queue_waits_and_the_rest_is_dropped() {
        let mut link = Queue::new(Bottleneck {
            rate: 1000,
            queue: 60,
        });
        let taken = (0..100).filter(|_| link.take(0).is_some()).count();
        assert_eq!(taken, 61);
        // A millisecond later one has left, so that one more fits.
        assert!(link.take(1_000_000).is_some());
        assert!(link.take(1_000_000).is_none());
    }

    #[test]
    fn a_long_overload_carries_the_rate_to_the_packet() {
        let mut link = Queue::new(Bottleneck {
            rate: 4000,
            queue: 60,
        });
        // 12,000 packets a second for 100 s.
        let taken = (0..1_200_000u64)
            .filter(|n| link.take(n * 1_000_000_000 / 12_000).is_some())
            .count();
        assert!((400_000..=400_061).contains(&taken), "{taken}");
    }

    #[test]
    fn an_idle_link_adds_only_the_time_of_sending() {
        let mut link = Queue::new(Bottleneck {
            rate: 1000,
            queue: 0,
        });
        assert_eq!(link.take(5_000_000), Some(6_000_000));
        assert_eq!(link.take(5_500_000), None);
        assert_eq!(link.take(6_000_000), Some(7_000_000));
    }
}
