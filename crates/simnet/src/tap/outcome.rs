//! What a run says at its end.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use portolan_wire::Protocol;
use serde::Serialize;

use crate::{Counters, Network, Ports, Scenario, Truth};

/// The most hosts whose ports are listed, so that a /14 does not fill the screen.
const MOST_HOSTS: usize = 10_000;
/// The most addresses that are looked at for hosts.
const MOST_ADDRESSES: usize = 1 << 20;

/// What happened, and what is really there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// What the scenario shows.
    pub about: String,
    /// How long it ran, in seconds.
    pub seconds: f64,
    /// What passed the device.
    pub device: DeviceCounters,
    /// What happened to the packets.
    pub counters: Counters,
    /// What is really there.
    pub truth: TruthSummary,
}

/// Frames that passed the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct DeviceCounters {
    /// Frames that the scanner's kernel sent.
    pub read: u64,
    /// Frames that it was given.
    pub written: u64,
    /// Frames that it did not take.
    pub refused: u64,
}

/// What is really there, as far as it can be listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TruthSummary {
    /// How many hosts were found among the addresses that were looked at.
    pub hosts: usize,
    /// Whether there is more than is listed.
    pub is_cut: bool,
    /// How many TCP ports are open, on the hosts that are listed.
    pub open_tcp_count: u64,
    /// How many UDP ports are open, on the hosts that are listed.
    pub open_udp_count: u64,
    /// Open TCP ports of each host that has any.
    pub open_tcp: BTreeMap<IpAddr, String>,
    /// Open UDP ports of each host that has any.
    pub open_udp: BTreeMap<IpAddr, String>,
}

impl TruthSummary {
    /// Lists what is there: up to 10,000 hosts among the first 1,048,576 addresses.
    pub fn new(truth: &Truth) -> Self {
        let mut summary = Self {
            hosts: 0,
            is_cut: truth.addresses().nth(MOST_ADDRESSES).is_some(),
            open_tcp_count: 0,
            open_udp_count: 0,
            open_tcp: BTreeMap::new(),
            open_udp: BTreeMap::new(),
        };
        let seen = truth.addresses().take(MOST_ADDRESSES);
        for host in seen.filter(|&address| truth.is_alive(address)) {
            summary.hosts += 1;
            if summary.hosts > MOST_HOSTS {
                summary.is_cut = true;
                continue;
            }
            let list = |ports: &Ports| (!ports.is_empty()).then(|| ports.to_string());
            let tcp = truth.open_ports(host, Protocol::TCP);
            let udp = truth.open_ports(host, Protocol::UDP);
            summary.open_tcp_count += u64::from(tcp.len());
            summary.open_udp_count += u64::from(udp.len());
            summary
                .open_tcp
                .extend(list(&tcp).map(|ports| (host, ports)));
            summary
                .open_udp
                .extend(list(&udp).map(|ports| (host, ports)));
        }
        summary
    }
}

impl Outcome {
    pub(super) fn new(
        scenario: &Scenario,
        network: &Network,
        device: DeviceCounters,
        time: Duration,
    ) -> Self {
        Self {
            about: scenario.about.clone(),
            seconds: time.as_secs_f64(),
            device,
            counters: network.counters(),
            truth: TruthSummary::new(network.truth()),
        }
    }
}
