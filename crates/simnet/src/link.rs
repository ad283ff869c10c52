//! The network in memory: send and receive under simulated time.

use std::collections::VecDeque;
use std::time::Duration;

use crate::{Medium, Network, Scenario};

/// A scanner's end of a simulated network. Time passes only as far as
/// [`recv`](Self::recv) waits.
#[derive(Debug)]
pub struct SimLink<M = Network> {
    medium: M,
    inbox: VecDeque<(Duration, Vec<u8>)>,
    now: Duration,
}

impl SimLink {
    /// The end of a scenario's network, which speaks IP packets.
    pub fn new(scenario: &Scenario) -> Self {
        Self::over(Network::new(scenario))
    }
}

impl<M: Medium> SimLink<M> {
    /// The end of any medium.
    pub const fn over(medium: M) -> Self {
        Self {
            medium,
            inbox: VecDeque::new(),
            now: Duration::ZERO,
        }
    }

    /// What lies behind.
    pub const fn medium(&self) -> &M {
        &self.medium
    }

    /// The present.
    pub const fn now(&self) -> Duration {
        self.now
    }

    /// Sends a frame at `now`, or at present where that is later. What arrives until then waits
    /// for [`recv`](Self::recv).
    pub fn send(&mut self, now: Duration, frame: &[u8]) {
        self.pass_until(now);
        self.medium.inject(self.now, frame);
    }

    /// The next frame that arrives until `until`, and when it did; `None` when none does, and
    /// then it is `until`. A frame that arrived before the present is handed out as it was.
    pub fn recv(&mut self, until: Duration) -> Option<(Duration, Vec<u8>)> {
        while self.inbox.is_empty() {
            match self.medium.next_event() {
                Some(next) if next <= until => self.pass_until(next),
                _ => {
                    self.now = self.now.max(until);
                    return None;
                }
            }
        }
        self.inbox.pop_front()
    }

    fn pass_until(&mut self, time: Duration) {
        self.now = self.now.max(time);
        let inbox = &mut self.inbox;
        self.medium.poll(self.now, &mut |at, frame| {
            inbox.push_back((at, frame.to_vec()));
        });
    }
}
