//! How quickly each host has answered at its best: what an answer takes beyond that, it may have
//! spent in a queue.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::time::Duration;

use crate::pace::Trip;

/// Hosts whose quickest answer is remembered.
const REMEMBERED: usize = 1 << 14;

/// The time of the quickest answer of each host.
#[derive(Debug, Default)]
pub(crate) struct Quickest(HashMap<IpAddr, Duration>);

impl Quickest {
    /// How long an answer took, and how long it had to wait on its way.
    ///
    /// Hosts of one path are not equally far: only what is more than the quickest answer of the
    /// same host may have been spent in a queue.
    pub(crate) fn trip(&mut self, address: IpAddr, rtt: Duration) -> Trip {
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        let waited = match self.0.entry(address) {
            Entry::Occupied(mut quickest) => {
                let least = rtt.min(*quickest.get());
                quickest.insert(least);
                Some(rtt.saturating_sub(least))
            }
            Entry::Vacant(place) => {
                place.insert(rtt);
                None
            }
        };
        Trip { rtt, waited }
    }
}
