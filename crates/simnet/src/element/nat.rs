//! The table of a router that translates addresses: what home routers run out of.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use portolan_wire::Protocol;

use crate::scenario::Nat;

/// What a table entry is about, as seen from inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Flow {
    pub(crate) protocol: Protocol,
    pub(crate) inside: (IpAddr, u16),
    pub(crate) outside: (IpAddr, u16),
}

/// A table of `entries` flows, each of which lives for a time after the last packet from inside.
#[derive(Debug)]
pub(crate) struct Table {
    entries: usize,
    lifetime: u64,
    /// When each flow ends.
    ends: HashMap<Flow, u64>,
    /// Flows in the order of their ends, as they were when queued: a flow that was refreshed
    /// is queued again when its turn comes.
    queue: VecDeque<(u64, Flow)>,
}

impl Table {
    pub(crate) fn new(config: &Nat) -> Self {
        Self {
            entries: config.entries as usize,
            lifetime: config.lifetime_ms.saturating_mul(1_000_000),
            ends: HashMap::new(),
            queue: VecDeque::new(),
        }
    }

    /// Whether a packet from inside gets through at `now` (nanoseconds).
    pub(crate) fn outward(&mut self, now: u64, flow: Flow) -> bool {
        self.expire(now);
        let end = now.saturating_add(self.lifetime);
        if let Some(known) = self.ends.get_mut(&flow) {
            *known = end;
            return true;
        }
        if self.ends.len() >= self.entries {
            return false;
        }
        self.ends.insert(flow, end);
        self.queue.push_back((end, flow));
        true
    }

    /// Whether a packet from outside gets through: a flow is known.
    pub(crate) fn inward(&mut self, now: u64, flow: &Flow) -> bool {
        self.expire(now);
        self.ends.contains_key(flow)
    }

    /// How many flows are known.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    fn expire(&mut self, now: u64) {
        while let Some(&(queued, flow)) = self.queue.front() {
            if queued > now {
                break;
            }
            self.queue.pop_front();
            match self.ends.get(&flow) {
                Some(&end) if end > now => {
                    // Refreshed since. Ends are handed out in order of time, but a refreshed one
                    // may lie between those that are queued.
                    let place = self.queue.partition_point(|&(other, _)| other <= end);
                    self.queue.insert(place, (end, flow));
                }
                _ => {
                    self.ends.remove(&flow);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn flow(port: u16) -> Flow {
        Flow {
            protocol: Protocol::TCP,
            inside: ([192, 0, 2, 1].into(), 40_000),
            outside: ([198, 18, 0, 1].into(), port),
        }
    }

    fn table(entries: u32) -> Table {
        Table::new(&Nat {
            entries,
            lifetime_ms: 5000,
        })
    }

    #[test]
    fn a_full_table_drops_new_flows_and_keeps_the_known() {
        let mut table = table(2);
        assert!(table.outward(0, flow(1)));
        assert!(table.outward(0, flow(2)));
        assert!(!table.outward(0, flow(3)));
        assert!(table.outward(0, flow(1)));
        assert!(table.inward(0, &flow(2)));
        assert!(!table.inward(0, &flow(3)));
    }

    #[test]
    fn an_entry_ends_after_its_lifetime_to_the_nanosecond() {
        let mut table = table(1);
        assert!(table.outward(0, flow(1)));
        assert!(!table.outward(5 * SECOND - 1, flow(2)));
        assert!(table.inward(5 * SECOND - 1, &flow(1)));
        assert!(table.outward(5 * SECOND, flow(2)));
        assert!(!table.inward(5 * SECOND, &flow(1)));
    }

    #[test]
    fn a_packet_from_inside_keeps_its_entry() {
        let mut table = table(3);
        assert!(table.outward(0, flow(1)));
        assert!(table.outward(SECOND, flow(2)));
        assert!(table.outward(3 * SECOND, flow(1)));
        assert!(!table.inward(6 * SECOND, &flow(2)));
        assert!(table.inward(7 * SECOND, &flow(1)));
        assert!(!table.inward(8 * SECOND, &flow(1)));
        assert_eq!(table.len(), 0);
        assert!(table.queue.is_empty());
    }
}
