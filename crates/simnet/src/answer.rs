//! Writing what hosts send.

use std::net::IpAddr;

use portolan_wire::{
    Addresses, Checksum, Protocol, Ttl, icmpv4, icmpv6, ipv4, ipv6, quoted, tcp, udp,
};

use crate::scenario::Closed;

/// The most bytes of a packet that an `ICMPv6` error quotes, so that it stays within the least
/// MTU (RFC 4443, 3.1).
const V6_QUOTE: usize = 1280 - ipv6::HEADER_LEN - icmpv6::HEADER_LEN;

/// An ICMP message for either family.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Icmp<'a> {
    V4(icmpv4::Message<'a>),
    V6(icmpv6::Message<'a>),
}

/// Writes an IP header for a payload of `len` bytes and gives the payload's place to `body`.
fn packet(
    out: &mut Vec<u8>,
    addresses: &Addresses,
    protocol: Protocol,
    ttl: u8,
    len: usize,
    body: impl FnOnce(&mut [u8]) -> portolan_wire::Result<()>,
) -> portolan_wire::Result<()> {
    out.clear();
    let header_len = match *addresses {
        Addresses::V4 { src, dst } => {
            let header = ipv4::Repr {
                ttl: Ttl(ttl),
                ..ipv4::Repr::new(src, dst, protocol, len)
            };
            out.resize(header.len() + len, 0);
            header.emit(out)?;
            header.len()
        }
        Addresses::V6 { src, dst } => {
            let header = ipv6::Repr {
                hop_limit: Ttl(ttl),
                ..ipv6::Repr::new(src, dst, protocol, len)
            };
            out.resize(header.len() + len, 0);
            header.emit(out)?;
            header.len()
        }
    };
    body(&mut out[header_len..])
}

/// Writes a segment.
pub(crate) fn segment(
    out: &mut Vec<u8>,
    addresses: &Addresses,
    ttl: u8,
    segment: &tcp::Repr<'_>,
) -> portolan_wire::Result<()> {
    packet(out, addresses, Protocol::TCP, ttl, segment.len(), |bytes| {
        segment.emit(addresses, bytes)
    })
}

/// Writes a datagram.
pub(crate) fn datagram(
    out: &mut Vec<u8>,
    addresses: &Addresses,
    ttl: u8,
    (src_port, dst_port): (u16, u16),
    payload: &[u8],
) -> portolan_wire::Result<()> {
    let datagram = udp::Repr {
        src_port,
        dst_port,
        checksum: Checksum::Correct,
        payload,
    };
    packet(
        out,
        addresses,
        Protocol::UDP,
        ttl,
        datagram.len(),
        |bytes| datagram.emit(addresses, bytes),
    )
}

/// Writes an ICMP message.
pub(crate) fn icmp(
    out: &mut Vec<u8>,
    addresses: &Addresses,
    ttl: u8,
    message: Icmp<'_>,
) -> portolan_wire::Result<()> {
    match message {
        Icmp::V4(message) => {
            let message = icmpv4::Repr::new(message);
            packet(
                out,
                addresses,
                Protocol::ICMP,
                ttl,
                message.len(),
                |bytes| message.emit(bytes),
            )
        }
        Icmp::V6(message) => {
            let message = icmpv6::Repr::new(message);
            packet(
                out,
                addresses,
                Protocol::ICMPV6,
                ttl,
                message.len(),
                |bytes| message.emit(addresses, bytes),
            )
        }
    }
}

/// The *destination unreachable* that answers `probe`. Over IPv4 it quotes 8 bytes of the
/// transport header, the least that a router owes (RFC 792); over IPv6 as much as fits.
pub(crate) fn unreachable(probe: &[u8], host: IpAddr, closed: Closed) -> Icmp<'_> {
    if host.is_ipv4() {
        let header = probe
            .first()
            .map_or(0, |first| usize::from(first & 0x0f) * 4);
        let quoted = &probe[..probe.len().min(header + quoted::TRANSPORT_LEN)];
        Icmp::V4(icmpv4::Message::DestinationUnreachable {
            code: match closed {
                Closed::HostUnreachable => icmpv4::unreachable::HOST,
                Closed::NetUnreachable => icmpv4::unreachable::NET,
                Closed::AdminProhibited => icmpv4::unreachable::ADMINISTRATIVELY_PROHIBITED,
                Closed::Code(code) => code,
                Closed::PortUnreachable | Closed::Reset | Closed::Silent => {
                    icmpv4::unreachable::PORT
                }
            },
            next_hop_mtu: 0,
            quoted,
        })
    } else {
        Icmp::V6(icmpv6::Message::DestinationUnreachable {
            code: match closed {
                Closed::HostUnreachable => icmpv6::unreachable::ADDRESS,
                Closed::NetUnreachable => icmpv6::unreachable::NO_ROUTE,
                Closed::AdminProhibited => icmpv6::unreachable::ADMINISTRATIVELY_PROHIBITED,
                Closed::Code(code) => code,
                Closed::PortUnreachable | Closed::Reset | Closed::Silent => {
                    icmpv6::unreachable::PORT
                }
            },
            quoted: &probe[..probe.len().min(V6_QUOTE)],
        })
    }
}
