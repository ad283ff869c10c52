//! UDP datagrams (RFC 768).

use crate::bytes::{check, length_u16, put, put_u16, room, u16_at};
use crate::checksum::{Addresses, Checksum, Verified};
use crate::{Error, Protocol, Result};

/// Bytes of a header.
pub const HEADER_LEN: usize = 8;
const WHAT: &str = "UDP header";

mod field {
    use std::ops::Range;
    pub(super) const SOURCE_PORT: Range<usize> = 0..2;
    pub(super) const DESTINATION_PORT: Range<usize> = 2..4;
    pub(super) const LENGTH: Range<usize> = 4..6;
    pub(super) const CHECKSUM: Range<usize> = 6..8;
    pub(super) const DATA: usize = 8;
}

/// A datagram whose length has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// The view of a datagram; what follows its length is ignored.
    ///
    /// # Errors
    /// [`Error::Truncated`] when it is shorter than it says, [`Error::Length`] when it says less
    /// than a header.
    pub fn new(buffer: T) -> Result<Self> {
        let bytes = buffer.as_ref();
        check(WHAT, bytes, HEADER_LEN)?;
        let len = usize::from(u16_at(bytes, field::LENGTH));
        if len < HEADER_LEN {
            return Err(Error::Length {
                what: "UDP length",
                says: len,
                least: HEADER_LEN,
                most: u16::MAX.into(),
            });
        }
        check("UDP datagram", bytes, len)?;
        Ok(Self { buffer })
    }

    /// From which port.
    pub fn source_port(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::SOURCE_PORT)
    }

    /// To which port.
    pub fn destination_port(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::DESTINATION_PORT)
    }

    /// Bytes of header and payload together (RFC 768, "Length").
    pub fn length(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::LENGTH)
    }

    /// The checksum field; 0 says that none was computed.
    pub fn checksum(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::CHECKSUM)
    }

    /// Whether a checksum was computed, and holds.
    pub fn verify(&self, addresses: &Addresses) -> Verified {
        if self.checksum() == 0 {
            return Verified::No;
        }
        let bytes = &self.buffer.as_ref()[..self.length().into()];
        let mut sum = addresses.pseudo_header(Protocol::UDP, bytes.len());
        sum.add_bytes(bytes);
        (sum.checksum() == 0).into()
    }

    /// What it carries.
    pub fn payload(&self) -> &[u8] {
        &self.buffer.as_ref()[field::DATA..self.length().into()]
    }
}

/// A datagram as values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Repr<'a> {
    /// From which port.
    pub src_port: u16,
    /// To which port.
    pub dst_port: u16,
    /// The checksum; `Literal(0)` for none.
    pub checksum: Checksum,
    /// What it carries.
    pub payload: &'a [u8],
}

impl<'a> Repr<'a> {
    /// The datagram's values.
    pub fn parse<T: AsRef<[u8]>>(packet: &'a Packet<T>, addresses: &Addresses) -> Self {
        Self {
            src_port: packet.source_port(),
            dst_port: packet.destination_port(),
            checksum: Checksum::of(packet.verify(addresses), packet.checksum()),
            payload: packet.payload(),
        }
    }

    /// Bytes of header and payload.
    #[expect(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(&self) -> usize {
        HEADER_LEN + self.payload.len()
    }

    /// Writes the datagram to the first [`len`](Self::len) bytes of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`] when `buffer` is shorter, [`Error::Length`] when the datagram is above
    /// 65,535 bytes.
    pub fn emit(&self, addresses: &Addresses, buffer: &mut [u8]) -> Result<()> {
        let len = self.len();
        let length = length_u16("UDP length", len)?;
        let bytes = room("UDP datagram", buffer, len)?;
        put_u16(bytes, field::SOURCE_PORT, self.src_port);
        put_u16(bytes, field::DESTINATION_PORT, self.dst_port);
        put_u16(bytes, field::LENGTH, length);
        put_u16(bytes, field::CHECKSUM, 0);
        put(bytes, field::DATA..len, self.payload);
        let mut sum = addresses.pseudo_header(Protocol::UDP, len);
        sum.add_bytes(bytes);
        // A sum of zero is sent as its other form, since zero means none (RFC 768, "Checksum").
        let correct = match sum.checksum() {
            0 => 0xffff,
            checksum => checksum,
        };
        put_u16(bytes, field::CHECKSUM, self.checksum.value(correct));
        Ok(())
    }
}
