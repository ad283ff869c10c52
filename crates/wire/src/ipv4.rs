//! IPv4 headers (RFC 791), their options kept as bytes.

use std::net::Ipv4Addr;

use crate::bytes::{check, ipv4_at, length_u16, put, put_u16, room, u16_at};
use crate::checksum::{self, Checksum, Verified};
use crate::{Addresses, Error, Protocol, Result, Ttl};

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// The most bytes of options.
pub const MAX_OPTIONS_LEN: usize = 40;
const WHAT: &str = "IPv4 header";

mod field {
    use std::ops::Range;
    pub(super) const VERSION_IHL: usize = 0;
    pub(super) const TYPE_OF_SERVICE: usize = 1;
    pub(super) const TOTAL_LENGTH: Range<usize> = 2..4;
    pub(super) const IDENTIFICATION: Range<usize> = 4..6;
    pub(super) const FLAGS_OFFSET: Range<usize> = 6..8;
    pub(super) const TTL: usize = 8;
    pub(super) const PROTOCOL: usize = 9;
    pub(super) const CHECKSUM: Range<usize> = 10..12;
    pub(super) const SOURCE: Range<usize> = 12..16;
    pub(super) const DESTINATION: Range<usize> = 16..20;
    pub(super) const OPTIONS: usize = 20;
}

/// Where a fragment belongs: Flags and Fragment Offset (RFC 791, 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Fragmentation(pub u16);

impl Fragmentation {
    /// Whole, and not to be fragmented on the way.
    pub const DONT_FRAGMENT: Self = Self(0x4000);
    /// Whole, and free to be fragmented.
    pub const NONE: Self = Self(0);

    /// Whether routers must not fragment it.
    pub const fn is_dont_fragment(self) -> bool {
        self.0 & 0x4000 != 0
    }

    /// Whether more fragments follow.
    pub const fn has_more_fragments(self) -> bool {
        self.0 & 0x2000 != 0
    }

    /// Where in the whole packet's payload this part begins, in bytes.
    pub const fn offset_bytes(self) -> u16 {
        // 13 bits times 8 is below 2^16.
        (self.0 & 0x1fff) << 3
    }

    /// Whether it is a part of a packet.
    pub const fn is_fragment(self) -> bool {
        self.0 & 0x3fff != 0
    }
}

/// An IPv4 packet whose header and lengths have been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// The view of a packet; what follows its total length is padding.
    ///
    /// # Errors
    /// [`Error::Truncated`] when it is shorter than it says, [`Error::Value`] when its version is
    /// not 4, [`Error::Length`] when its lengths contradict each other.
    pub fn new(buffer: T) -> Result<Self> {
        let bytes = buffer.as_ref();
        check(WHAT, bytes, HEADER_LEN)?;
        let version = bytes[field::VERSION_IHL] >> 4;
        if version != 4 {
            return Err(Error::Value {
                what: "IP version",
                found: version.into(),
                expected: 4,
            });
        }
        let packet = Self { buffer };
        let (header, total) = (packet.header_len(), packet.total_length().into());
        if header < HEADER_LEN {
            return Err(Error::Length {
                what: "IPv4 header length",
                says: header,
                least: HEADER_LEN,
                most: HEADER_LEN + MAX_OPTIONS_LEN,
            });
        }
        if total < header {
            return Err(Error::Length {
                what: "IPv4 total length",
                says: total,
                least: header,
                most: u16::MAX.into(),
            });
        }
        check("IPv4 packet", packet.buffer.as_ref(), total)?;
        Ok(packet)
    }

    /// Bytes of the header, options included (IHL).
    pub fn header_len(&self) -> usize {
        usize::from(self.buffer.as_ref()[field::VERSION_IHL] & 0x0f) * 4
    }

    /// The differentiated services and congestion bits (RFC 2474, 3; RFC 3168, 5).
    pub fn type_of_service(&self) -> u8 {
        self.buffer.as_ref()[field::TYPE_OF_SERVICE]
    }

    /// Bytes of header and payload together.
    pub fn total_length(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::TOTAL_LENGTH)
    }

    /// What fragments of one packet share.
    pub fn identification(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::IDENTIFICATION)
    }

    /// Whether it is a part, and which.
    pub fn fragmentation(&self) -> Fragmentation {
        Fragmentation(u16_at(self.buffer.as_ref(), field::FLAGS_OFFSET))
    }

    /// The hops that it may still go.
    pub fn ttl(&self) -> Ttl {
        Ttl(self.buffer.as_ref()[field::TTL])
    }

    /// What it carries.
    pub fn protocol(&self) -> Protocol {
        Protocol(self.buffer.as_ref()[field::PROTOCOL])
    }

    /// The header checksum field.
    pub fn header_checksum(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::CHECKSUM)
    }

    /// Whether the header checksum holds.
    pub fn verify(&self) -> Verified {
        (checksum::checksum(&self.buffer.as_ref()[..self.header_len()]) == 0).into()
    }

    /// Who sends.
    pub fn source(&self) -> Ipv4Addr {
        ipv4_at(self.buffer.as_ref(), field::SOURCE)
    }

    /// Who receives.
    pub fn destination(&self) -> Ipv4Addr {
        ipv4_at(self.buffer.as_ref(), field::DESTINATION)
    }

    /// Both ends, as transport checksums cover them.
    pub fn addresses(&self) -> Addresses {
        Addresses::V4 {
            src: self.source(),
            dst: self.destination(),
        }
    }

    /// The options, as bytes.
    pub fn options(&self) -> &[u8] {
        &self.buffer.as_ref()[field::OPTIONS..self.header_len()]
    }

    /// What it carries, without padding. In a fragment other than the first, no header begins it.
    pub fn payload(&self) -> &[u8] {
        &self.buffer.as_ref()[self.header_len()..self.total_length().into()]
    }
}

/// An IPv4 header as values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Repr<'a> {
    /// The differentiated services and congestion bits.
    pub type_of_service: u8,
    /// What fragments of one packet share.
    pub identification: u16,
    /// Whether it is a part, and which.
    pub fragmentation: Fragmentation,
    /// The hops that it may go.
    pub ttl: Ttl,
    /// What it carries.
    pub protocol: Protocol,
    /// The header checksum.
    pub checksum: Checksum,
    /// Who sends.
    pub src: Ipv4Addr,
    /// Who receives.
    pub dst: Ipv4Addr,
    /// Options as bytes, a multiple of 4.
    pub options: &'a [u8],
    /// Bytes that follow the header.
    pub payload_len: usize,
}

impl<'a> Repr<'a> {
    /// The header of a packet with the usual values: no options, not to be fragmented.
    pub const fn new(src: Ipv4Addr, dst: Ipv4Addr, protocol: Protocol, payload_len: usize) -> Self {
        Self {
            type_of_service: 0,
            identification: 0,
            fragmentation: Fragmentation::DONT_FRAGMENT,
            ttl: Ttl(64),
            protocol,
            checksum: Checksum::Correct,
            src,
            dst,
            options: &[],
            payload_len,
        }
    }

    /// The packet's header.
    pub fn parse<T: AsRef<[u8]>>(packet: &'a Packet<T>) -> Self {
        Self {
            type_of_service: packet.type_of_service(),
            identification: packet.identification(),
            fragmentation: packet.fragmentation(),
            ttl: packet.ttl(),
            protocol: packet.protocol(),
            checksum: Checksum::of(packet.verify(), packet.header_checksum()),
            src: packet.source(),
            dst: packet.destination(),
            options: packet.options(),
            payload_len: packet.payload().len(),
        }
    }

    /// Bytes of the header.
    #[expect(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(&self) -> usize {
        HEADER_LEN + self.options.len()
    }

    /// Writes the header to the first [`len`](Self::len) bytes of `buffer`; the payload follows.
    ///
    /// # Errors
    /// [`Error::Truncated`] when `buffer` is shorter; [`Error::Length`] when the options are no
    /// multiple of 4 or above 40 bytes, or the whole is above 65,535.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<()> {
        let len = self.len();
        let options = self.options.len();
        if !options.is_multiple_of(4) || options > MAX_OPTIONS_LEN {
            return Err(Error::Length {
                what: "IPv4 options length",
                says: options,
                least: 0,
                most: MAX_OPTIONS_LEN,
            });
        }
        let total = length_u16("IPv4 total length", len + self.payload_len)?;
        let words = u8::try_from(len / 4).expect("a header of at most 60 bytes was checked");
        let bytes = room(WHAT, buffer, len)?;
        bytes[field::VERSION_IHL] = 0x40 | words;
        bytes[field::TYPE_OF_SERVICE] = self.type_of_service;
        put_u16(bytes, field::TOTAL_LENGTH, total);
        put_u16(bytes, field::IDENTIFICATION, self.identification);
        put_u16(bytes, field::FLAGS_OFFSET, self.fragmentation.0);
        bytes[field::TTL] = self.ttl.0;
        bytes[field::PROTOCOL] = self.protocol.0;
        put_u16(bytes, field::CHECKSUM, 0);
        put(bytes, field::SOURCE, &self.src.octets());
        put(bytes, field::DESTINATION, &self.dst.octets());
        put(bytes, field::OPTIONS..len, self.options);
        let correct = checksum::checksum(bytes);
        put_u16(bytes, field::CHECKSUM, self.checksum.value(correct));
        Ok(())
    }
}
