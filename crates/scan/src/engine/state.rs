//! What is known of the hosts and pairs of a block.

use portolan_model::{PortSet, Reason};

use super::ahead::Ahead;
use super::asked_out::AskedOut;
use crate::bits::Bits;
use crate::plan::Block;

/// What is known of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host {
    /// Nothing yet.
    Unknown,
    /// It answered.
    Up,
    /// Something that answers for its address says it is not there.
    Down(Reason),
    /// Nothing answered when hosts were looked for.
    Silent,
    /// It cannot be asked from here.
    Unreachable,
    /// It answered, and cannot be asked from here any more: what stays silent may not have been
    /// asked.
    CutOff,
    /// It answered, and is asked no further all the same.
    GivenUp,
}

impl Host {
    /// Whether its ports are asked.
    pub(super) const fn is_asked(self) -> bool {
        matches!(self, Self::Unknown | Self::Up)
    }
}

/// A block and what is known of its pairs and hosts.
pub(super) struct State<'a> {
    pub(super) block: Block<'a>,
    pub(super) settled: Bits,
    pub(super) asked_out: AskedOut,
    pub(super) ahead: Ahead,
    pub(super) hosts: Vec<Host>,
    /// Of each host, the pairs that are not settled.
    pub(super) left: Vec<u32>,
    /// The pairs that are not settled, of the hosts that are asked.
    pub(super) unsettled: u64,
    /// The pairs that are settled.
    pub(super) settled_count: u64,
}

impl State<'_> {
    /// The pair at a position of the block's order, where positions are asked one after the other.
    pub(super) fn pair_at(&mut self, position: u64) -> u64 {
        self.ahead
            .pair(&self.block, &self.settled, &self.hosts, position)
    }

    /// What is known of a host.
    pub(super) fn host(&self, host: u32) -> Host {
        let known = self.hosts.get(host as usize);
        known.copied().unwrap_or(Host::Unreachable)
    }

    /// Notes what a host is; returns how many pairs need no asking for it any more, or need it
    /// again.
    pub(super) fn set_host(&mut self, host: u32, now: Host) -> u128 {
        let Some(known) = self.hosts.get_mut(host as usize) else {
            return 0;
        };
        let was = std::mem::replace(known, now);
        let left = self.left.get(host as usize).copied().unwrap_or(0);
        match (was.is_asked(), now.is_asked()) {
            (true, false) => self.unsettled -= u64::from(left),
            (false, true) => self.unsettled += u64::from(left),
            _ => return 0,
        }
        left.into()
    }

    /// The pairs of the hosts that are asked.
    pub(super) fn pairs_asked(&self) -> u64 {
        let hosts = self.hosts.iter().filter(|host| host.is_asked()).count() as u64;
        hosts * (self.block.pairs() / u64::from(self.block.hosts()).max(1))
    }

    /// Whether a host is asked and has not answered everything.
    pub(super) fn lacks(&self, host: u32) -> bool {
        self.host(host).is_asked() && self.left.get(host as usize).is_some_and(|&left| left > 0)
    }

    /// Settles a pair; returns whether it was not settled before.
    pub(super) fn settle(&mut self, pair: u64, host: u32) -> bool {
        let new = self.settled.set(pair);
        if new {
            self.settled_count += 1;
            self.unsettled -= u64::from(self.host(host).is_asked());
            if let Some(left) = self.left.get_mut(host as usize) {
                *left = left.saturating_sub(1);
            }
        }
        new
    }

    /// The ports of a host that did not answer.
    pub(super) fn silent_ports(&self, host: u32, ports: &[u16]) -> PortSet {
        let first = u64::from(host) * ports.len() as u64;
        (first..)
            .zip(ports)
            .filter(|(pair, _)| !self.settled.is_set(*pair))
            .map(|(_, &port)| port)
            .collect()
    }
}
