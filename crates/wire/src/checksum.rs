//! The Internet checksum (RFC 1071), whole and incremental (RFC 1624).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{Error, Protocol, Result};

/// How a packet's checksum field is to be filled, or how it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Checksum {
    /// The one that verifies.
    #[default]
    Correct,
    /// This value, which does not verify (in UDP over IPv4, 0 says that none was computed).
    Literal(u16),
}

impl Checksum {
    /// How a field that holds `found` is described, given whether it verifies.
    pub(crate) const fn of(verified: Verified, found: u16) -> Self {
        match verified {
            Verified::Yes => Self::Correct,
            Verified::No => Self::Literal(found),
        }
    }

    /// The value to write, given the one that verifies.
    pub(crate) const fn value(self, correct: u16) -> u16 {
        match self {
            Self::Correct => correct,
            Self::Literal(value) => value,
        }
    }
}

/// Whether a checksum holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// It does.
    Yes,
    /// It does not, or none was computed.
    No,
}

impl From<bool> for Verified {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// The ends of a packet, as the checksums of the transport protocols cover them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Addresses {
    /// Over IPv4.
    V4 {
        /// Who sends.
        src: Ipv4Addr,
        /// Who receives.
        dst: Ipv4Addr,
    },
    /// Over IPv6.
    V6 {
        /// Who sends.
        src: Ipv6Addr,
        /// Who receives.
        dst: Ipv6Addr,
    },
}

impl Addresses {
    /// The two ends, of one family.
    ///
    /// # Errors
    /// [`Error::MixedFamilies`] when one is IPv4 and the other IPv6.
    pub const fn new(src: IpAddr, dst: IpAddr) -> Result<Self> {
        match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => Ok(Self::V4 { src, dst }),
            (IpAddr::V6(src), IpAddr::V6(dst)) => Ok(Self::V6 { src, dst }),
            _ => Err(Error::MixedFamilies),
        }
    }

    /// Who sends.
    pub const fn src(&self) -> IpAddr {
        match *self {
            Self::V4 { src, .. } => IpAddr::V4(src),
            Self::V6 { src, .. } => IpAddr::V6(src),
        }
    }

    /// Who receives.
    pub const fn dst(&self) -> IpAddr {
        match *self {
            Self::V4 { dst, .. } => IpAddr::V4(dst),
            Self::V6 { dst, .. } => IpAddr::V6(dst),
        }
    }

    /// The way back.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::V4 { src, dst } => Self::V4 { src: dst, dst: src },
            Self::V6 { src, dst } => Self::V6 { src: dst, dst: src },
        }
    }

    /// The sum of the pseudo-header (RFC 9293, 3.1; RFC 8200, 8.1) for a packet of `protocol`
    /// of `len` bytes, header included.
    pub fn pseudo_header(&self, protocol: Protocol, len: usize) -> Sum {
        let mut sum = Sum::new();
        match self {
            Self::V4 { src, dst } => {
                sum.add_bytes(&src.octets());
                sum.add_bytes(&dst.octets());
            }
            Self::V6 { src, dst } => {
                sum.add_bytes(&src.octets());
                sum.add_bytes(&dst.octets());
            }
        }
        sum.add_u16(protocol.0.into());
        // A length above 65,535 exists in IPv6 alone, where the field has 32 bits; the sum of
        // its two halves is the sum of its folded value.
        sum.0 += len as u64;
        sum
    }
}

/// A one's complement sum in the making.
///
/// 32-bit words gather in 64 bits, so that carries are folded once at the end (RFC 1071, 2).
/// The sum stays exact for four billion words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum(u64);

impl Sum {
    /// The empty sum.
    pub const fn new() -> Self {
        Self(0)
    }

    /// Adds one 16-bit word.
    pub const fn add_u16(&mut self, word: u16) {
        self.0 += word as u64;
    }

    /// Adds the two 16-bit words of `word`.
    pub const fn add_u32(&mut self, word: u32) {
        self.0 += word as u64;
    }

    /// Adds bytes that begin at an even offset of what is summed; an odd last byte is padded
    /// with zero, so it can only be the last of all.
    pub fn add_bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<4>();
        let mut total = self.0;
        for word in words {
            total += u64::from(u32::from_be_bytes(*word));
        }
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        self.0 = total + u64::from(u32::from_be_bytes(last));
    }

    /// The sum folded to 16 bits.
    pub const fn fold(self) -> u16 {
        let mut sum = (self.0 >> 32) + (self.0 & 0xffff_ffff);
        sum = (sum >> 16) + (sum & 0xffff);
        sum = (sum >> 16) + (sum & 0xffff);
        sum = (sum >> 16) + (sum & 0xffff);
        (sum & 0xffff) as u16
    }

    /// The checksum: the complement of the folded sum.
    pub const fn checksum(self) -> u16 {
        !self.fold()
    }
}

/// The checksum of `bytes`, whose own checksum field is zero. Over bytes that hold a right
/// checksum it is 0.
pub fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = Sum::new();
    sum.add_bytes(bytes);
    sum.checksum()
}

/// The checksum after one covered 16-bit word changed from `old` to `new` (RFC 1624, 3, eqn. 3).
pub const fn update(checksum: u16, old: u16, new: u16) -> u16 {
    let mut sum = Sum::new();
    sum.add_u16(!checksum);
    sum.add_u16(!old);
    sum.add_u16(new);
    sum.checksum()
}

/// The checksum after two adjacent 16-bit words changed from `old` to `new`.
pub const fn update_u32(checksum: u16, old: u32, new: u32) -> u16 {
    let mut sum = Sum::new();
    sum.add_u16(!checksum);
    sum.add_u32(!old);
    sum.add_u32(new);
    sum.checksum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, word by word with end-around carry.
    fn plain(bytes: &[u8]) -> u16 {
        let mut sum = 0u16;
        for pair in bytes.chunks(2) {
            let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
            let (next, carry) = sum.overflowing_add(word);
            sum = next + u16::from(carry);
        }
        !sum
    }

    #[test]
    fn the_example_of_rfc_1071_sums_to_ddf2() {
        // RFC 1071, 3: "0001 f203 f4f5 f6f7" sums to ddf2.
        let mut sum = Sum::new();
        sum.add_bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.fold(), 0xddf2);
    }

    #[test]
    fn the_example_of_rfc_1624_updates_to_zero() {
        // RFC 1624, 4: 0xdd2f with 0x5555 replaced by 0x3285 is 0x0000, not 0xffff.
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn mixed_families_are_refused() {
        let v4 = IpAddr::from(Ipv4Addr::LOCALHOST);
        let v6 = IpAddr::from(Ipv6Addr::LOCALHOST);
        assert_eq!(Addresses::new(v4, v6), Err(Error::MixedFamilies));
    }

    proptest! {
        #[test]
        fn the_fast_sum_is_the_plain_sum(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(checksum(&bytes), plain(&bytes));
        }

        #[test]
        fn an_update_is_a_new_sum(
            mut bytes in prop::collection::vec(any::<u8>(), 20..21),
            place in 0usize..8,
            new in any::<u32>(),
        ) {
            // A first word that is not zero keeps the sum away from the two forms of zero.
            bytes[18] = 1;
            let field = place * 2..place * 2 + 4;
            let before = checksum(&bytes);
            let old = crate::bytes::u32_at(&bytes, field.clone());
            crate::bytes::put_u32(&mut bytes, field, new);
            prop_assert_eq!(update_u32(before, old, new), checksum(&bytes));
            let high = update(before, (old >> 16) as u16, (new >> 16) as u16);
            prop_assert_eq!(
                update(high, (old & 0xffff) as u16, (new & 0xffff) as u16),
                checksum(&bytes)
            );
        }
    }
}
