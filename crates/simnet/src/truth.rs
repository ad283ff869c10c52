//! What is really there: the answer that a scan is held against.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use portolan_wire::Protocol;

use crate::rng;
use crate::scenario::{Closed, Hosts, Kind, Scenario};
use crate::{Ports, Prefix};

/// What a port is, as far as a scanner may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PortTruth {
    /// Something listens.
    Open,
    /// Nothing listens, and the host says so.
    Closed,
    /// No answer, or an ICMP error that forbids.
    Filtered,
    /// A SYN/ACK that means nothing: the host sends it for every port.
    Proxied,
}

/// What is really there. Cheap to clone; nothing of it grows with the number of addresses.
#[derive(Debug, Clone)]
pub struct Truth {
    inner: Arc<Population>,
}

/// Who lives at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inhabitant {
    /// A host of this entry of the scenario.
    Host(usize),
    /// No one.
    Nobody,
}

/// The hosts of a scenario, ready to be looked up.
#[derive(Debug)]
pub(crate) struct Population {
    seed: u64,
    pub(crate) groups: Vec<Hosts>,
    singles: HashMap<IpAddr, usize>,
    /// Longest prefix first.
    networks: Vec<(Prefix, usize)>,
}

/// An address as a number.
pub(crate) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Keeps the hash that decides on life apart from those that decide on ports.
const LIFE: u64 = 1 << 32;

impl Population {
    fn new(scenario: &Scenario) -> Self {
        let mut singles = HashMap::new();
        let mut networks = Vec::new();
        for (group, hosts) in scenario.hosts.iter().enumerate() {
            for &prefix in &hosts.addresses {
                if prefix.is_single() {
                    singles.entry(prefix.first()).or_insert(group);
                } else {
                    networks.push((prefix, group));
                }
            }
        }
        networks.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Self {
            seed: scenario.seed,
            groups: scenario.hosts.clone(),
            singles,
            networks,
        }
    }

    /// Who lives at `address`.
    pub(crate) fn inhabitant(&self, address: IpAddr) -> Inhabitant {
        let group = self.singles.get(&address).copied().or_else(|| {
            let network = self
                .networks
                .iter()
                .find(|(prefix, _)| prefix.contains(address));
            network.map(|&(_, group)| group)
        });
        match group {
            Some(group) if self.is_alive(group, address) => Inhabitant::Host(group),
            _ => Inhabitant::Nobody,
        }
    }

    fn is_alive(&self, group: usize, address: IpAddr) -> bool {
        let live = self.groups[group].live;
        live >= 1.0 || rng::unit(rng::hash(self.seed, number(address), LIFE)) < live
    }

    /// Whether something listens on a TCP port of a host.
    pub(crate) fn listens(&self, group: usize, address: IpAddr, port: u16) -> bool {
        let tcp = &self.groups[group].tcp;
        if tcp.filtered.contains(port) {
            return false;
        }
        tcp.open.contains(port)
            || (tcp.open_share > 0.0
                && rng::unit(rng::hash(self.seed, number(address), port.into())) < tcp.open_share)
    }

    fn tcp(&self, group: usize, address: IpAddr, port: u16) -> PortTruth {
        let hosts = &self.groups[group];
        match hosts.kind {
            Kind::Proxy => PortTruth::Proxied,
            Kind::Normal if self.listens(group, address, port) => PortTruth::Open,
            Kind::Normal if hosts.tcp.filtered.contains(port) => PortTruth::Filtered,
            Kind::Normal if hosts.tcp.closed == Closed::Reset => PortTruth::Closed,
            Kind::Normal | Kind::Silent | Kind::Garbage => PortTruth::Filtered,
        }
    }

    fn udp(&self, group: usize, port: u16) -> PortTruth {
        let hosts = &self.groups[group];
        let udp = &hosts.udp;
        if hosts.kind != Kind::Normal {
            return PortTruth::Filtered;
        }
        if udp.open.contains(port) || udp.open_silent.contains(port) {
            return PortTruth::Open;
        }
        match udp.closed {
            Closed::Reset | Closed::PortUnreachable => PortTruth::Closed,
            _ => PortTruth::Filtered,
        }
    }
}

impl Truth {
    /// The truth of a scenario.
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            inner: Arc::new(Population::new(scenario)),
        }
    }

    pub(crate) fn population(&self) -> &Population {
        &self.inner
    }

    /// Whether a host lives at `address`, even one that never answers.
    pub fn is_alive(&self, address: IpAddr) -> bool {
        self.inner.inhabitant(address) != Inhabitant::Nobody
    }

    /// What a port of an address is; `Filtered` where no host lives and for protocols other than
    /// TCP and UDP.
    pub fn port(&self, address: IpAddr, protocol: Protocol, port: u16) -> PortTruth {
        match (self.inner.inhabitant(address), protocol) {
            (Inhabitant::Host(group), Protocol::TCP) => self.inner.tcp(group, address, port),
            (Inhabitant::Host(group), Protocol::UDP) => self.inner.udp(group, port),
            _ => PortTruth::Filtered,
        }
    }

    /// Every address where a host lives, as the scenario lists them. In a large network it is long:
    /// take as many as are needed.
    pub fn hosts(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let groups = self.inner.groups.iter().enumerate();
        groups.flat_map(move |(group, hosts)| {
            let all = hosts.addresses.iter().flat_map(|prefix| prefix.addresses());
            // An address that a longer prefix names belongs to another group.
            all.filter(move |&address| self.inner.inhabitant(address) == Inhabitant::Host(group))
        })
    }

    /// Every address that the scenario names, of the living and the others, as it lists them. It
    /// may be very long.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let groups = self.inner.groups.iter();
        groups.flat_map(|hosts| hosts.addresses.iter().flat_map(|prefix| prefix.addresses()))
    }

    /// The open ports of an address, for TCP or UDP; none of other protocols, none of SYN proxies.
    pub fn open_ports(&self, address: IpAddr, protocol: Protocol) -> Ports {
        let Inhabitant::Host(group) = self.inner.inhabitant(address) else {
            return Ports::default();
        };
        let hosts = &self.inner.groups[group];
        match protocol {
            _ if hosts.kind != Kind::Normal => Ports::default(),
            Protocol::TCP => {
                let mut open = hosts.tcp.open.clone();
                if hosts.tcp.open_share > 0.0 {
                    (0..=u16::MAX)
                        .filter(|&port| self.inner.listens(group, address, port))
                        .for_each(|port| open.insert(port));
                }
                open.without(&hosts.tcp.filtered)
            }
            Protocol::UDP => hosts.udp.open.clone().union(&hosts.udp.open_silent),
            _ => Ports::default(),
        }
    }

    /// Every open TCP port of every host, SYN proxies apart.
    pub fn open_tcp(&self) -> impl Iterator<Item = (IpAddr, u16)> + '_ {
        self.open_of(Protocol::TCP)
    }

    /// Every open UDP port of every host, also those that never answer.
    pub fn open_udp(&self) -> impl Iterator<Item = (IpAddr, u16)> + '_ {
        self.open_of(Protocol::UDP)
    }

    fn open_of(&self, protocol: Protocol) -> impl Iterator<Item = (IpAddr, u16)> + '_ {
        self.hosts().flat_map(move |address| {
            let ports: Vec<u16> = self.open_ports(address, protocol).iter().collect();
            ports.into_iter().map(move |port| (address, port))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Path;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_share_of_the_living_is_the_one_asked_for() {
        let hosts = Hosts {
            addresses: vec!["198.18.0.0/20".parse().unwrap()],
            live: 0.08,
            ..Hosts::default()
        };
        let truth = Truth::new(&Scenario::new(1, Path::default(), vec![hosts]));
        let live = truth.hosts().count();
        // 328 expected, five standard deviations are 87.
        assert!((241..=415).contains(&live), "{live}");
        assert!(truth.hosts().all(|host| truth.is_alive(host)));
        assert!(!truth.is_alive(address("203.0.113.1")));
    }

    #[test]
    fn an_address_belongs_to_the_longest_prefix_that_names_it() {
        let wide = Hosts {
            addresses: vec!["198.18.0.0/24".parse().unwrap()],
            ..Hosts::default()
        };
        let one = Hosts::at(address("198.18.0.7")).open(&[22]);
        let truth = Truth::new(&Scenario::new(1, Path::default(), vec![wide, one]));
        assert_eq!(truth.hosts().count(), 256);
        assert_eq!(
            truth.open_tcp().collect::<Vec<_>>(),
            [(address("198.18.0.7"), 22)]
        );
    }

    #[test]
    fn ports_are_what_the_entry_says() {
        let mut normal = Hosts::at(address("198.18.0.1")).open(&[22, 80]);
        normal.tcp.filtered = "80,81".parse().unwrap();
        normal.udp.open_silent = "53".parse().unwrap();
        let proxy = Hosts::at(address("198.18.0.2")).kind(Kind::Proxy);
        let walled = Hosts::at(address("198.18.0.3")).closed(Closed::AdminProhibited);
        let truth = Truth::new(&Scenario::new(
            1,
            Path::default(),
            vec![normal, proxy, walled],
        ));
        let tcp = |host: &str, port| truth.port(address(host), Protocol::TCP, port);
        assert_eq!(tcp("198.18.0.1", 22), PortTruth::Open);
        assert_eq!(tcp("198.18.0.1", 23), PortTruth::Closed);
        assert_eq!(tcp("198.18.0.1", 80), PortTruth::Filtered);
        assert_eq!(tcp("198.18.0.2", 22), PortTruth::Proxied);
        assert_eq!(tcp("198.18.0.3", 22), PortTruth::Filtered);
        assert_eq!(tcp("198.18.0.4", 22), PortTruth::Filtered);
        let udp = |port| truth.port(address("198.18.0.1"), Protocol::UDP, port);
        assert_eq!((udp(53), udp(54)), (PortTruth::Open, PortTruth::Closed));
    }

    #[test]
    fn a_share_of_open_ports_differs_from_host_to_host() {
        let mut hosts = Hosts {
            addresses: vec!["198.18.0.0/31".parse().unwrap()],
            ..Hosts::default()
        };
        hosts.tcp.open_share = 0.01;
        let truth = Truth::new(&Scenario::new(5, Path::default(), vec![hosts]));
        let of = |host: &str| {
            let host = address(host);
            let open = truth
                .open_tcp()
                .filter(move |&(address, _)| address == host);
            open.map(|(_, port)| port).collect::<Vec<_>>()
        };
        let (one, other) = (of("198.18.0.0"), of("198.18.0.1"));
        assert_ne!(one, other);
        // 655 expected, five standard deviations are 127.
        assert!((528..=782).contains(&one.len()), "{}", one.len());
    }
}
