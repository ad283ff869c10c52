//! Reading what comes: which packets prove to be answers, and what they say.

use std::net::IpAddr;
use std::time::Duration;

use portolan_model::event::Endpoint;
use portolan_model::{PortState, Protocol, Reason};
use portolan_wire::tcp::{self, Flags, TcpOption};
use portolan_wire::{
    Addresses, MacAddress, Quoted, SeqNumber, Verified, icmpv4, icmpv6, ipv4, ipv6, quoted,
};

use super::Secret;
use super::moments::Moment;
use crate::device::ChecksumStatus;
use crate::discovery;
use crate::transport::{Answer, Finding, Seen, Shape, unreachable_means};

/// What a packet is, as far as it matters here.
#[derive(Debug, Clone, Copy)]
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
    /// Of which port; 0 where none was asked.
    pub(crate) port: u16,
    /// The port or identifier that the question left from.
    pub(crate) own: u16,
    pub(crate) ttl: u8,
    /// Whether `address` itself says it.
    pub(crate) by_host: bool,
    pub(crate) shape: Option<Shape>,
    pub(crate) finding: Finding,
}

impl Heard {
    /// What the host itself says, about no port.
    pub(crate) const fn of_host(address: IpAddr, own: u16, ttl: u8, finding: Finding) -> Self {
        Self {
            address,
            port: 0,
            own,
            ttl,
            by_host: true,
            shape: None,
            finding,
        }
    }

    pub(super) fn answer(self, moment: Moment, mac: Option<MacAddress>, at: Duration) -> Answer {
        Answer {
            endpoint: Endpoint {
                address: self.address,
                protocol: Protocol::Tcp,
                port: self.port,
            },
            round: moment.round,
            kind: moment.kind,
            rtt: Some(at.saturating_sub(moment.at)),
            ttl: Some(self.ttl),
            seen: Seen {
                by_host: self.by_host,
                shape: self.shape,
                mac,
            },
            at,
            finding: self.finding,
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

/// What a packet answers, if it proves to be an answer.
pub(super) fn understand(
    bytes: &[u8],
    checksum: ChecksumStatus,
    secret: Secret,
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
                address,
                port,
                own,
                ttl,
                by_host: true,
                shape,
                finding,
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
            let proven = match quoted.transport {
                quoted::Transport::Tcp {
                    src_port: own,
                    dst_port: port,
                    sequence,
                } if sequence == secret.number(own, address, port) => Some((own, port)),
                _ => None,
            };
            let Some((own, port)) = proven else {
                return discovery::hear(bytes, secret);
            };
            Some(Heard {
                address,
                port,
                own,
                ttl,
                by_host: from == address,
                shape: None,
                finding: unreachable_means(v6, kind, code)?,
            })
        }
    }
}
