//! ARP for IPv4 over Ethernet (RFC 826).

use std::net::Ipv4Addr;

use crate::bytes::{array_at, check, ipv4_at, put, put_u16, room, u16_at};
use crate::ethernet::EtherType;
use crate::{Error, MacAddress, Result};

/// Bytes of a packet.
pub const LEN: usize = 28;
const WHAT: &str = "ARP packet";
/// Ethernet (IANA "ARP Parameters", hardware types).
const ETHERNET: u16 = 1;
/// The lengths of an Ethernet and an IPv4 address, as they stand in their two fields.
const LENGTHS: u16 = 0x0604;

mod field {
    use std::ops::Range;
    pub(super) const HARDWARE: Range<usize> = 0..2;
    pub(super) const PROTOCOL: Range<usize> = 2..4;
    pub(super) const LENGTHS: Range<usize> = 4..6;
    pub(super) const OPERATION: Range<usize> = 6..8;
    pub(super) const SENDER_HARDWARE: Range<usize> = 8..14;
    pub(super) const SENDER_PROTOCOL: Range<usize> = 14..18;
    pub(super) const TARGET_HARDWARE: Range<usize> = 18..24;
    pub(super) const TARGET_PROTOCOL: Range<usize> = 24..28;
}

/// What an ARP packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Operation(pub u16);

impl Operation {
    /// Who has this address?
    pub const REQUEST: Self = Self(1);
    /// I have.
    pub const REPLY: Self = Self(2);
}

/// An ARP packet for IPv4 over Ethernet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// The view of a packet; what follows it is padding.
    ///
    /// # Errors
    /// [`Error::Truncated`] when it is cut off, [`Error::Value`] when it is not about IPv4 over
    /// Ethernet.
    pub fn new(buffer: T) -> Result<Self> {
        let bytes = buffer.as_ref();
        check(WHAT, bytes, LEN)?;
        let required = [
            ("ARP hardware type", field::HARDWARE, ETHERNET),
            ("ARP protocol type", field::PROTOCOL, EtherType::IPV4.0),
            ("ARP address lengths", field::LENGTHS, LENGTHS),
        ];
        for (what, place, expected) in required {
            let found = u16_at(bytes, place);
            if found != expected {
                return Err(Error::Value {
                    what,
                    found: found.into(),
                    expected: expected.into(),
                });
            }
        }
        Ok(Self { buffer })
    }

    /// What it says.
    pub fn operation(&self) -> Operation {
        Operation(u16_at(self.buffer.as_ref(), field::OPERATION))
    }

    /// The sender's MAC address.
    pub fn sender_hardware(&self) -> MacAddress {
        MacAddress(array_at(self.buffer.as_ref(), field::SENDER_HARDWARE))
    }

    /// The sender's IPv4 address.
    pub fn sender_protocol(&self) -> Ipv4Addr {
        ipv4_at(self.buffer.as_ref(), field::SENDER_PROTOCOL)
    }

    /// The MAC address of whom it is for; nothing in a request.
    pub fn target_hardware(&self) -> MacAddress {
        MacAddress(array_at(self.buffer.as_ref(), field::TARGET_HARDWARE))
    }

    /// The IPv4 address that is asked for, or of whom the reply is for.
    pub fn target_protocol(&self) -> Ipv4Addr {
        ipv4_at(self.buffer.as_ref(), field::TARGET_PROTOCOL)
    }
}

/// An ARP packet as values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Repr {
    /// What it says.
    pub operation: Operation,
    /// The sender's MAC address.
    pub sender_hardware: MacAddress,
    /// The sender's IPv4 address.
    pub sender_protocol: Ipv4Addr,
    /// The MAC address of whom it is for; zero in a request.
    pub target_hardware: MacAddress,
    /// The IPv4 address asked for.
    pub target_protocol: Ipv4Addr,
}

impl Repr {
    /// The packet's values.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Self {
        Self {
            operation: packet.operation(),
            sender_hardware: packet.sender_hardware(),
            sender_protocol: packet.sender_protocol(),
            target_hardware: packet.target_hardware(),
            target_protocol: packet.target_protocol(),
        }
    }

    /// Bytes of the packet.
    #[expect(clippy::len_without_is_empty, reason = "a packet is never empty")]
    pub const fn len(&self) -> usize {
        LEN
    }

    /// Writes the packet to the first [`len`](Self::len) bytes of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`] when `buffer` is shorter.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<()> {
        let bytes = room(WHAT, buffer, LEN)?;
        put_u16(bytes, field::HARDWARE, ETHERNET);
        put_u16(bytes, field::PROTOCOL, EtherType::IPV4.0);
        put_u16(bytes, field::LENGTHS, LENGTHS);
        put_u16(bytes, field::OPERATION, self.operation.0);
        put(bytes, field::SENDER_HARDWARE, &self.sender_hardware.0);
        put(
            bytes,
            field::SENDER_PROTOCOL,
            &self.sender_protocol.octets(),
        );
        put(bytes, field::TARGET_HARDWARE, &self.target_hardware.0);
        put(
            bytes,
            field::TARGET_PROTOCOL,
            &self.target_protocol.octets(),
        );
        Ok(())
    }
}
