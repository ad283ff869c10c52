//! The keyed order of a sweep: of up to 2^128 − 1 numbers.
//!
//! Up to 2^63 numbers are what a [`Permutation`] orders. Beyond, both digits are powers of two, and
//! less than three numbers in four fall outside (Black and Rogaway, "Ciphers with Arbitrary Finite
//! Domains", 2002, 4.2 and 4.3). No product leaves its type there: digits
//! have 64 bits at the most, and are multiplied into 128.

use super::{Permutation, fold, keys_of};

/// How often each digit is mixed into the other.
const TURNS: usize = 6;

/// A permutation of the numbers below [`len`](Self::len), chosen by a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WidePermutation(Order);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Order {
    Narrow(Permutation),
    Wide(Wide),
}

/// An order whose digits have 32 to 64 bits each.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wide {
    len: u128,
    bits: u32,
    keys: [u64; TURNS],
}

impl WidePermutation {
    /// The order that `key` gives to 0..`len`.
    pub fn new(len: u128, key: u64) -> Self {
        let narrow = u64::try_from(len).ok();
        Self(match narrow.and_then(|len| Permutation::new(len, key)) {
            Some(order) => Order::Narrow(order),
            None => Order::Wide(Wide::new(len, key)),
        })
    }

    /// How many numbers it orders.
    pub const fn len(&self) -> u128 {
        match &self.0 {
            Order::Narrow(order) => order.len() as u128,
            Order::Wide(order) => order.len,
        }
    }

    /// Whether it orders nothing.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number that comes at `position`. Both are below [`len`](Self::len); a position that
    /// is not gives some number below it all the same (0 for an empty order).
    #[inline]
    pub fn at(&self, position: u128) -> u128 {
        match &self.0 {
            Order::Narrow(order) => order.at(within(position, order)).into(),
            Order::Wide(order) => order.at(position),
        }
    }

    /// Where `value` comes: the inverse of [`at`](Self::at).
    pub fn position_of(&self, value: u128) -> u128 {
        match &self.0 {
            Order::Narrow(order) => order.position_of(within(value, order)).into(),
            Order::Wide(order) => order.position_of(value),
        }
    }
}

/// A number of a narrow order; one that is not is taken for another, as the order itself does.
fn within(number: u128, order: &Permutation) -> u64 {
    let rest = || number.checked_rem(order.len().into()).unwrap_or(0);
    u64::try_from(number).unwrap_or_else(|_| u64::try_from(rest()).unwrap_or(0))
}

impl Wide {
    fn new(len: u128, key: u64) -> Self {
        // Bits of the largest number: 64 to 128.
        let bits = 128 - len.saturating_sub(1).leading_zeros();
        Self {
            len,
            bits: bits.div_ceil(2),
            keys: keys_of(key),
        }
    }

    /// The number itself where it is below the length, which is all that callers should ask: a
    /// division of 128 bits costs more than the mixing.
    const fn within(&self, number: u128) -> u128 {
        if number < self.len {
            number
        } else {
            number % self.len
        }
    }

    #[inline]
    fn at(&self, position: u128) -> u128 {
        let mut value = self.forward(self.within(position));
        while value >= self.len {
            value = self.forward(value);
        }
        value
    }

    fn position_of(&self, value: u128) -> u128 {
        let mut position = self.backward(self.within(value));
        while position >= self.len {
            position = self.backward(position);
        }
        position
    }

    #[inline]
    fn forward(&self, value: u128) -> u128 {
        let (mask, mut low, mut high) = halves(value, self.bits);
        for pair in self.keys.chunks_exact(2) {
            low ^= fold(high ^ pair[0]) & mask;
            high ^= fold(low ^ pair[1]) & mask;
        }
        (u128::from(high) << self.bits) | u128::from(low)
    }

    fn backward(&self, value: u128) -> u128 {
        let (mask, mut low, mut high) = halves(value, self.bits);
        for pair in self.keys.chunks_exact(2).rev() {
            high ^= fold(low ^ pair[1]) & mask;
            low ^= fold(high ^ pair[0]) & mask;
        }
        (u128::from(high) << self.bits) | u128::from(low)
    }
}

/// The mask of a digit, the low digit and the high one.
#[expect(clippy::cast_possible_truncation, reason = "each half by itself")]
const fn halves(value: u128, bits: u32) -> (u64, u64, u64) {
    let mask = u64::MAX >> (64 - bits);
    (mask, value as u64 & mask, (value >> bits) as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_number_comes_once_in_every_small_domain() {
        for len in 0..2_000_u128 {
            let order = WidePermutation::new(len, u64::try_from(len).unwrap() ^ 0x5eed);
            let mut seen = vec![false; usize::try_from(len).unwrap()];
            for position in 0..len {
                let value = order.at(position);
                let slot = &mut seen[usize::try_from(value).unwrap()];
                assert!(!*slot, "{value} came twice of {len}");
                *slot = true;
                assert_eq!(order.position_of(value), position);
            }
        }
    }

    #[test]
    fn every_number_comes_once_around_powers_of_two() {
        for len in [65_535_u128, 65_536, 65_537, 262_143, 262_144, 262_145] {
            let order = WidePermutation::new(len, 11);
            let mut seen = vec![false; usize::try_from(len).unwrap()];
            for position in 0..len {
                seen[usize::try_from(order.at(position)).unwrap()] = true;
            }
            assert!(seen.iter().all(|&seen| seen), "of {len}");
        }
    }

    /// Walks a small domain by the digits of large ones: the mixing itself is a bijection
    /// whatever the number of bits, checked on all its numbers.
    #[test]
    fn the_mixing_is_a_bijection_on_all_numbers_of_its_domain() {
        for bits in 1..=8 {
            let order = Wide {
                bits,
                ..Wide::new(1 << 100, 5)
            };
            let values: std::collections::HashSet<u128> = (0..1_u128 << (2 * bits))
                .map(|value| order.forward(value))
                .collect();
            assert_eq!(values.len(), 1 << (2 * bits));
        }
    }

    #[test]
    fn the_order_does_not_run_in_steps() {
        for len in [65_535_u128, 1 << 32, 1 << 48, 1 << 80] {
            let order = WidePermutation::new(len, 7);
            let near = len / 1_000;
            let neighbours = (1..60_000)
                .filter(|&position| order.at(position).abs_diff(order.at(position - 1)) < near)
                .count();
            // By chance some 120 of 60,000 are this near.
            assert!((60..200).contains(&neighbours), "{neighbours} of {len}");
        }
    }

    #[test]
    fn any_stretch_of_the_order_falls_evenly_on_the_whole() {
        // Of 64,000 numbers in a row, each 64th of the domain gets 1,000, give or take chance.
        for len in [1_u128 << 24, 3 << 40, (1 << 63) + 1] {
            let order = WidePermutation::new(len, 99);
            let mut parts = [0_u32; 64];
            for position in len / 3..len / 3 + 64_000 {
                parts[usize::try_from(order.at(position) / len.div_ceil(64)).unwrap()] += 1;
            }
            let worst = parts.iter().map(|part| part.abs_diff(1_000)).max();
            assert!(worst < Some(160), "{worst:?} of {len}");
        }
    }

    proptest! {
        #[test]
        fn position_of_undoes_at(
            bits in 1..=128_u32, below: u128, key: u64, position: u128,
        ) {
            let top = u128::MAX >> (128 - bits);
            let len = (top / 2 + below % (top / 2 + 1)).max(1);
            let order = WidePermutation::new(len, key);
            let position = position % len;
            let value = order.at(position);
            prop_assert!(value < len);
            prop_assert_eq!(order.position_of(value), position);
            let last = order.at(len - 1);
            prop_assert!(last < len);
            prop_assert_eq!(order.position_of(last), len - 1);
        }

        #[test]
        fn all_pairs_of_2_to_48_and_more_are_visited(key: u64, index: u128) {
            // Each index has a position that leads to it: none is left out.
            for len in [1_u128 << 48, (1 << 32) * 65_535, (1 << 63) - 1, 1 << 63, (1 << 63) + 1,
                        1 << 64, 1 << 112, u128::MAX] {
                let order = WidePermutation::new(len, key);
                let index = index % len;
                prop_assert_eq!(order.at(order.position_of(index)), index);
            }
        }
    }
}
