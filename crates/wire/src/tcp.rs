//! TCP segments (RFC 9293).

mod options;

pub use options::{MAX_OPTIONS_LEN, Options, OptionsIter, TcpOption};

use std::fmt;
use std::ops::BitOr;

use crate::bytes::{check, put, put_u16, put_u32, room, u16_at, u32_at};
use crate::checksum::{Addresses, Checksum, Verified};
use crate::{Error, Protocol, Result, SeqNumber};

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
const WHAT: &str = "TCP header";

pub(crate) mod field {
    use std::ops::Range;
    pub(crate) const SOURCE_PORT: Range<usize> = 0..2;
    pub(crate) const DESTINATION_PORT: Range<usize> = 2..4;
    pub(crate) const SEQUENCE_NUMBER: Range<usize> = 4..8;
    pub(crate) const ACKNOWLEDGMENT_NUMBER: Range<usize> = 8..12;
    pub(crate) const OFFSET_FLAGS: Range<usize> = 12..14;
    pub(crate) const WINDOW: Range<usize> = 14..16;
    pub(crate) const CHECKSUM: Range<usize> = 16..18;
    pub(crate) const URGENT_POINTER: Range<usize> = 18..20;
    pub(crate) const OPTIONS: usize = 20;
}

/// The control bits and the reserved bits above them, 12 in all (RFC 9293, 3.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(u16);

impl Flags {
    /// No flag at all.
    pub const NONE: Self = Self(0);
    /// No more data from the sender.
    pub const FIN: Self = Self(0x001);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Self(0x002);
    /// Reset the connection.
    pub const RST: Self = Self(0x004);
    /// Push function.
    pub const PSH: Self = Self(0x008);
    /// The acknowledgment field is significant.
    pub const ACK: Self = Self(0x010);
    /// The urgent pointer is significant.
    pub const URG: Self = Self(0x020);
    /// Congestion is echoed (RFC 3168).
    pub const ECE: Self = Self(0x040);
    /// The congestion window was reduced (RFC 3168).
    pub const CWR: Self = Self(0x080);
    /// Accurate congestion feedback; once a nonce (RFC 9768, RFC 8311).
    pub const AE: Self = Self(0x100);
    /// SYN and ACK: the second segment of a handshake.
    pub const SYN_ACK: Self = Self(0x012);
    /// RST and ACK: the answer of a closed port to a SYN.
    pub const RST_ACK: Self = Self(0x014);

    /// The flags of the lowest 12 bits; what is above is dropped.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & 0x0fff)
    }

    /// The flags as 12 bits.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether every flag of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Names joined by `|`: `SYN|ACK`.
impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 9] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE"];
        if self.0 == 0 {
            return f.write_str("none");
        }
        let mut separator = "";
        for (bit, name) in NAMES.iter().enumerate() {
            if self.0 & (1 << bit) != 0 {
                write!(f, "{separator}{name}")?;
                separator = "|";
            }
        }
        match self.0 >> 9 {
            0 => Ok(()),
            reserved => write!(f, "{separator}reserved {reserved}"),
        }
    }
}

/// A segment whose header has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// The view of a segment, as long as the IP packet says that it is.
    ///
    /// # Errors
    /// [`Error::Truncated`] when the header is cut off, [`Error::Length`] when the data offset is
    /// below 20 bytes.
    pub fn new(buffer: T) -> Result<Self> {
        check(WHAT, buffer.as_ref(), HEADER_LEN)?;
        let packet = Self { buffer };
        let header = packet.header_len();
        if header < HEADER_LEN {
            return Err(Error::Length {
                what: "TCP data offset",
                says: header,
                least: HEADER_LEN,
                most: HEADER_LEN + MAX_OPTIONS_LEN,
            });
        }
        check(WHAT, packet.buffer.as_ref(), header)?;
        Ok(packet)
    }

    /// From which port.
    pub fn source_port(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::SOURCE_PORT)
    }

    /// To which port.
    pub fn destination_port(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::DESTINATION_PORT)
    }

    /// The number of the first byte of data, or of the SYN.
    pub fn sequence_number(&self) -> SeqNumber {
        SeqNumber(u32_at(self.buffer.as_ref(), field::SEQUENCE_NUMBER))
    }

    /// The number that is expected next; it counts when ACK is set.
    pub fn acknowledgment_number(&self) -> SeqNumber {
        SeqNumber(u32_at(self.buffer.as_ref(), field::ACKNOWLEDGMENT_NUMBER))
    }

    /// Bytes of the header, options included (Data Offset).
    pub fn header_len(&self) -> usize {
        usize::from(u16_at(self.buffer.as_ref(), field::OFFSET_FLAGS) >> 12) * 4
    }

    /// The control bits and the reserved bits.
    pub fn flags(&self) -> Flags {
        Flags::from_bits(u16_at(self.buffer.as_ref(), field::OFFSET_FLAGS))
    }

    /// The receive window, unscaled.
    pub fn window(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::WINDOW)
    }

    /// The checksum field.
    pub fn checksum(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::CHECKSUM)
    }

    /// Where urgent data ends; it counts when URG is set.
    pub fn urgent_pointer(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::URGENT_POINTER)
    }

    /// Whether the checksum holds.
    pub fn verify(&self, addresses: &Addresses) -> Verified {
        let bytes = self.buffer.as_ref();
        let mut sum = addresses.pseudo_header(Protocol::TCP, bytes.len());
        sum.add_bytes(bytes);
        (sum.checksum() == 0).into()
    }

    /// The options, as bytes.
    pub fn option_bytes(&self) -> &[u8] {
        &self.buffer.as_ref()[field::OPTIONS..self.header_len()]
    }

    /// The options, up to their end or to the first that is malformed.
    pub fn options(&self) -> OptionsIter<'_> {
        OptionsIter::new(self.option_bytes())
    }

    /// What it carries.
    pub fn payload(&self) -> &[u8] {
        &self.buffer.as_ref()[self.header_len()..]
    }

    /// How much of the sequence space it takes: its data, SYN and FIN (RFC 9293, 3.4).
    pub fn sequence_len(&self) -> u32 {
        let flags = self.flags();
        let data = u32::try_from(self.payload().len()).unwrap_or(u32::MAX);
        data.saturating_add(u32::from(flags.contains(Flags::SYN)))
            .saturating_add(u32::from(flags.contains(Flags::FIN)))
    }
}

/// A segment as values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Repr<'a> {
    /// From which port.
    pub src_port: u16,
    /// To which port.
    pub dst_port: u16,
    /// The number of the first byte of data, or of the SYN.
    pub sequence: SeqNumber,
    /// The number that is expected next; it counts when ACK is set.
    pub acknowledgment: SeqNumber,
    /// Any set of flags.
    pub flags: Flags,
    /// The receive window, unscaled.
    pub window: u16,
    /// The checksum.
    pub checksum: Checksum,
    /// Where urgent data ends.
    pub urgent_pointer: u16,
    /// The options, in their order.
    pub options: Options,
    /// What it carries.
    pub payload: &'a [u8],
}

impl<'a> Repr<'a> {
    /// A segment without options and data, its numbers zero.
    pub const fn new(src_port: u16, dst_port: u16, flags: Flags) -> Self {
        Self {
            src_port,
            dst_port,
            sequence: SeqNumber(0),
            acknowledgment: SeqNumber(0),
            flags,
            window: 0,
            checksum: Checksum::Correct,
            urgent_pointer: 0,
            options: Options::new(),
            payload: &[],
        }
    }

    /// The segment's values.
    pub fn parse<T: AsRef<[u8]>>(packet: &'a Packet<T>, addresses: &Addresses) -> Self {
        Self {
            src_port: packet.source_port(),
            dst_port: packet.destination_port(),
            sequence: packet.sequence_number(),
            acknowledgment: packet.acknowledgment_number(),
            flags: packet.flags(),
            window: packet.window(),
            checksum: Checksum::of(packet.verify(addresses), packet.checksum()),
            urgent_pointer: packet.urgent_pointer(),
            options: Options::of_header(packet.option_bytes()),
            payload: packet.payload(),
        }
    }

    /// Bytes of header and payload.
    #[expect(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(&self) -> usize {
        self.header_len() + self.payload.len()
    }

    /// Bytes of the header, options and their padding included.
    pub const fn header_len(&self) -> usize {
        HEADER_LEN + self.options.padded_len()
    }

    /// Writes the segment to the first [`len`](Self::len) bytes of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`] when `buffer` is shorter.
    pub fn emit(&self, addresses: &Addresses, buffer: &mut [u8]) -> Result<()> {
        let (header, len) = (self.header_len(), self.len());
        let bytes = room("TCP segment", buffer, len)?;
        put_u16(bytes, field::SOURCE_PORT, self.src_port);
        put_u16(bytes, field::DESTINATION_PORT, self.dst_port);
        put_u32(bytes, field::SEQUENCE_NUMBER, self.sequence.0);
        put_u32(bytes, field::ACKNOWLEDGMENT_NUMBER, self.acknowledgment.0);
        let offset = u16::try_from(header / 4).expect("options have at most 40 bytes");
        put_u16(bytes, field::OFFSET_FLAGS, offset << 12 | self.flags.bits());
        put_u16(bytes, field::WINDOW, self.window);
        put_u16(bytes, field::CHECKSUM, 0);
        put_u16(bytes, field::URGENT_POINTER, self.urgent_pointer);
        put(bytes, field::OPTIONS..header, self.options.padded_bytes());
        put(bytes, header..len, self.payload);
        let mut sum = addresses.pseudo_header(Protocol::TCP, len);
        sum.add_bytes(bytes);
        put_u16(bytes, field::CHECKSUM, self.checksum.value(sum.checksum()));
        Ok(())
    }
}
