//! Ethernet II frames (RFC 894), with up to two VLAN tags read (IEEE 802.1Q, 9.3).

use crate::bytes::{array_at, check, put, put_u16, room, u16_at};
use crate::{MacAddress, Result};

/// Bytes of a header without a VLAN tag.
pub const HEADER_LEN: usize = 14;
/// Bytes of one VLAN tag.
pub const TAG_LEN: usize = 4;
const WHAT: &str = "Ethernet header";

mod field {
    use std::ops::Range;
    pub(super) const DESTINATION: Range<usize> = 0..6;
    pub(super) const SOURCE: Range<usize> = 6..12;
    pub(super) const TYPE: Range<usize> = 12..14;
    pub(super) const TAG_CONTROL: Range<usize> = 14..16;
}

/// What a frame carries: the `EtherType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4 (RFC 894).
    pub const IPV4: Self = Self(0x0800);
    /// ARP (RFC 826).
    pub const ARP: Self = Self(0x0806);
    /// A VLAN tag of a customer (IEEE 802.1Q, 9.5).
    pub const VLAN: Self = Self(0x8100);
    /// IPv6 (RFC 2464, 3).
    pub const IPV6: Self = Self(0x86dd);
    /// A VLAN tag of a provider, before the customer's (IEEE 802.1Q, 9.5).
    pub const SERVICE_VLAN: Self = Self(0x88a8);

    const fn is_tag(self) -> bool {
        matches!(self, Self::VLAN | Self::SERVICE_VLAN)
    }
}

/// The tag control information of a VLAN tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VlanTag(pub u16);

impl VlanTag {
    /// The VLAN's number, 0 to 4,095.
    pub const fn identifier(self) -> u16 {
        self.0 & 0x0fff
    }

    /// The priority, 0 to 7.
    pub const fn priority(self) -> u8 {
        (self.0 >> 13) as u8
    }
}

/// A frame whose header has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
    header_len: usize,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// The view of a frame, from its destination address on, without the frame check sequence.
    ///
    /// # Errors
    /// [`Error::Truncated`](crate::Error::Truncated) when the header, or a tag in it, is cut off.
    pub fn new(buffer: T) -> Result<Self> {
        let bytes = buffer.as_ref();
        let mut header_len = HEADER_LEN;
        check(WHAT, bytes, header_len)?;
        for _ in 0..2 {
            if !EtherType(u16_at(bytes, header_len - 2..header_len)).is_tag() {
                break;
            }
            header_len += TAG_LEN;
            check(WHAT, bytes, header_len)?;
        }
        Ok(Self { buffer, header_len })
    }

    /// Whom the frame is for.
    pub fn destination(&self) -> MacAddress {
        MacAddress(array_at(self.buffer.as_ref(), field::DESTINATION))
    }

    /// Who sent the frame.
    pub fn source(&self) -> MacAddress {
        MacAddress(array_at(self.buffer.as_ref(), field::SOURCE))
    }

    /// What the frame carries, behind its tags.
    pub fn ether_type(&self) -> EtherType {
        let at = self.header_len - 2..self.header_len;
        EtherType(u16_at(self.buffer.as_ref(), at))
    }

    /// The outermost VLAN tag.
    pub fn vlan(&self) -> Option<VlanTag> {
        (self.header_len > HEADER_LEN)
            .then(|| VlanTag(u16_at(self.buffer.as_ref(), field::TAG_CONTROL)))
    }

    /// Bytes of the header, tags included.
    pub const fn header_len(&self) -> usize {
        self.header_len
    }

    /// What follows the header; it may end in padding (a frame has at least 60 bytes).
    pub fn payload(&self) -> &[u8] {
        &self.buffer.as_ref()[self.header_len..]
    }
}

/// A frame's header as values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Repr {
    /// Whom the frame is for.
    pub destination: MacAddress,
    /// Who sends it.
    pub source: MacAddress,
    /// A customer's VLAN tag.
    pub vlan: Option<VlanTag>,
    /// What it carries.
    pub ether_type: EtherType,
}

impl Repr {
    /// The header of a frame. Of two tags it keeps the outer.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Self {
        Self {
            destination: packet.destination(),
            source: packet.source(),
            vlan: packet.vlan(),
            ether_type: packet.ether_type(),
        }
    }

    /// Bytes of the header.
    #[expect(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(&self) -> usize {
        match self.vlan {
            Some(_) => HEADER_LEN + TAG_LEN,
            None => HEADER_LEN,
        }
    }

    /// Writes the header to the first [`len`](Self::len) bytes of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`](crate::Error::Truncated) when `buffer` is shorter.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<()> {
        let len = self.len();
        let bytes = room(WHAT, buffer, len)?;
        put(bytes, field::DESTINATION, &self.destination.0);
        put(bytes, field::SOURCE, &self.source.0);
        if let Some(tag) = self.vlan {
            put_u16(bytes, field::TYPE, EtherType::VLAN.0);
            put_u16(bytes, field::TAG_CONTROL, tag.0);
        }
        put_u16(bytes, len - 2..len, self.ether_type.0);
        Ok(())
    }
}
