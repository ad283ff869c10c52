//! A scan that is ready to run.

use std::collections::BTreeMap;
use std::net::IpAddr;

use portolan_model::spec::{Discovery, Pace};
use portolan_model::{AddressSet, PortSpec, Technique};

/// A scan with every name looked up and every exclusion taken away.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Where to look.
    pub addresses: AddressSet,
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
}

/// The ports of each host that an earlier part of a scan has settled.
pub type Settled = BTreeMap<IpAddr, PortSpec>;
