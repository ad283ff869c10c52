//! `ICMPv6` (RFC 4443); neighbour discovery is in [`ndp`].

use crate::bytes::{check, put, put_u16, put_u32, room, u16_at, u32_at};
use crate::checksum::{Addresses, Checksum, Verified};
use crate::{Protocol, Result, ndp};

/// Bytes of the header that every message has.
pub const HEADER_LEN: usize = 8;
const WHAT: &str = "ICMPv6 header";

pub(crate) mod field {
    use std::ops::Range;
    pub(crate) const TYPE: usize = 0;
    pub(crate) const CODE: usize = 1;
    pub(crate) const CHECKSUM: Range<usize> = 2..4;
    pub(crate) const REST: Range<usize> = 4..8;
    pub(crate) const IDENTIFIER: Range<usize> = 4..6;
    pub(crate) const SEQUENCE_NUMBER: Range<usize> = 6..8;
    pub(crate) const DATA: usize = 8;
}

/// Message types (RFC 4443, 2.1).
mod kind {
    pub(super) const DESTINATION_UNREACHABLE: u8 = 1;
    pub(super) const PACKET_TOO_BIG: u8 = 2;
    pub(super) const TIME_EXCEEDED: u8 = 3;
    pub(super) const ECHO_REQUEST: u8 = 128;
    pub(super) const ECHO_REPLY: u8 = 129;
}

/// Codes of *destination unreachable* (RFC 4443, 3.1).
pub mod unreachable {
    /// No route.
    pub const NO_ROUTE: u8 = 0;
    /// Communication is prohibited by a filter.
    pub const ADMINISTRATIVELY_PROHIBITED: u8 = 1;
    /// Beyond the scope of the source address.
    pub const BEYOND_SCOPE: u8 = 2;
    /// The host does not answer.
    pub const ADDRESS: u8 = 3;
    /// Nothing listens on the port.
    pub const PORT: u8 = 4;
    /// The source address fails a policy.
    pub const SOURCE_POLICY: u8 = 5;
    /// The route to the destination rejects.
    pub const REJECT_ROUTE: u8 = 6;
}

/// A message whose header has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// The view of a message, as long as the IP packet says that it is.
    ///
    /// # Errors
    /// [`Error::Truncated`](crate::Error::Truncated) when the header, or that of a neighbour
    /// discovery message, is cut off; [`Error::Length`](crate::Error::Length) when a neighbour
    /// discovery option has no length (RFC 4861, 4.6).
    pub fn new(buffer: T) -> Result<Self> {
        let bytes = buffer.as_ref();
        check(WHAT, bytes, HEADER_LEN)?;
        if bytes[field::CODE] == 0 {
            ndp::check(bytes)?;
        }
        Ok(Self { buffer })
    }

    /// The type of message.
    pub fn message_type(&self) -> u8 {
        self.buffer.as_ref()[field::TYPE]
    }

    /// The code, whose meaning depends on the type.
    pub fn code(&self) -> u8 {
        self.buffer.as_ref()[field::CODE]
    }

    /// The checksum field.
    pub fn checksum(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::CHECKSUM)
    }

    /// Whether the checksum holds.
    pub fn verify(&self, addresses: &Addresses) -> Verified {
        let bytes = self.buffer.as_ref();
        let mut sum = addresses.pseudo_header(Protocol::ICMPV6, bytes.len());
        sum.add_bytes(bytes);
        (sum.checksum() == 0).into()
    }

    /// What it says.
    pub fn message(&self) -> Message<'_> {
        let bytes = self.buffer.as_ref();
        let (kind, code) = (bytes[field::TYPE], bytes[field::CODE]);
        let data = &bytes[field::DATA..];
        match (kind, code) {
            (kind::ECHO_REQUEST, 0) => Message::EchoRequest {
                identifier: u16_at(bytes, field::IDENTIFIER),
                sequence: u16_at(bytes, field::SEQUENCE_NUMBER),
                data,
            },
            (kind::ECHO_REPLY, 0) => Message::EchoReply {
                identifier: u16_at(bytes, field::IDENTIFIER),
                sequence: u16_at(bytes, field::SEQUENCE_NUMBER),
                data,
            },
            (kind::DESTINATION_UNREACHABLE, _) => {
                Message::DestinationUnreachable { code, quoted: data }
            }
            (kind::PACKET_TOO_BIG, 0) => Message::PacketTooBig {
                mtu: u32_at(bytes, field::REST),
                quoted: data,
            },
            (kind::TIME_EXCEEDED, _) => Message::TimeExceeded { code, quoted: data },
            _ => match ndp::Message::of(kind, code, bytes) {
                Some(message) => Message::Ndp(message),
                None => Message::Other {
                    message_type: kind,
                    code,
                    rest: u32_at(bytes, field::REST),
                    data,
                },
            },
        }
    }
}

/// What an `ICMPv6` message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Message<'a> {
    /// A packet did not arrive.
    DestinationUnreachable {
        /// Why: see [`mod@unreachable`].
        code: u8,
        /// The beginning of the packet.
        quoted: &'a [u8],
    },
    /// A packet is larger than a link on the way takes.
    PacketTooBig {
        /// What it takes, in bytes.
        mtu: u32,
        /// The beginning of the packet.
        quoted: &'a [u8],
    },
    /// A packet ran out of hops (code 0) or of time for reassembly (code 1).
    TimeExceeded {
        /// Of which.
        code: u8,
        /// The beginning of the packet.
        quoted: &'a [u8],
    },
    /// Are you there?
    EchoRequest {
        /// The asking process.
        identifier: u16,
        /// Which of its questions.
        sequence: u16,
        /// What is to be sent back.
        data: &'a [u8],
    },
    /// I am.
    EchoReply {
        /// The asking process.
        identifier: u16,
        /// Which of its questions.
        sequence: u16,
        /// What was sent.
        data: &'a [u8],
    },
    /// Neighbour discovery.
    Ndp(ndp::Message<'a>),
    /// A message that is not read further.
    Other {
        /// Its type.
        message_type: u8,
        /// Its code.
        code: u8,
        /// The second four bytes of its header.
        rest: u32,
        /// What follows the header.
        data: &'a [u8],
    },
}

/// A message as values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Repr<'a> {
    /// What it says.
    pub message: Message<'a>,
    /// The checksum.
    pub checksum: Checksum,
}

impl<'a> Repr<'a> {
    /// A message with the right checksum.
    pub const fn new(message: Message<'a>) -> Self {
        Self {
            message,
            checksum: Checksum::Correct,
        }
    }

    /// The message's values.
    pub fn parse<T: AsRef<[u8]>>(packet: &'a Packet<T>, addresses: &Addresses) -> Self {
        Self {
            message: packet.message(),
            checksum: Checksum::of(packet.verify(addresses), packet.checksum()),
        }
    }

    /// Bytes of the message.
    #[expect(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(&self) -> usize {
        match self.message {
            Message::EchoRequest { data, .. }
            | Message::EchoReply { data, .. }
            | Message::Other { data, .. }
            | Message::DestinationUnreachable { quoted: data, .. }
            | Message::PacketTooBig { quoted: data, .. }
            | Message::TimeExceeded { quoted: data, .. } => HEADER_LEN + data.len(),
            Message::Ndp(message) => message.len(),
        }
    }

    /// Writes the message to the first [`len`](Self::len) bytes of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`](crate::Error::Truncated) when `buffer` is shorter.
    pub fn emit(&self, addresses: &Addresses, buffer: &mut [u8]) -> Result<()> {
        let len = self.len();
        let bytes = room("ICMPv6 message", buffer, len)?;
        bytes[..HEADER_LEN].fill(0);
        let (kind, code) = match self.message {
            Message::DestinationUnreachable { code, .. } => (kind::DESTINATION_UNREACHABLE, code),
            Message::PacketTooBig { .. } => (kind::PACKET_TOO_BIG, 0),
            Message::TimeExceeded { code, .. } => (kind::TIME_EXCEEDED, code),
            Message::EchoRequest { .. } => (kind::ECHO_REQUEST, 0),
            Message::EchoReply { .. } => (kind::ECHO_REPLY, 0),
            Message::Ndp(message) => (message.message_type(), 0),
            Message::Other {
                message_type, code, ..
            } => (message_type, code),
        };
        bytes[field::TYPE] = kind;
        bytes[field::CODE] = code;
        match self.message {
            Message::EchoRequest {
                identifier,
                sequence,
                data,
            }
            | Message::EchoReply {
                identifier,
                sequence,
                data,
            } => {
                put_u16(bytes, field::IDENTIFIER, identifier);
                put_u16(bytes, field::SEQUENCE_NUMBER, sequence);
                put(bytes, field::DATA..len, data);
            }
            Message::PacketTooBig { mtu, quoted } => {
                put_u32(bytes, field::REST, mtu);
                put(bytes, field::DATA..len, quoted);
            }
            Message::DestinationUnreachable { quoted, .. }
            | Message::TimeExceeded { quoted, .. } => put(bytes, field::DATA..len, quoted),
            Message::Ndp(message) => message.emit(bytes),
            Message::Other { rest, data, .. } => {
                put_u32(bytes, field::REST, rest);
                put(bytes, field::DATA..len, data);
            }
        }
        let mut sum = addresses.pseudo_header(Protocol::ICMPV6, len);
        sum.add_bytes(bytes);
        put_u16(bytes, field::CHECKSUM, self.checksum.value(sum.checksum()));
        Ok(())
    }
}
