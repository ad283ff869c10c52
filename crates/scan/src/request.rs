//! A scan that is ready to run.

use std::collections::BTreeMap;
use std::net::IpAddr;

use portolan_model::event::Reached;
use portolan_model::spec::{Discovery, Pace, Sweep};
use portolan_model::{
    AddressSet, PortSet, PortSpec, PortState, Protocol, ScanRecord, Shard, Technique, Zones,
};

use crate::udp::Payloads;

/// With no more ports than this a host is not looked for first: its ports are asked at once.
pub(crate) const DISCOVERED_FROM: usize = 9;

/// Up to so many addresses, one that answered nothing is reported with all its ports; beyond,
/// such addresses are counted.
pub(crate) const LISTED_SILENT: u128 = 16;

/// A scan with every name looked up and every exclusion taken away.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Where to look.
    pub addresses: AddressSet,
    /// Networks of links of this machine, too large to ask each address, whose hosts are to be
    /// found and added to `addresses` first.
    pub searches: Vec<Search>,
    /// Over which interfaces those of them that are link-local are reached.
    pub zones: Zones,
    /// Which ports.
    pub ports: PortSpec,
    /// How to ask: at least one.
    pub techniques: Vec<Technique>,
    /// How fast at the most and at the least.
    pub pace: Pace,
    /// Whether to look which hosts are there first.
    pub discovery: Discovery,
    /// Decides the order.
    pub seed: u64,
    /// What is known already, and neither asked nor reported again.
    pub settled: Settled,
    /// Only this part of it.
    pub shard: Option<Shard>,
    /// A sweep in place of a scan, and what it is told.
    pub sweep: Option<Sweep>,
    /// What UDP ports are asked.
    pub payloads: Payloads,
    /// How far an earlier part has come: what was asked before is not asked again.
    pub from: Reached,
}

/// A network on a link of this machine, in which hosts are to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The target, as it is shown.
    pub target: String,
    /// Its addresses.
    pub addresses: AddressSet,
    /// The number of the link's interface.
    pub interface: u32,
}

impl Request {
    /// Whether hosts are looked for before their ports are asked, where nothing is said of it.
    #[must_use]
    pub fn discovers(&self) -> bool {
        let ports = |technique: &Technique| self.ports.of(technique.protocol()).len();
        let most = self.techniques.iter().map(ports).max().unwrap_or(0);
        self.addresses.len() > 1 && most >= DISCOVERED_FROM
    }

    /// Whether so few addresses are asked that each is told of, whether or not it answers.
    #[must_use]
    pub fn lists_silent(&self) -> bool {
        self.addresses.len() <= LISTED_SILENT
    }
}

/// The ports of each host that an earlier part of a scan has settled.
pub type Settled = BTreeMap<IpAddr, PortSpec>;

/// What a scan has settled: every port that it reported. A silent port is reported once its
/// host is done, and asked again before.
pub fn settled_in(record: &ScanRecord) -> Settled {
    let mut settled = Settled::new();
    for (&address, host) in &record.hosts {
        let of = |protocol: Protocol| -> PortSet {
            let alone = host.ports.keys().filter(|(of, _)| *of == protocol);
            let alone: PortSet = alone.map(|&(_, port)| port).collect();
            PortState::ALL.iter().fold(alone, |all, &state| {
                all.union(&host.rest_of(protocol, state))
            })
        };
        let ports = PortSpec::new(of(Protocol::Tcp), of(Protocol::Udp));
        settled.insert(address, ports);
    }
    settled
}
