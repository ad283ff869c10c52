//! Reading what comes: which packets prove to be answers, and what they say.

use std::net::IpAddr;
use std::time::Duration;

use portolan_model::event::Endpoint;
use portolan_model::{PortState, Protocol, Reason};
use portolan_wire::tcp::{self, Flags, TcpOption};
use portolan_wire::{
    Addresses, MacAddress, Quoted, SeqNumber, Verified, icmpv4, icmpv6, ipv4, ipv6, quoted, udp,
};

use super::moments::Moment;
use super::{SOURCE_PORTS, Secret};
use crate::device::ChecksumStatus;
use crate::discovery;
use crate::transport::{Answer, Finding, Seen, Shape, unreachable_means};
use crate::udp::{KEPT_BYTES, place};

/// What a packet is, as far as it matters here.
#[derive(Debug, Clone)]
pub(super) enum Segment {
    Tcp {
        addresses: Addresses,
        /// From, to.
        ports: (u16, u16),
        flags: Flags,
        acknowledges: SeqNumber,
        shape: Shape,
        verified: bool,
    },
    Datagram {
        addresses: Addresses,
        /// From, to.
        ports: (u16, u16),
        /// What it carries, as far as it is kept.
        said: Vec<u8>,
        ttl: u8,
        verified: bool,
    },
    Unreachable {
        v6: bool,
        kind: u8,
        code: u8,
        quoted: Quoted,
        from: IpAddr,
        ttl: u8,
    },
}

/// What a packet says that proves to be an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Of whom.
    pub(crate) address: IpAddr,
    /// Of which protocol.
    pub(crate) protocol: Protocol,
    /// Of which port; 0 where none was asked.
    pub(crate) port: u16,
    /// The port or identifier that the question left from; of a datagram, as if it were not turned.
    pub(crate) own: u16,
    pub(crate) ttl: u8,
    /// Whether `address` itself says it.
    pub(crate) by_host: bool,
    pub(crate) shape: Option<Shape>,
    pub(crate) finding: Finding,
    /// What a service said, as far as it is kept.
    pub(crate) said: Vec<u8>,
}

impl Heard {
    /// What the host itself says, about no port.
    pub(crate) const fn of_host(address: IpAddr, own: u16, ttl: u8, finding: Finding) -> Self {
        Self {
            address,
            protocol: Protocol::Tcp,
            port: 0,
            own,
            ttl,
            by_host: true,
            shape: None,
            finding,
            said: Vec::new(),
        }
    }

    pub(super) fn answer(self, moment: Moment, mac: Option<MacAddress>, at: Duration) -> Answer {
        Answer {
            endpoint: Endpoint {
                address: self.address,
                protocol: self.protocol,
                port: self.port,
            },
            round: moment.round,
            kind: moment.kind,
            rtt: Some(at.saturating_sub(moment.at)),
            // No packet arrives with none left: it is not known then.
            ttl: (self.ttl > 0).then_some(self.ttl),
            seen: Seen {
                by_host: self.by_host,
                shape: self.shape,
                mac,
            },
            at,
            finding: self.finding,
            said: self.said,
        }
    }
}

pub(super) const fn destination(addresses: &Addresses) -> IpAddr {
    match addresses {
        Addresses::V4 { dst, .. } => IpAddr::V4(*dst),
        Addresses::V6 { dst, .. } => IpAddr::V6(*dst),
    }
}

const fn source(addresses: &Addresses) -> IpAddr {
    match addresses {
        Addresses::V4 { src, .. } => IpAddr::V4(*src),
        Addresses::V6 { src, .. } => IpAddr::V6(*src),
    }
}

/// Reads a packet; `None` for one that is malformed or of no interest.
pub(super) fn read(bytes: &[u8]) -> Option<Segment> {
    match bytes.first()? >> 4 {
        4 => {
            let packet = ipv4::Packet::new(bytes).ok()?;
            if packet.fragmentation().offset_bytes() != 0 {
                return None;
            }
            let ttl = packet.ttl().0;
            match packet.protocol() {
                portolan_wire::Protocol::TCP => segment(packet.payload(), packet.addresses(), ttl),
                portolan_wire::Protocol::UDP => datagram(packet.payload(), packet.addresses(), ttl),
                portolan_wire::Protocol::ICMP => {
                    let icmp = icmpv4::Packet::new(packet.payload()).ok()?;
                    let icmpv4::Message::DestinationUnreachable { code, quoted, .. } =
                        icmp.message()
                    else {
                        return None;
                    };
                    (icmp.verify() == Verified::Yes).then_some(())?;
                    Some(Segment::Unreachable {
                        v6: false,
                        kind: icmp.message_type(),
                        code,
                        quoted: Quoted::parse(quoted).ok()?,
                        from: packet.source().into(),
                        ttl,
                    })
                }
                _ => None,
            }
        }
        6 => {
            let packet = ipv6::Packet::new(bytes).ok()?;
            let upper = packet.upper().ok()?;
            if upper.fragment.is_some_and(|part| part.offset_bytes != 0) {
                return None;
            }
            let ttl = packet.hop_limit().0;
            match upper.protocol {
                portolan_wire::Protocol::TCP => segment(upper.payload, packet.addresses(), ttl),
                portolan_wire::Protocol::UDP => datagram(upper.payload, packet.addresses(), ttl),
                portolan_wire::Protocol::ICMPV6 => {
                    let icmp = icmpv6::Packet::new(upper.payload).ok()?;
                    let icmpv6::Message::DestinationUnreachable { code, quoted } = icmp.message()
                    else {
                        return None;
                    };
                    (icmp.verify(&packet.addresses()) == Verified::Yes).then_some(())?;
                    Some(Segment::Unreachable {
                        v6: true,
                        kind: icmp.message_type(),
                        code,
                        quoted: Quoted::parse(quoted).ok()?,
                        from: packet.source().into(),
                        ttl,
                    })
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn segment(payload: &[u8], addresses: Addresses, ttl: u8) -> Option<Segment> {
    let packet = tcp::Packet::new(payload).ok()?;
    let mut options = [0; 8];
    // Of the answers alone that are held against each other.
    if packet.flags().contains(Flags::SYN) {
        for (kind, option) in options.iter_mut().zip(packet.options()) {
            *kind = option_kind(&option);
        }
    }
    Some(Segment::Tcp {
        ports: (packet.source_port(), packet.destination_port()),
        flags: packet.flags(),
        acknowledges: packet.acknowledgment_number(),
        shape: Shape {
            window: packet.window(),
            options,
            ttl,
        },
        verified: packet.verify(&addresses) == Verified::Yes,
        addresses,
    })
}

/// Reads a datagram. Of one in fragments the first is read, whose beginning tells enough.
fn datagram(payload: &[u8], addresses: Addresses, ttl: u8) -> Option<Segment> {
    let Ok(packet) = udp::Packet::new(payload) else {
        let (header, rest) = payload.split_first_chunk::<{ udp::HEADER_LEN }>()?;
        let field = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        return Some(Segment::Datagram {
            addresses,
            ports: (field(0), field(2)),
            said: kept(rest),
            ttl,
            // What is missing would be needed for it.
            verified: usize::from(field(4)) > payload.len(),
        });
    };
    // Over IPv4 it may be left out (RFC 768, "Checksum").
    let has_none = packet.checksum() == 0 && matches!(addresses, Addresses::V4 { .. });
    Some(Segment::Datagram {
        ports: (packet.source_port(), packet.destination_port()),
        verified: has_none || packet.verify(&addresses) == Verified::Yes,
        said: kept(packet.payload()),
        ttl,
        addresses,
    })
}

fn kept(payload: &[u8]) -> Vec<u8> {
    payload.get(..KEPT_BYTES).unwrap_or(payload).to_vec()
}

/// The kind of an option, as it stands in the header.
const fn option_kind(option: &TcpOption<'_>) -> u8 {
    match option {
        TcpOption::NoOperation => 1,
        TcpOption::MaximumSegmentSize(_) => 2,
        TcpOption::WindowScale(_) => 3,
        TcpOption::SackPermitted => 4,
        TcpOption::Timestamps { .. } => 8,
        TcpOption::Unknown { kind, .. } => *kind,
    }
}

/// What a packet answers, if it proves to be an answer; `asks_udp` is how many moments there are
/// where UDP ports are asked.
pub(super) fn understand(
    bytes: &[u8],
    checksum: ChecksumStatus,
    secret: Secret,
    asks_udp: Option<usize>,
    resets: &mut Vec<(IpAddr, IpAddr, u16, u16, SeqNumber)>,
) -> Option<Heard> {
    let Some(segment) = read(bytes) else {
        return discovery::hear(bytes, secret);
    };
    match segment {
        Segment::Tcp {
            addresses,
            ports: (port, own),
            flags,
            acknowledges,
            shape,
            verified,
        } => {
            if checksum == ChecksumStatus::Unchecked && !verified {
                return None;
            }
            let address = source(&addresses);
            let number = secret.number(own, address, port);
            if !flags.contains(Flags::ACK) || acknowledges != SeqNumber(number.0.wrapping_add(1)) {
                return discovery::hear(bytes, secret);
            }
            let ttl = shape.ttl;
            let (finding, shape) = if flags.contains(Flags::RST) {
                (Finding::Port(PortState::Closed, Reason::Reset), None)
            } else if flags.contains(Flags::SYN) {
                // Taken back at once, so that the other side does not wait for the rest.
                resets.push((destination(&addresses), address, own, port, acknowledges));
                let finding = Finding::Port(PortState::Open, Reason::SynAck);
                (finding, Some(shape))
            } else {
                return None;
            };
            Some(Heard {
                port,
                shape,
                ..Heard::of_host(address, own, ttl, finding)
            })
        }
        Segment::Datagram {
            addresses,
            ports: (port, own),
            said,
            ttl,
            verified,
        } => {
            if checksum == ChecksumStatus::Unchecked && !verified {
                return None;
            }
            let address = source(&addresses);
            let own = unturned(secret, asks_udp?, own, (address, port))?;
            let finding = Finding::Port(PortState::Open, Reason::UdpResponse);
            Some(Heard {
                protocol: Protocol::Udp,
                port,
                said,
                ..Heard::of_host(address, own, ttl, finding)
            })
        }
        Segment::Unreachable {
            v6,
            kind,
            code,
            quoted,
            from,
            ttl,
        } => {
            let address = destination(&quoted.addresses);
            let by_host = from == address;
            let (own, protocol, port) = match quoted.transport {
                quoted::Transport::Tcp {
                    src_port: own,
                    dst_port: port,
                    sequence,
                } if sequence == secret.number(own, address, port) => (own, Protocol::Tcp, port),
                quoted::Transport::Udp { src_port, dst_port } if asks_udp.is_some() => {
                    // It may have looked for the host.
                    let found = discovery::hear(bytes, secret);
                    if found.is_some() {
                        return found;
                    }
                    let own = unturned(secret, asks_udp?, src_port, (address, dst_port))?;
                    (own, Protocol::Udp, dst_port)
                }
                _ => return discovery::hear(bytes, secret),
            };
            let finding = match unreachable_means(v6, kind, code)? {
                // What the host itself says, and not a firewall before it.
                Finding::Port(_, reason @ Reason::PortUnreach)
                    if protocol == Protocol::Udp && by_host =>
                {
                    Finding::Port(PortState::Closed, reason)
                }
                finding => finding,
            };
            Some(Heard {
                protocol,
                port,
                by_host,
                ..Heard::of_host(address, own, ttl, finding)
            })
        }
    }
}

/// The port that a question to `to` would have left from, had it not been turned, where there are
/// so many moments.
fn unturned(secret: Secret, of: usize, own: u16, to: (IpAddr, u16)) -> Option<u16> {
    let place = place(secret, of, own, to)?;
    Some(SOURCE_PORTS.start() + u16::try_from(place).ok()?)
}
