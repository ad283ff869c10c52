//! The format of netlink messages (netlink(7), rtnetlink(7)): views that are total on any
//! bytes, and a builder of requests. Nothing here sends or receives.
//!
//! A datagram holds messages, a message a header, a fixed part and attributes. All numbers are
//! in the machine's byte order, and everything is padded to 4 bytes.

use std::net::IpAddr;

/// Bytes of a message's header: length, type, flags, sequence number, port.
const HEADER: usize = 16;

/// Bytes of an attribute's header: length, type.
const ATTRIBUTE_HEADER: usize = 4;

/// Bits of an attribute's type that are flags: nested, network byte order.
const ATTRIBUTE_FLAGS: u16 = 0xc000;

/// A message of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// What it is.
    pub(crate) kind: u16,
    /// The number of the request that it answers.
    pub(crate) sequence: u32,
    /// What follows the header.
    pub(crate) payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// The messages of a datagram, up to the first that is longer than what is left.
    pub(crate) fn all(mut datagram: &'a [u8]) -> impl Iterator<Item = Self> {
        std::iter::from_fn(move || {
            let len = usize::try_from(u32_at(datagram, 0)?).ok()?;
            let payload = datagram.get(HEADER..len)?;
            let message = Self {
                kind: u16_at(datagram, 4)?,
                sequence: u32_at(datagram, 8)?,
                payload,
            };
            datagram = datagram.get(len.next_multiple_of(4)..).unwrap_or_default();
            Some(message)
        })
    }

    /// Splits the payload into a fixed part of `len` bytes and attributes.
    pub(crate) fn split(&self, len: usize) -> Option<(&'a [u8], Attributes<'a>)> {
        let (fixed, attributes) = self.payload.split_at_checked(len)?;
        Some((fixed, Attributes(attributes)))
    }
}

/// A list of attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attributes<'a>(pub(crate) &'a [u8]);

impl<'a> Attributes<'a> {
    /// Type and value of each, up to the first that is longer than what is left.
    pub(crate) fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let mut bytes = self.0;
        std::iter::from_fn(move || {
            let len = usize::from(u16_at(bytes, 0)?);
            let kind = u16_at(bytes, 2)? & !ATTRIBUTE_FLAGS;
            let value = bytes.get(ATTRIBUTE_HEADER..len)?;
            bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
            Some((kind, value))
        })
    }

    /// The value of the last attribute of this type, which is the one that counts.
    pub(crate) fn get(self, kind: u16) -> Option<&'a [u8]> {
        let of_kind = self.iter().filter(|(found, _)| *found == kind);
        of_kind.last().map(|(_, value)| value)
    }

    /// A value of 4 bytes.
    pub(crate) fn number(self, kind: u16) -> Option<u32> {
        u32_at(self.get(kind)?, 0)
    }

    /// An IP address of either family, told by its length.
    pub(crate) fn address(self, kind: u16) -> Option<IpAddr> {
        address(self.get(kind)?)
    }

    /// A text that ends at the first zero byte.
    pub(crate) fn text(self, kind: u16) -> Option<String> {
        let value = self.get(kind)?.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(value).into_owned())
    }
}

/// An address as bytes: 4 for IPv4, 16 for IPv6.
pub(crate) fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(*bytes.first_chunk::<4>()?)),
        16 => Some(IpAddr::from(*bytes.first_chunk::<16>()?)),
        _ => None,
    }
}

pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    let bytes = bytes.get(offset..)?.first_chunk()?;
    Some(u16::from_ne_bytes(*bytes))
}

pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

/// A request, built in order: fixed part, then attributes.
#[derive(Debug, Clone)]
pub(crate) struct Request(Vec<u8>);

impl Request {
    /// A request of a type with flags and a fixed part.
    pub(crate) fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(fixed);
        Self(bytes)
    }

    /// Whether many messages answer it (`NLM_F_DUMP`).
    pub(crate) fn is_dump(&self) -> bool {
        u16_at(&self.0, 6).is_some_and(|flags| flags & 0x300 == 0x300)
    }

    /// Adds an attribute.
    pub(crate) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let len = u16::try_from(ATTRIBUTE_HEADER + value.len())
            .expect("an attribute of a request is an address or a number");
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self.0.extend_from_slice(&len.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self
    }

    /// Adds an attribute that holds an address.
    pub(crate) fn address(self, kind: u16, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.attribute(kind, &address.octets()),
            IpAddr::V6(address) => self.attribute(kind, &address.octets()),
        }
    }

    /// The datagram, numbered.
    pub(crate) fn finish(mut self, sequence: u32) -> Vec<u8> {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        let len = u32::try_from(self.0.len()).expect("a request is short");
        self.0[..4].copy_from_slice(&len.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_reads_back() {
        let near: IpAddr = "192.0.2.1".parse().unwrap();
        let bytes = Request::new(26, 1, &[7; 12])
            .address(1, near)
            .attribute(3, b"eth0\0")
            .attribute(4, &9_u32.to_ne_bytes())
            .finish(42);
        let messages: Vec<_> = Message::all(&bytes).collect();
        assert_eq!(messages.len(), 1);
        assert_eq!((messages[0].kind, messages[0].sequence), (26, 42));
        let (fixed, attributes) = messages[0].split(12).unwrap();
        assert_eq!(fixed, [7; 12]);
        assert_eq!(attributes.address(1), Some(near));
        assert_eq!(attributes.text(3).as_deref(), Some("eth0"));
        assert_eq!(attributes.number(4), Some(9));
        assert_eq!(attributes.number(5), None);
    }

    #[test]
    fn flags_in_the_type_of_an_attribute_do_not_hide_it() {
        let bytes = Request::new(0, 0, &[])
            .attribute(8 | 0x8000, &[1; 4])
            .finish(0);
        let message = Message::all(&bytes).next().unwrap();
        let (_, attributes) = message.split(0).unwrap();
        assert_eq!(attributes.number(8), Some(u32::from_ne_bytes([1; 4])));
    }

    #[test]
    fn a_length_of_zero_ends_the_list() {
        assert_eq!(Message::all(&[0; 64]).count(), 0);
        assert_eq!(Attributes(&[0; 64]).iter().count(), 0);
    }

    #[test]
    fn a_message_longer_than_the_datagram_is_left_out() {
        let mut bytes = Request::new(1, 0, &[]).finish(0);
        bytes.extend(Request::new(2, 0, &[0; 8]).finish(0));
        bytes.truncate(bytes.len() - 1);
        let kinds: Vec<_> = Message::all(&bytes).map(|message| message.kind).collect();
        assert_eq!(kinds, [1]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_run_on(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut total = 0;
            for message in Message::all(&bytes) {
                total += HEADER;
                let Some((_, attributes)) = message.split(12) else { continue };
                prop_assert!(attributes.iter().count() <= message.payload.len() / ATTRIBUTE_HEADER);
                let _ = (attributes.address(1), attributes.text(3), attributes.number(4));
            }
            prop_assert!(total <= bytes.len());
        }

        #[test]
        fn small_lengths_make_it_neither_panic_nor_run_on(
            bytes in proptest::collection::vec(prop_oneof![Just(0_u8), 0_u8..40], 0..400),
        ) {
            for message in Message::all(&bytes) {
                prop_assert!(Attributes(message.payload).iter().count() <= bytes.len());
            }
        }

        #[test]
        fn attributes_read_back_in_order(
            values in proptest::collection::vec(
                (0_u16..0x4000, proptest::collection::vec(any::<u8>(), 0..40)), 0..12),
        ) {
            let mut request = Request::new(1, 0, &[]);
            for (kind, value) in &values {
                request = request.attribute(*kind, value);
            }
            let bytes = request.finish(1);
            let message = Message::all(&bytes).next().unwrap();
            let read: Vec<_> = message.split(0).unwrap().1.iter()
                .map(|(kind, value)| (kind, value.to_vec()))
                .collect();
            prop_assert_eq!(read, values);
        }
    }
}
