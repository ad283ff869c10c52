//! The beginning of a packet as an ICMP error quotes it: often no more than the IP header and
//! 8 bytes (RFC 792, "Destination Unreachable Message"), and changed on its way.
//!
//! The views of the other modules refuse such a packet, since it is shorter than it says. This
//! reader asks for what it gives and nothing more: it trusts no length, and checks no checksum,
//! for routers do not restore the fields that they have changed.

use crate::bytes::{check, ipv4_at, ipv6_at, u16_at, u32_at};
use crate::checksum::Addresses;
use crate::{Error, Protocol, Result, SeqNumber, ipv4, ipv6};

/// Bytes of a transport header that every error quotes at least.
pub const TRANSPORT_LEN: usize = 8;

/// Offsets in an IPv4 header, an IPv6 header, and the first 8 bytes of transport headers.
mod field {
    use std::ops::Range;
    pub(super) const V4_PROTOCOL: usize = 9;
    pub(super) const V4_FLAGS_OFFSET: Range<usize> = 6..8;
    pub(super) const V4_SOURCE: Range<usize> = 12..16;
    pub(super) const V4_DESTINATION: Range<usize> = 16..20;
    pub(super) const V6_NEXT_HEADER: usize = 6;
    pub(super) const V6_SOURCE: Range<usize> = 8..24;
    pub(super) const V6_DESTINATION: Range<usize> = 24..40;
    pub(super) const SOURCE_PORT: Range<usize> = 0..2;
    pub(super) const DESTINATION_PORT: Range<usize> = 2..4;
    pub(super) const SEQUENCE_NUMBER: Range<usize> = 4..8;
    pub(super) const ICMP_TYPE: usize = 0;
    pub(super) const ICMP_CODE: usize = 1;
    pub(super) const ICMP_IDENTIFIER: Range<usize> = 4..6;
    pub(super) const ICMP_SEQUENCE: Range<usize> = 6..8;
}

/// What is known of a quoted packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quoted {
    /// Its ends: the source is whoever is told.
    pub addresses: Addresses,
    /// What it carried.
    pub protocol: Protocol,
    /// The beginning of what it carried.
    pub transport: Transport,
}

/// The beginning of a quoted transport header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A TCP segment.
    Tcp {
        /// From which port.
        src_port: u16,
        /// To which port.
        dst_port: u16,
        /// Its sequence number.
        sequence: SeqNumber,
    },
    /// A UDP datagram.
    Udp {
        /// From which port.
        src_port: u16,
        /// To which port.
        dst_port: u16,
    },
    /// An ICMP or `ICMPv6` message.
    Icmp {
        /// Its type.
        message_type: u8,
        /// Its code.
        code: u8,
        /// In an echo, who asked.
        identifier: u16,
        /// In an echo, which question.
        sequence: u16,
    },
    /// Another protocol, or a fragment without a header.
    Other,
}

impl Quoted {
    /// Reads the packet that `bytes` begin.
    ///
    /// # Errors
    /// [`Error::Truncated`] when less is quoted than the IP header and 8 bytes, [`Error::Value`]
    /// when it is neither IPv4 nor IPv6, [`Error::Length`] when an IPv4 header says less than it
    /// has, [`Error::TooManyExtensions`] when the transport header is not reached.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        match bytes.first().map(|first| first >> 4) {
            Some(6) => Self::parse_v6(bytes),
            Some(4) | None => Self::parse_v4(bytes),
            Some(version) => Err(Error::Value {
                what: "quoted IP version",
                found: version.into(),
                expected: 4,
            }),
        }
    }

    fn parse_v4(bytes: &[u8]) -> Result<Self> {
        check("quoted IPv4 header", bytes, ipv4::HEADER_LEN)?;
        let header = usize::from(bytes[0] & 0x0f) * 4;
        if header < ipv4::HEADER_LEN {
            return Err(Error::Length {
                what: "quoted IPv4 header length",
                says: header,
                least: ipv4::HEADER_LEN,
                most: ipv4::HEADER_LEN + ipv4::MAX_OPTIONS_LEN,
            });
        }
        check("quoted IPv4 header", bytes, header)?;
        let protocol = Protocol(bytes[field::V4_PROTOCOL]);
        let part = ipv4::Fragmentation(u16_at(bytes, field::V4_FLAGS_OFFSET));
        Ok(Self {
            addresses: Addresses::V4 {
                src: ipv4_at(bytes, field::V4_SOURCE),
                dst: ipv4_at(bytes, field::V4_DESTINATION),
            },
            protocol,
            transport: if part.offset_bytes() == 0 {
                transport(protocol, &bytes[header..])?
            } else {
                Transport::Other
            },
        })
    }

    fn parse_v6(bytes: &[u8]) -> Result<Self> {
        check("quoted IPv6 header", bytes, ipv6::HEADER_LEN)?;
        let next = Protocol(bytes[field::V6_NEXT_HEADER]);
        let upper = ipv6::walk(next, &bytes[ipv6::HEADER_LEN..])?;
        let is_first = upper.fragment.is_none_or(|part| part.offset_bytes == 0);
        Ok(Self {
            addresses: Addresses::V6 {
                src: ipv6_at(bytes, field::V6_SOURCE),
                dst: ipv6_at(bytes, field::V6_DESTINATION),
            },
            protocol: upper.protocol,
            transport: if is_first {
                transport(upper.protocol, upper.payload)?
            } else {
                Transport::Other
            },
        })
    }
}

fn transport(protocol: Protocol, bytes: &[u8]) -> Result<Transport> {
    let is_known = matches!(
        protocol,
        Protocol::TCP | Protocol::UDP | Protocol::ICMP | Protocol::ICMPV6
    );
    if !is_known {
        return Ok(Transport::Other);
    }
    check("quoted transport header", bytes, TRANSPORT_LEN)?;
    let src_port = u16_at(bytes, field::SOURCE_PORT);
    let dst_port = u16_at(bytes, field::DESTINATION_PORT);
    Ok(match protocol {
        Protocol::TCP => Transport::Tcp {
            src_port,
            dst_port,
            sequence: SeqNumber(u32_at(bytes, field::SEQUENCE_NUMBER)),
        },
        Protocol::UDP => Transport::Udp { src_port, dst_port },
        _ => Transport::Icmp {
            message_type: bytes[field::ICMP_TYPE],
            code: bytes[field::ICMP_CODE],
            identifier: u16_at(bytes, field::ICMP_IDENTIFIER),
            sequence: u16_at(bytes, field::ICMP_SEQUENCE),
        },
    })
}
