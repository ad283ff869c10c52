//! TCP options (RFC 9293, 3.1 and 3.2; RFC 7323; RFC 2018).

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::bytes::{u16_at, u32_at};
use crate::{Error, Result};

/// The most bytes of options that a header holds.
pub const MAX_OPTIONS_LEN: usize = 40;

/// Option kinds (IANA "TCP Option Kind Numbers").
mod kind {
    pub(super) const END: u8 = 0;
    pub(super) const NO_OPERATION: u8 = 1;
    pub(super) const MSS: u8 = 2;
    pub(super) const WINDOW_SCALE: u8 = 3;
    pub(super) const SACK_PERMITTED: u8 = 4;
    pub(super) const TIMESTAMPS: u8 = 8;
}

/// Lengths of options whose length is fixed, kind and length included.
mod length {
    pub(super) const MSS: u8 = 4;
    pub(super) const WINDOW_SCALE: u8 = 3;
    pub(super) const SACK_PERMITTED: u8 = 2;
    pub(super) const TIMESTAMPS: u8 = 10;
}

/// One option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TcpOption<'a> {
    /// Padding between options.
    NoOperation,
    /// The largest segment that the sender takes, in bytes (RFC 9293, 3.7.1).
    MaximumSegmentSize(u16),
    /// How many bits the sender's window is shifted by (RFC 7323, 2.2).
    WindowScale(u8),
    /// Selective acknowledgments may be sent (RFC 2018, 2).
    SackPermitted,
    /// Timestamps (RFC 7323, 3.2).
    Timestamps {
        /// The sender's clock.
        value: u32,
        /// The other side's clock, as last seen.
        echo_reply: u32,
    },
    /// One that is not known, or known with another length.
    Unknown {
        /// Its kind.
        kind: u8,
        /// What follows kind and length.
        data: &'a [u8],
    },
}

/// Options in their order, as they stand in a header; equal when they stand there alike.
#[derive(Clone, Copy)]
pub struct Options {
    bytes: [u8; MAX_OPTIONS_LEN],
    /// How many bytes are in use.
    used: usize,
}

impl Options {
    /// No option.
    pub const fn new() -> Self {
        Self {
            bytes: [0; MAX_OPTIONS_LEN],
            used: 0,
        }
    }

    /// The options of a SYN as current Linux sends it: what most servers see all day.
    pub fn linux_syn(mss: u16, timestamp: u32) -> Self {
        let mut options = Self::new();
        for option in [
            TcpOption::MaximumSegmentSize(mss),
            TcpOption::SackPermitted,
            TcpOption::Timestamps {
                value: timestamp,
                echo_reply: 0,
            },
            TcpOption::NoOperation,
            TcpOption::WindowScale(7),
        ] {
            options
                .push(option)
                .expect("4 + 2 + 10 + 1 + 3 bytes are below 40");
        }
        options
    }

    /// Options given as bytes, malformed ones too.
    ///
    /// # Errors
    /// [`Error::Length`] when there are more than 40 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut options = Self::new();
        options.append(bytes)?;
        Ok(options)
    }

    /// The options of a header, whose data offset cannot say more than 40 bytes.
    pub(super) fn of_header(bytes: &[u8]) -> Self {
        Self::from_bytes(bytes).unwrap_or_default()
    }

    /// Adds an option behind the others.
    ///
    /// # Errors
    /// [`Error::Length`] when there is no room left of the 40 bytes.
    pub fn push(&mut self, option: TcpOption<'_>) -> Result<()> {
        let before = *self;
        let done = match option {
            TcpOption::NoOperation => self.append(&[kind::NO_OPERATION]),
            TcpOption::MaximumSegmentSize(mss) => {
                self.append_parts(kind::MSS, length::MSS, &[&mss.to_be_bytes()])
            }
            TcpOption::WindowScale(shift) => {
                self.append_parts(kind::WINDOW_SCALE, length::WINDOW_SCALE, &[&[shift]])
            }
            TcpOption::SackPermitted => {
                self.append_parts(kind::SACK_PERMITTED, length::SACK_PERMITTED, &[])
            }
            TcpOption::Timestamps { value, echo_reply } => self.append_parts(
                kind::TIMESTAMPS,
                length::TIMESTAMPS,
                &[&value.to_be_bytes(), &echo_reply.to_be_bytes()],
            ),
            TcpOption::Unknown { kind, data } => match u8::try_from(data.len() + 2) {
                Ok(len) => self.append_parts(kind, len, &[data]),
                Err(_) => Err(too_long(data.len() + 2)),
            },
        };
        if done.is_err() {
            *self = before;
        }
        done
    }

    fn append_parts(&mut self, kind: u8, len: u8, parts: &[&[u8]]) -> Result<()> {
        self.append(&[kind, len])?;
        parts.iter().try_for_each(|part| self.append(part))
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let start = self.used;
        let end = start + bytes.len();
        let room = self.bytes.get_mut(start..end).ok_or(too_long(end))?;
        room.copy_from_slice(bytes);
        self.used = end;
        Ok(())
    }

    /// Every option, up to their end or to the first that is malformed.
    pub fn iter(&self) -> OptionsIter<'_> {
        OptionsIter::new(self.padded_bytes())
    }

    /// Bytes that the options take in a header: a multiple of 4.
    pub const fn padded_len(&self) -> usize {
        self.used.next_multiple_of(4)
    }

    /// The options as they stand in a header, padded with zeros (end of option list).
    pub fn padded_bytes(&self) -> &[u8] {
        &self.bytes[..self.padded_len()]
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for Options {
    fn eq(&self, other: &Self) -> bool {
        self.padded_bytes() == other.padded_bytes()
    }
}

impl Eq for Options {}

impl Hash for Options {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.padded_bytes().hash(state);
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<'a> IntoIterator for &'a Options {
    type Item = TcpOption<'a>;
    type IntoIter = OptionsIter<'a>;

    fn into_iter(self) -> OptionsIter<'a> {
        self.iter()
    }
}

fn too_long(says: usize) -> Error {
    Error::Length {
        what: "TCP options length",
        says,
        least: 0,
        most: MAX_OPTIONS_LEN,
    }
}

/// Walks options; it ends at the end of the list, and at the first that is malformed.
#[derive(Debug, Clone)]
pub struct OptionsIter<'a> {
    rest: &'a [u8],
}

impl<'a> OptionsIter<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for OptionsIter<'a> {
    type Item = TcpOption<'a>;

    fn next(&mut self) -> Option<TcpOption<'a>> {
        let (&kind, after_kind) = self.rest.split_first()?;
        if kind == kind::END {
            self.rest = &[];
            return None;
        }
        if kind == kind::NO_OPERATION {
            self.rest = after_kind;
            return Some(TcpOption::NoOperation);
        }
        let len_field = after_kind.first().copied().unwrap_or(0);
        let len = usize::from(len_field);
        let Some(data) = self.rest.get(2..len) else {
            self.rest = &[];
            return None;
        };
        self.rest = &self.rest[len..];
        Some(match (kind, len_field) {
            (kind::MSS, length::MSS) => TcpOption::MaximumSegmentSize(u16_at(data, 0..2)),
            (kind::WINDOW_SCALE, length::WINDOW_SCALE) => TcpOption::WindowScale(data[0]),
            (kind::SACK_PERMITTED, length::SACK_PERMITTED) => TcpOption::SackPermitted,
            (kind::TIMESTAMPS, length::TIMESTAMPS) => TcpOption::Timestamps {
                value: u32_at(data, 0..4),
                echo_reply: u32_at(data, 4..8),
            },
            _ => TcpOption::Unknown { kind, data },
        })
    }
}
