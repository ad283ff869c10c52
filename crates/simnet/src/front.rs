//! Ethernet before the network: ARP and neighbour discovery answered, headers taken off and put on.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use portolan_wire::ndp::{NdpOption, NdpOptions, NeighborFlags};
use portolan_wire::{
    Addresses, EtherType, MacAddress, Protocol, Ttl, arp, ethernet, icmpv6, ipv4, ipv6, ndp,
};

use crate::rng;
use crate::scenario::{Attached, Link, Scenario};
use crate::truth::number;
use crate::{Medium, Network};

/// The router's MAC address (RFC 7042, 2.1.2: for documentation).
pub const GATEWAY_MAC: MacAddress = MacAddress([0x00, 0x00, 0x5e, 0x00, 0x53, 0x01]);

/// The network behind an Ethernet link with one station on it, the scanner.
#[derive(Debug)]
pub struct EthernetFront {
    network: Network,
    link: Link,
    seed: u64,
    /// Who sends: learnt from its frames.
    station: MacAddress,
    /// Answers of the link itself, which come at once.
    answers: VecDeque<(Duration, Vec<u8>)>,
    buffer: Vec<u8>,
}

impl EthernetFront {
    /// The scenario's network behind its link.
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            network: Network::new(scenario),
            link: scenario.link.clone(),
            seed: scenario.seed,
            station: MacAddress::BROADCAST,
            answers: VecDeque::new(),
            buffer: Vec::new(),
        }
    }

    /// The network behind the link.
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// The MAC address that frames of `address` come from: the router's, or on the link the
    /// host's own.
    pub fn mac_of(&self, address: IpAddr) -> MacAddress {
        if self.link.attached == Attached::Gateway || self.is_gateway(address) {
            return GATEWAY_MAC;
        }
        let hash = rng::hash(self.seed, number(address), 0).to_be_bytes();
        // The second bit says that the address is not a maker's (RFC 7042, 2.1).
        MacAddress([0x02, hash[0], hash[1], hash[2], hash[3], hash[4]])
    }

    fn is_gateway(&self, address: IpAddr) -> bool {
        address == IpAddr::V4(self.link.gateway) || address == IpAddr::V6(self.link.gateway6)
    }

    /// Whether someone on the link answers for `address`.
    fn answers_for(&self, address: IpAddr) -> bool {
        self.is_gateway(address)
            || (self.link.attached == Attached::OnLink && self.network.truth().is_alive(address))
    }

    fn arp(&mut self, now: Duration, bytes: &[u8]) {
        let Ok(request) = arp::Packet::new(bytes) else {
            return;
        };
        let target: Ipv4Addr = request.target_protocol();
        if request.operation() != arp::Operation::REQUEST || !self.answers_for(target.into()) {
            return;
        }
        let mac = self.mac_of(target.into());
        let reply = arp::Repr {
            operation: arp::Operation::REPLY,
            sender_hardware: mac,
            sender_protocol: target,
            target_hardware: request.sender_hardware(),
            target_protocol: request.sender_protocol(),
        };
        let mut frame = vec![0; ethernet::HEADER_LEN + reply.len()];
        let header = ethernet::Repr {
            destination: request.sender_hardware(),
            source: mac,
            vlan: None,
            ether_type: EtherType::ARP,
        };
        let written = header
            .emit(&mut frame)
            .and_then(|()| reply.emit(&mut frame[ethernet::HEADER_LEN..]));
        if written.is_ok() {
            self.answers.push_back((now, frame));
        }
    }

    /// Answers a neighbour solicitation; whether `bytes` was neighbour discovery at all.
    fn ndp(&mut self, now: Duration, bytes: &[u8]) -> bool {
        let Ok(packet) = ipv6::Packet::new(bytes) else {
            return false;
        };
        if packet.next_header() != Protocol::ICMPV6 {
            return false;
        }
        let Ok(message) = icmpv6::Packet::new(packet.payload()) else {
            return false;
        };
        let icmpv6::Message::Ndp(message) = message.message() else {
            return false;
        };
        if let ndp::Message::NeighborSolicitation { target, .. } = message
            && self.answers_for(target.into())
            // Duplicate address detection asks from no address, and about the scanner's own.
            && !packet.source().is_unspecified()
            && let Ok(frame) = self.advertisement(target, packet.source())
        {
            self.answers.push_back((now, frame));
        }
        true
    }

    fn advertisement(&self, target: Ipv6Addr, to: Ipv6Addr) -> portolan_wire::Result<Vec<u8>> {
        let mac = self.mac_of(target.into());
        let option = NdpOption::TargetLinkLayerAddress(mac);
        let mut options = vec![0; option.len()];
        option.emit(&mut options)?;
        let message =
            icmpv6::Repr::new(icmpv6::Message::Ndp(ndp::Message::NeighborAdvertisement {
                flags: NeighborFlags::SOLICITED_OVERRIDE,
                target,
                options: NdpOptions::new(&options)?,
            }));
        let header = ipv6::Repr {
            hop_limit: Ttl::MAX,
            ..ipv6::Repr::new(target, to, Protocol::ICMPV6, message.len())
        };
        let start = ethernet::HEADER_LEN + header.len();
        let mut frame = vec![0; start + message.len()];
        ethernet::Repr {
            destination: self.station,
            source: mac,
            vlan: None,
            ether_type: EtherType::IPV6,
        }
        .emit(&mut frame)?;
        header.emit(&mut frame[ethernet::HEADER_LEN..])?;
        let addresses = Addresses::V6 {
            src: target,
            dst: to,
        };
        message.emit(&addresses, &mut frame[start..])?;
        Ok(frame)
    }
}

impl Medium for EthernetFront {
    fn inject(&mut self, now: Duration, frame: &[u8]) {
        let Ok(frame) = ethernet::Packet::new(frame) else {
            return;
        };
        if frame.source().is_unicast() {
            self.station = frame.source();
        }
        match frame.ether_type() {
            EtherType::ARP => self.arp(now, frame.payload()),
            EtherType::IPV6 if self.ndp(now, frame.payload()) => {}
            // Kernels talk of themselves to groups (MLD, mDNS); no host here listens.
            EtherType::IPV4 | EtherType::IPV6 if frame.destination().is_unicast() => {
                self.network.inject(now, frame.payload());
            }
            _ => {}
        }
    }

    fn next_event(&self) -> Option<Duration> {
        let answer = self.answers.front().map(|&(at, _)| at);
        match (answer, self.network.next_event()) {
            (Some(answer), Some(event)) => Some(answer.min(event)),
            (answer, event) => answer.or(event),
        }
    }

    fn poll(&mut self, now: Duration, out: &mut dyn FnMut(Duration, &[u8])) {
        while let Some((at, frame)) = self.answers.pop_front() {
            out(at, &frame);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let (link, seed, station) = (&self.link, self.seed, self.station);
        let source_of = |packet: &[u8]| {
            if link.attached == Attached::Gateway {
                return GATEWAY_MAC;
            }
            let address: Option<IpAddr> = match ipv4::Packet::new(packet) {
                Ok(packet) => Some(packet.source().into()),
                Err(_) => ipv6::Packet::new(packet).ok().map(|p| p.source().into()),
            };
            let Some(address) = address else {
                return GATEWAY_MAC;
            };
            let hash = rng::hash(seed, number(address), 0).to_be_bytes();
            MacAddress([0x02, hash[0], hash[1], hash[2], hash[3], hash[4]])
        };
        self.network.poll(now, &mut |at, packet| {
            let is_v6 = packet.first().is_some_and(|first| first >> 4 == 6);
            let header = ethernet::Repr {
                destination: station,
                source: source_of(packet),
                vlan: None,
                ether_type: if is_v6 {
                    EtherType::IPV6
                } else {
                    EtherType::IPV4
                },
            };
            buffer.clear();
            buffer.resize(header.len(), 0);
            if header.emit(&mut buffer).is_ok() {
                buffer.extend_from_slice(packet);
                out(at, &buffer);
            }
        });
        self.buffer = buffer;
    }
}
