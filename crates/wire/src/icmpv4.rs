//! ICMP for IPv4 (RFC 792).

use crate::Result;
use crate::bytes::{check, put, put_u16, put_u32, room, u16_at, u32_at};
use crate::checksum::{self, Checksum, Verified};

/// Bytes of the header that every message has.
pub const HEADER_LEN: usize = 8;
/// Bytes of a timestamp message.
const TIMESTAMP_LEN: usize = 20;
const WHAT: &str = "ICMP header";

mod field {
    use std::ops::Range;
    pub(super) const TYPE: usize = 0;
    pub(super) const CODE: usize = 1;
    pub(super) const CHECKSUM: Range<usize> = 2..4;
    pub(super) const REST: Range<usize> = 4..8;
    pub(super) const IDENTIFIER: Range<usize> = 4..6;
    pub(super) const SEQUENCE_NUMBER: Range<usize> = 6..8;
    pub(super) const NEXT_HOP_MTU: Range<usize> = 6..8;
    pub(super) const ORIGINATE: Range<usize> = 8..12;
    pub(super) const RECEIVE: Range<usize> = 12..16;
    pub(super) const TRANSMIT: Range<usize> = 16..20;
    pub(super) const DATA: usize = 8;
}

/// Message types (RFC 792).
mod kind {
    pub(super) const ECHO_REPLY: u8 = 0;
    pub(super) const DESTINATION_UNREACHABLE: u8 = 3;
    pub(super) const ECHO: u8 = 8;
    pub(super) const TIME_EXCEEDED: u8 = 11;
    pub(super) const TIMESTAMP: u8 = 13;
    pub(super) const TIMESTAMP_REPLY: u8 = 14;
}

/// Codes of *destination unreachable* (RFC 792; RFC 1122, 3.2.2.1; RFC 1812, 5.2.7.1).
pub mod unreachable {
    /// No route to the network.
    pub const NET: u8 = 0;
    /// No route to the host, or it does not answer ARP.
    pub const HOST: u8 = 1;
    /// The host does not speak the protocol.
    pub const PROTOCOL: u8 = 2;
    /// Nothing listens on the port.
    pub const PORT: u8 = 3;
    /// Too large, and not to be fragmented.
    pub const FRAGMENTATION_NEEDED: u8 = 4;
    /// Communication with the network is prohibited.
    pub const NET_PROHIBITED: u8 = 9;
    /// Communication with the host is prohibited.
    pub const HOST_PROHIBITED: u8 = 10;
    /// Communication is prohibited by a filter.
    pub const ADMINISTRATIVELY_PROHIBITED: u8 = 13;
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
    /// [`Error::Truncated`](crate::Error::Truncated) when the header, or a timestamp message, is
    /// cut off.
    pub fn new(buffer: T) -> Result<Self> {
        let bytes = buffer.as_ref();
        check(WHAT, bytes, HEADER_LEN)?;
        if is_timestamp(bytes[field::TYPE], bytes[field::CODE]) {
            check("ICMP timestamp message", bytes, TIMESTAMP_LEN)?;
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
    pub fn verify(&self) -> Verified {
        (checksum::checksum(self.buffer.as_ref()) == 0).into()
    }

    /// What it says.
    pub fn message(&self) -> Message<'_> {
        let bytes = self.buffer.as_ref();
        let (kind, code) = (bytes[field::TYPE], bytes[field::CODE]);
        let data = &bytes[field::DATA..];
        let identifier = u16_at(bytes, field::IDENTIFIER);
        let sequence = u16_at(bytes, field::SEQUENCE_NUMBER);
        match (kind, code) {
            (kind::ECHO, 0) => Message::Echo {
                identifier,
                sequence,
                data,
            },
            (kind::ECHO_REPLY, 0) => Message::EchoReply {
                identifier,
                sequence,
                data,
            },
            (kind::TIMESTAMP, 0) => Message::Timestamp {
                identifier,
                sequence,
                originate: u32_at(bytes, field::ORIGINATE),
            },
            (kind::TIMESTAMP_REPLY, 0) => Message::TimestampReply {
                identifier,
                sequence,
                originate: u32_at(bytes, field::ORIGINATE),
                receive: u32_at(bytes, field::RECEIVE),
                transmit: u32_at(bytes, field::TRANSMIT),
            },
            (kind::DESTINATION_UNREACHABLE, _) => Message::DestinationUnreachable {
                code,
                next_hop_mtu: u16_at(bytes, field::NEXT_HOP_MTU),
                quoted: data,
            },
            (kind::TIME_EXCEEDED, _) => Message::TimeExceeded { code, quoted: data },
            _ => Message::Other {
                message_type: kind,
                code,
                rest: u32_at(bytes, field::REST),
                data,
            },
        }
    }
}

const fn is_timestamp(kind: u8, code: u8) -> bool {
    matches!((kind, code), (kind::TIMESTAMP | kind::TIMESTAMP_REPLY, 0))
}

/// What an ICMP message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Message<'a> {
    /// Are you there?
    Echo {
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
    /// What time is it?
    Timestamp {
        /// The asking process.
        identifier: u16,
        /// Which of its questions.
        sequence: u16,
        /// Milliseconds since midnight UT when it was sent.
        originate: u32,
    },
    /// The time.
    TimestampReply {
        /// The asking process.
        identifier: u16,
        /// Which of its questions.
        sequence: u16,
        /// When the question was sent.
        originate: u32,
        /// When it arrived.
        receive: u32,
        /// When this was sent.
        transmit: u32,
    },
    /// A packet did not arrive.
    DestinationUnreachable {
        /// Why: see [`mod@unreachable`].
        code: u8,
        /// The largest packet that the next hop takes, with code 4 (RFC 1191, 4).
        next_hop_mtu: u16,
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
    pub fn parse<T: AsRef<[u8]>>(packet: &'a Packet<T>) -> Self {
        Self {
            message: packet.message(),
            checksum: Checksum::of(packet.verify(), packet.checksum()),
        }
    }

    /// Bytes of the message.
    #[expect(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(&self) -> usize {
        match self.message {
            Message::Echo { data, .. }
            | Message::EchoReply { data, .. }
            | Message::Other { data, .. }
            | Message::DestinationUnreachable { quoted: data, .. }
            | Message::TimeExceeded { quoted: data, .. } => HEADER_LEN + data.len(),
            Message::Timestamp { .. } | Message::TimestampReply { .. } => TIMESTAMP_LEN,
        }
    }

    /// Writes the message to the first [`len`](Self::len) bytes of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`](crate::Error::Truncated) when `buffer` is shorter.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<()> {
        let len = self.len();
        let bytes = room("ICMP message", buffer, len)?;
        bytes[..HEADER_LEN].fill(0);
        let (kind, code) = match self.message {
            Message::Echo { .. } => (kind::ECHO, 0),
            Message::EchoReply { .. } => (kind::ECHO_REPLY, 0),
            Message::Timestamp { .. } => (kind::TIMESTAMP, 0),
            Message::TimestampReply { .. } => (kind::TIMESTAMP_REPLY, 0),
            Message::DestinationUnreachable { code, .. } => (kind::DESTINATION_UNREACHABLE, code),
            Message::TimeExceeded { code, .. } => (kind::TIME_EXCEEDED, code),
            Message::Other {
                message_type, code, ..
            } => (message_type, code),
        };
        bytes[field::TYPE] = kind;
        bytes[field::CODE] = code;
        match self.message {
            Message::Echo {
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
            Message::Timestamp {
                identifier,
                sequence,
                originate,
            } => {
                put_u16(bytes, field::IDENTIFIER, identifier);
                put_u16(bytes, field::SEQUENCE_NUMBER, sequence);
                put_u32(bytes, field::ORIGINATE, originate);
                put_u32(bytes, field::RECEIVE, 0);
                put_u32(bytes, field::TRANSMIT, 0);
            }
            Message::TimestampReply {
                identifier,
                sequence,
                originate,
                receive,
                transmit,
            } => {
                put_u16(bytes, field::IDENTIFIER, identifier);
                put_u16(bytes, field::SEQUENCE_NUMBER, sequence);
                put_u32(bytes, field::ORIGINATE, originate);
                put_u32(bytes, field::RECEIVE, receive);
                put_u32(bytes, field::TRANSMIT, transmit);
            }
            Message::DestinationUnreachable {
                next_hop_mtu,
                quoted,
                ..
            } => {
                put_u16(bytes, field::NEXT_HOP_MTU, next_hop_mtu);
                put(bytes, field::DATA..len, quoted);
            }
            Message::TimeExceeded { quoted, .. } => put(bytes, field::DATA..len, quoted),
            Message::Other { rest, data, .. } => {
                put_u32(bytes, field::REST, rest);
                put(bytes, field::DATA..len, data);
            }
        }
        let correct = checksum::checksum(bytes);
        put_u16(bytes, field::CHECKSUM, self.checksum.value(correct));
        Ok(())
    }
}
