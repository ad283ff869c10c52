//! Numbers of header fields that must not be mixed up.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Add;

/// A TCP sequence or acknowledgment number: it wraps, and compares by wrapping (RFC 9293, 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SeqNumber(pub u32);

impl SeqNumber {
    /// How far `self` is after `earlier`, modulo 2^32.
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }
}

impl Add<u32> for SeqNumber {
    type Output = Self;

    fn add(self, len: u32) -> Self {
        Self(self.0.wrapping_add(len))
    }
}

/// `None` for two numbers that are half the space apart: neither comes first.
impl PartialOrd for SeqNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match self.since(*other) {
            0 => Some(Ordering::Equal),
            1..0x8000_0000 => Some(Ordering::Greater),
            0x8000_0000 => None,
            _ => Some(Ordering::Less),
        }
    }
}

impl fmt::Display for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The hops that a packet may still go: Time to Live (RFC 791, 3.1) or Hop Limit (RFC 8200, 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ttl(pub u8);

impl Ttl {
    /// The value that neighbour discovery requires, so that nothing routed passes (RFC 4861, 3.1).
    pub const MAX: Self = Self(255);
}

impl Default for Ttl {
    /// 64, the recommended default (RFC 1700, "IP TIME TO LIVE PARAMETER").
    fn default() -> Self {
        Self(64)
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an IP packet carries: Protocol (RFC 791, 3.1) or Next Header (RFC 8200, 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Protocol(pub u8);

impl Protocol {
    /// IPv6 hop-by-hop options (RFC 8200, 4.3).
    pub const HOP_BY_HOP: Self = Self(0);
    /// ICMP (RFC 792).
    pub const ICMP: Self = Self(1);
    /// TCP (RFC 9293).
    pub const TCP: Self = Self(6);
    /// UDP (RFC 768).
    pub const UDP: Self = Self(17);
    /// IPv6 routing header (RFC 8200, 4.4).
    pub const ROUTING: Self = Self(43);
    /// IPv6 fragment header (RFC 8200, 4.5).
    pub const FRAGMENT: Self = Self(44);
    /// IP authentication header (RFC 4302, 2).
    pub const AUTHENTICATION: Self = Self(51);
    /// `ICMPv6` (RFC 4443).
    pub const ICMPV6: Self = Self(58);
    /// IPv6: nothing follows (RFC 8200, 4.7).
    pub const NO_NEXT_HEADER: Self = Self(59);
    /// IPv6 destination options (RFC 8200, 4.6).
    pub const DESTINATION_OPTIONS: Self = Self(60);
    /// Mobility header (RFC 6275, 6.1).
    pub const MOBILITY: Self = Self(135);
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ICMP => f.write_str("ICMP"),
            Self::TCP => f.write_str("TCP"),
            Self::UDP => f.write_str("UDP"),
            Self::ICMPV6 => f.write_str("ICMPv6"),
            Self(number) => write!(f, "protocol {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_compare_across_the_wrap() {
        assert!(SeqNumber(u32::MAX) < SeqNumber(3));
        assert!(SeqNumber(3) > SeqNumber(u32::MAX));
        assert_eq!(SeqNumber(u32::MAX) + 4, SeqNumber(3));
        assert_eq!(SeqNumber(3).since(SeqNumber(u32::MAX)), 4);
    }

    #[test]
    fn numbers_half_the_space_apart_have_no_order() {
        assert_eq!(SeqNumber(0).partial_cmp(&SeqNumber(1 << 31)), None);
    }
}
