//! Counts beyond `u128`: IPv6 alone has 2^128 addresses, and each of them 65,535 ports.

use std::fmt;
use std::net::IpAddr;

use portolan_model::AddressSet;

/// Limbs of 32 bits: 2^128 + 2^32 addresses with 2^16 ports each need 145 bits.
const LIMBS: usize = 5;

/// The power of ten that a limb holds, for printing.
const CHUNK: u64 = 1_000_000_000;

/// A whole number below 2^160, the lowest limb first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Wide([u32; LIMBS]);

impl Wide {
    /// How many addresses a set holds, exactly.
    pub(super) fn addresses(set: &AddressSet) -> Self {
        set.ranges().fold(Self::default(), |sum, run| {
            let span = match run {
                (IpAddr::V4(first), IpAddr::V4(last)) => {
                    u128::from(last.to_bits() - first.to_bits())
                }
                (IpAddr::V6(first), IpAddr::V6(last)) => last.to_bits() - first.to_bits(),
                _ => return sum,
            };
            // All of IPv6 is one more than a `u128` holds.
            sum.plus(span).plus(1)
        })
    }

    fn plus(mut self, number: u128) -> Self {
        let bytes = number.to_le_bytes();
        let (words, _) = bytes.as_chunks::<4>();
        let mut words = words.iter().map(|word| u32::from_le_bytes(*word));
        let mut carry = 0;
        for limb in &mut self.0 {
            let word = u64::from(words.next().unwrap_or(0));
            (*limb, carry) = split(u64::from(*limb) + word + carry);
        }
        self
    }

    /// This many times as much.
    pub(super) fn times(mut self, factor: u32) -> Self {
        let mut carry = 0;
        for limb in &mut self.0 {
            (*limb, carry) = split(u64::from(*limb) * u64::from(factor) + carry);
        }
        self
    }

    /// Divides by [`CHUNK`] and returns the remainder.
    fn take_chunk(&mut self) -> u64 {
        let mut rest = 0u64;
        for limb in self.0.iter_mut().rev() {
            let value = (rest << 32) | u64::from(*limb);
            // What is left of a division is below its divisor, so the quotient fits a limb.
            (*limb, _) = split(value / CHUNK);
            rest = value % CHUNK;
        }
        rest
    }
}

/// The lower half of a number, and the upper.
const fn split(number: u64) -> (u32, u64) {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the upper half is returned apart"
    )]
    let low = number as u32;
    (low, number >> 32)
}

/// Decimal digits without separators.
impl fmt::Display for Wide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = *self;
        let mut chunks = vec![left.take_chunk()];
        while left != Self::default() {
            chunks.push(left.take_chunk());
        }
        let mut chunks = chunks.into_iter().rev();
        write!(f, "{}", chunks.next().unwrap_or(0))?;
        chunks.try_for_each(|chunk| write!(f, "{chunk:09}"))
    }
}

#[cfg(test)]
mod tests {
    use portolan_model::Target;
    use proptest::prelude::*;

    use super::*;

    fn count(target: &str) -> Wide {
        let target: Target = target.parse().unwrap();
        Wide::addresses(&target.addresses().unwrap())
    }

    #[test]
    fn all_of_ipv6_is_counted_exactly() {
        let all = count("::/0");
        assert_eq!(all.to_string(), "340282366920938463463374607431768211456");
        // 2^128 × 65,535, by another program.
        assert_eq!(
            all.times(65_535).to_string(),
            "22300404916163702203072254898040929737768960"
        );
        assert_eq!(count("192.0.2.0/28").times(102).to_string(), "1632");
        assert_eq!(Wide::default().to_string(), "0");
    }

    proptest! {
        #[test]
        fn small_numbers_are_those_of_the_machine(a: u64, b: u64, factor: u32) {
            let sum = u128::from(a) + u128::from(b);
            let wide = Wide::default().plus(u128::from(a)).plus(u128::from(b));
            prop_assert_eq!(wide.to_string(), sum.to_string());
            if let Some(product) = sum.checked_mul(u128::from(factor)) {
                prop_assert_eq!(wide.times(factor).to_string(), product.to_string());
            }
        }
    }
}
