//! A firewall that takes a burst for an attack, and drops all that its sender sends.

use std::collections::VecDeque;

use crate::scenario::Firewall;

/// The state of a firewall against one sender.
#[derive(Debug, Clone)]
pub(crate) struct Wall {
    packets: usize,
    window: u64,
    blocked_for: u64,
    /// When the packets of the last window came.
    seen: VecDeque<u64>,
    blocked_until: u64,
}

impl Wall {
    pub(crate) fn new(config: &Firewall) -> Self {
        Self {
            packets: config.packets as usize,
            window: config.window_ms.saturating_mul(1_000_000),
            blocked_for: config.blocked_ms.saturating_mul(1_000_000),
            seen: VecDeque::new(),
            blocked_until: 0,
        }
    }

    /// Whether a packet gets through at `now` (nanoseconds). The packet that is one too many
    /// within the window does not, nor does any for the time of the block.
    pub(crate) fn passes(&mut self, now: u64) -> bool {
        if now < self.blocked_until {
            return false;
        }
        while self
            .seen
            .front()
            .is_some_and(|&at| at.saturating_add(self.window) <= now)
        {
            self.seen.pop_front();
        }
        if self.seen.len() >= self.packets {
            self.seen.clear();
            self.blocked_until = now.saturating_add(self.blocked_for);
            return false;
        }
        self.seen.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_closes_it_for_a_time_and_a_steady_pace_never() {
        let config = Firewall {
            packets: 10,
            window_ms: 100,
            blocked_ms: 2000,
        };
        let mut wall = Wall::new(&config);
        let ms = 1_000_000;
        assert_eq!((0..50).filter(|_| wall.passes(0)).count(), 10);
        assert!(!wall.passes(1999 * ms));
        assert!(wall.passes(2000 * ms));
        let mut wall = Wall::new(&config);
        assert!((0..1000).all(|n| wall.passes(n * 10 * ms)));
    }
}
