//! IPv6 headers (RFC 8200) and the walk over extension headers to the transport header.

use std::net::Ipv6Addr;

use crate::bytes::{check, ipv6_at, length_u16, put, put_u16, put_u32, room, u16_at, u32_at};
use crate::{Addresses, Error, Protocol, Result, Ttl};

/// Bytes of the fixed header.
pub const HEADER_LEN: usize = 40;
/// The most extension headers that are walked. Real packets have at most a few; a longer chain
/// is made to waste time (RFC 8504, 5.3 allows a limit).
pub const MAX_EXTENSIONS: usize = 16;
const WHAT: &str = "IPv6 header";

mod field {
    use std::ops::Range;
    pub(super) const VERSION_CLASS_FLOW: Range<usize> = 0..4;
    pub(super) const PAYLOAD_LENGTH: Range<usize> = 4..6;
    pub(super) const NEXT_HEADER: usize = 6;
    pub(super) const HOP_LIMIT: usize = 7;
    pub(super) const SOURCE: Range<usize> = 8..24;
    pub(super) const DESTINATION: Range<usize> = 24..40;
}

/// Fields of extension headers, from the header's start.
mod extension {
    use std::ops::Range;
    pub(super) const NEXT_HEADER: usize = 0;
    pub(super) const LENGTH: usize = 1;
    pub(super) const FRAGMENT_OFFSET: Range<usize> = 2..4;
    pub(super) const FRAGMENT_IDENTIFICATION: Range<usize> = 4..8;
    pub(super) const LEAST: usize = 8;
}

/// An IPv6 packet whose header and length have been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

/// What extension headers lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upper<'a> {
    /// What the payload is.
    pub protocol: Protocol,
    /// The transport header and what follows it. In a fragment other than the first, no header
    /// begins it.
    pub payload: &'a [u8],
    /// The fragment header, when there was one.
    pub fragment: Option<Fragment>,
    /// How many extension headers were walked.
    pub extensions: usize,
}

/// A fragment header (RFC 8200, 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fragment {
    /// Where in the whole packet this part begins, in bytes.
    pub offset_bytes: u16,
    /// Whether parts follow.
    pub more_fragments: bool,
    /// What parts of one packet share.
    pub identification: u32,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// The view of a packet; what follows its payload length is padding. Jumbograms (RFC 2675)
    /// are not known.
    ///
    /// # Errors
    /// [`Error::Truncated`] when it is shorter than it says, [`Error::Value`] when its version is
    /// not 6.
    pub fn new(buffer: T) -> Result<Self> {
        let bytes = buffer.as_ref();
        check(WHAT, bytes, HEADER_LEN)?;
        let version = bytes[0] >> 4;
        if version != 6 {
            return Err(Error::Value {
                what: "IP version",
                found: version.into(),
                expected: 6,
            });
        }
        let payload = usize::from(u16_at(bytes, field::PAYLOAD_LENGTH));
        check("IPv6 packet", bytes, HEADER_LEN + payload)?;
        Ok(Self { buffer })
    }

    /// The differentiated services and congestion bits.
    pub fn traffic_class(&self) -> u8 {
        ((u32_at(self.buffer.as_ref(), field::VERSION_CLASS_FLOW) >> 20) & 0xff) as u8
    }

    /// The flow label, 20 bits.
    pub fn flow_label(&self) -> u32 {
        u32_at(self.buffer.as_ref(), field::VERSION_CLASS_FLOW) & 0x000f_ffff
    }

    /// Bytes that follow the fixed header.
    pub fn payload_length(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::PAYLOAD_LENGTH)
    }

    /// What follows the fixed header.
    pub fn next_header(&self) -> Protocol {
        Protocol(self.buffer.as_ref()[field::NEXT_HEADER])
    }

    /// The hops that it may still go.
    pub fn hop_limit(&self) -> Ttl {
        Ttl(self.buffer.as_ref()[field::HOP_LIMIT])
    }

    /// Who sends.
    pub fn source(&self) -> Ipv6Addr {
        ipv6_at(self.buffer.as_ref(), field::SOURCE)
    }

    /// Who receives.
    pub fn destination(&self) -> Ipv6Addr {
        ipv6_at(self.buffer.as_ref(), field::DESTINATION)
    }

    /// Both ends, as transport checksums cover them.
    pub fn addresses(&self) -> Addresses {
        Addresses::V6 {
            src: self.source(),
            dst: self.destination(),
        }
    }

    /// What follows the fixed header, extension headers included.
    pub fn payload(&self) -> &[u8] {
        &self.buffer.as_ref()[HEADER_LEN..HEADER_LEN + usize::from(self.payload_length())]
    }

    /// Walks the extension headers to what they carry. It stops at a fragment other than the
    /// first, and at a protocol that it does not know.
    ///
    /// # Errors
    /// [`Error::Truncated`] when a header is cut off, [`Error::TooManyExtensions`] when there
    /// are more than [`MAX_EXTENSIONS`].
    pub fn upper(&self) -> Result<Upper<'_>> {
        walk(self.next_header(), self.payload())
    }
}

/// Walks extension headers from `payload` on, the first of which is `protocol`.
pub(crate) fn walk(protocol: Protocol, payload: &[u8]) -> Result<Upper<'_>> {
    let mut upper = Upper {
        protocol,
        payload,
        fragment: None,
        extensions: 0,
    };
    loop {
        let header = upper.payload;
        let len = match upper.protocol {
            Protocol::HOP_BY_HOP
            | Protocol::ROUTING
            | Protocol::DESTINATION_OPTIONS
            | Protocol::MOBILITY => {
                check("IPv6 extension header", header, extension::LEAST)?;
                (usize::from(header[extension::LENGTH]) + 1) * 8
            }
            Protocol::AUTHENTICATION => {
                check("IP authentication header", header, extension::LEAST)?;
                (usize::from(header[extension::LENGTH]) + 2) * 4
            }
            Protocol::FRAGMENT => {
                check("IPv6 fragment header", header, extension::LEAST)?;
                let offset = u16_at(header, extension::FRAGMENT_OFFSET);
                upper.fragment = Some(Fragment {
                    offset_bytes: offset & 0xfff8,
                    more_fragments: offset & 1 != 0,
                    identification: u32_at(header, extension::FRAGMENT_IDENTIFICATION),
                });
                extension::LEAST
            }
            _ => return Ok(upper),
        };
        if upper.extensions == MAX_EXTENSIONS {
            return Err(Error::TooManyExtensions {
                most: MAX_EXTENSIONS,
            });
        }
        check("IPv6 extension header", header, len)?;
        upper.extensions += 1;
        upper.protocol = Protocol(header[extension::NEXT_HEADER]);
        upper.payload = &header[len..];
        if upper.fragment.is_some_and(|part| part.offset_bytes != 0) {
            return Ok(upper);
        }
    }
}

/// An IPv6 header as values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Repr {
    /// The differentiated services and congestion bits.
    pub traffic_class: u8,
    /// The flow label; bits above the 20th are not sent.
    pub flow_label: u32,
    /// What follows the header.
    pub next_header: Protocol,
    /// The hops that it may go.
    pub hop_limit: Ttl,
    /// Who sends.
    pub src: Ipv6Addr,
    /// Who receives.
    pub dst: Ipv6Addr,
    /// Bytes that follow the header.
    pub payload_len: usize,
}

impl Repr {
    /// A header with the usual values.
    pub const fn new(
        src: Ipv6Addr,
        dst: Ipv6Addr,
        next_header: Protocol,
        payload_len: usize,
    ) -> Self {
        Self {
            traffic_class: 0,
            flow_label: 0,
            next_header,
            hop_limit: Ttl(64),
            src,
            dst,
            payload_len,
        }
    }

    /// The packet's header.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Self {
        Self {
            traffic_class: packet.traffic_class(),
            flow_label: packet.flow_label(),
            next_header: packet.next_header(),
            hop_limit: packet.hop_limit(),
            src: packet.source(),
            dst: packet.destination(),
            payload_len: packet.payload().len(),
        }
    }

    /// Bytes of the header.
    #[expect(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header to the first [`len`](Self::len) bytes of `buffer`; the payload follows.
    ///
    /// # Errors
    /// [`Error::Truncated`] when `buffer` is shorter, [`Error::Length`] when the payload is above
    /// 65,535 bytes.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<()> {
        let payload = length_u16("IPv6 payload length", self.payload_len)?;
        let bytes = room(WHAT, buffer, HEADER_LEN)?;
        let first = 6 << 28 | u32::from(self.traffic_class) << 20 | (self.flow_label & 0x000f_ffff);
        put_u32(bytes, field::VERSION_CLASS_FLOW, first);
        put_u16(bytes, field::PAYLOAD_LENGTH, payload);
        bytes[field::NEXT_HEADER] = self.next_header.0;
        bytes[field::HOP_LIMIT] = self.hop_limit.0;
        put(bytes, field::SOURCE, &self.src.octets());
        put(bytes, field::DESTINATION, &self.dst.octets());
        Ok(())
    }
}
