//! When probes left: few enough moments that a source port can say which.

use std::time::Duration;

use crate::pace::Kind;
use crate::transport::Job;

/// How many moments are told apart.
pub(super) const MOMENTS: usize = 4095;

/// Moments are at least so far apart, and at the most.
pub(super) const FINEST: Duration = Duration::from_micros(250);
const COARSEST: Duration = Duration::from_millis(8);

/// When probes left, and what for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) at: Duration,
    pub(super) round: u32,
    pub(super) kind: Kind,
}

/// The last moments in which probes left.
#[derive(Debug)]
pub(super) struct Moments {
    ring: Vec<Option<Moment>>,
    /// The moment that is filled now, of probes and of sentinels.
    current: [usize; 2],
    next: usize,
    quickest: Option<Duration>,
}

impl Moments {
    /// No probe has left yet.
    pub(super) fn new() -> Self {
        Self {
            ring: vec![None; MOMENTS],
            current: [0; 2],
            next: 0,
            quickest: None,
        }
    }

    /// The place of the moment in which the probe of a job leaves.
    pub(super) fn place(&mut self, job: &Job) -> usize {
        let slot = usize::from(job.kind == Kind::Sentinel);
        let apart = self
            .quickest
            .map_or(FINEST, |rtt| (rtt / 16).clamp(FINEST, COARSEST));
        let current = self.get(self.current[slot]);
        let fits = current.is_some_and(|moment| {
            moment.round == job.round && moment.kind == job.kind && job.at < moment.at + apart
        });
        if !fits {
            self.current[slot] = self.next;
            self.ring[self.next] = Some(Moment {
                at: job.at,
                round: job.round,
                kind: job.kind,
            });
            self.next = (self.next + 1) % MOMENTS;
        }
        self.current[slot]
    }

    /// The moment at a place.
    pub(super) fn get(&self, place: usize) -> Option<Moment> {
        self.ring.get(place).copied().flatten()
    }

    /// An answer took so long.
    pub(super) fn note(&mut self, rtt: Duration) {
        self.quickest = Some(self.quickest.map_or(rtt, |known| known.min(rtt)));
    }
}
