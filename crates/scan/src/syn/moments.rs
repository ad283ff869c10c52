//! When probes left: few enough moments that a source port can say which.

use std::time::Duration;

use crate::pace::Kind;
use crate::transport::Job;

/// How many moments are told apart at the most.
pub(super) const MOMENTS: usize = 4095;

/// With fewer moments, they are so much farther apart that no answer comes after the moments have
/// come round.
const ROUND: Duration = Duration::from_secs(1);

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
    finest: Duration,
}

impl Moments {
    /// No probe has left yet; so many moments are told apart.
    pub(super) fn new(count: usize) -> Self {
        let count = count.clamp(2, MOMENTS);
        let finest = ROUND / u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            ring: vec![None; count],
            current: [0; 2],
            next: 0,
            quickest: None,
            finest: finest.max(FINEST),
        }
    }

    /// How many moments are told apart.
    pub(super) const fn count(&self) -> usize {
        self.ring.len()
    }

    /// The place of the moment in which the probe of a job leaves.
    pub(super) fn place(&mut self, job: &Job) -> usize {
        let slot = usize::from(job.kind == Kind::Sentinel);
        let finest = self.finest;
        let apart = self
            .quickest
            .map_or(finest, |rtt| (rtt / 16).clamp(finest, COARSEST.max(finest)));
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
            self.next = (self.next + 1) % self.ring.len();
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
