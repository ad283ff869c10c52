//! The keyed order of a sweep: of up to 2^128 − 1 numbers, and quick for the next one.
//!
//! Up to 2^63 numbers are written as a low digit of a power of two and a high digit of whatever
//! base is needed for their product to reach the length; what falls outside is mixed again,
//! which is rare. Beyond, both digits are powers of two, and less than three numbers in four fall
//! outside (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002, 4.2 and 4.3). No
//! product and no sum leaves its type: 64 bits for the first, exclusive or for the second.

use super::mix;

/// How often each digit is mixed into the other.
const TURNS: usize = 6;

/// The length from which on both digits are powers of two.
const NARROW: u128 = 1 << 63;

/// A permutation of the numbers below [`len`](Self::len), chosen by a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WidePermutation {
    len: u128,
    shape: Shape,
    keys: [u64; TURNS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Bits of the low digit, at most 32; base of the high one, at most 2^31.
    Narrow { bits: u32, high_base: u64 },
    /// Bits of each digit, 32 to 64.
    Wide { bits: u32 },
}

/// A number that depends on all bits of `digit` and `key`; its upper half the most.
const fn stir(digit: u64, key: u64) -> u64 {
    let product = (digit ^ key).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (product ^ (product >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

impl WidePermutation {
    /// The order that `key` gives to 0..`len`.
    pub fn new(len: u128, key: u64) -> Self {
        // Bits of the largest number: 0 for one number, 128 for the most.
        let bits = 128 - len.saturating_sub(1).leading_zeros();
        let shape = if len <= NARROW {
            let low = bits.div_ceil(2);
            let high_base = len.div_ceil(1 << low);
            Shape::Narrow {
                bits: low,
                high_base: u64::try_from(high_base).unwrap_or(1).max(1),
            }
        } else {
            Shape::Wide {
                bits: bits.div_ceil(2),
            }
        };
        let mut keys = [0; TURNS];
        let mut state = key;
        for turn in &mut keys {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            *turn = mix(state);
        }
        Self { len, shape, keys }
    }

    /// How many numbers it orders.
    pub const fn len(&self) -> u128 {
        self.len
    }

    /// Whether it orders nothing.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number that comes at `position`. Both are below [`len`](Self::len); a position that
    /// is not gives some number below it all the same (0 for an empty order).
    pub fn at(&self, position: u128) -> u128 {
        let Some(position) = self.within(position) else {
            return 0;
        };
        match self.shape {
            Shape::Narrow { bits, high_base } => {
                let (len, mut value) = (narrow(self.len), narrow(position));
                loop {
                    value = self.forward(value, bits, high_base);
                    if value < len {
                        return value.into();
                    }
                }
            }
            Shape::Wide { bits } => {
                let mut value = position;
                loop {
                    value = self.forward_wide(value, bits);
                    if value < self.len {
                        return value;
                    }
                }
            }
        }
    }

    /// Where `value` comes: the inverse of [`at`](Self::at).
    pub fn position_of(&self, value: u128) -> u128 {
        let Some(value) = self.within(value) else {
            return 0;
        };
        match self.shape {
            Shape::Narrow { bits, high_base } => {
                let (len, mut position) = (narrow(self.len), narrow(value));
                loop {
                    position = self.backward(position, bits, high_base);
                    if position < len {
                        return position.into();
                    }
                }
            }
            Shape::Wide { bits } => {
                let mut position = value;
                loop {
                    position = self.backward_wide(position, bits);
                    if position < self.len {
                        return position;
                    }
                }
            }
        }
    }

    /// The number itself where it is below the length, which is all that callers should ask.
    const fn within(&self, number: u128) -> Option<u128> {
        if number < self.len {
            Some(number)
        } else {
            number.checked_rem(self.len)
        }
    }

    const fn forward(&self, value: u64, bits: u32, high_base: u64) -> u64 {
        let mask = (1 << bits) - 1;
        let (mut low, mut high) = (value & mask, value >> bits);
        let mut turn = 0;
        while turn < TURNS {
            low ^= (stir(high, self.keys[turn]) >> 32) & mask;
            high += ((stir(low, self.keys[turn + 1]) >> 32) * high_base) >> 32;
            if high >= high_base {
                high -= high_base;
            }
            turn += 2;
        }
        (high << bits) | low
    }

    const fn backward(&self, value: u64, bits: u32, high_base: u64) -> u64 {
        let mask = (1 << bits) - 1;
        let (mut low, mut high) = (value & mask, value >> bits);
        let mut turn = TURNS;
        while turn > 0 {
            turn -= 2;
            let by = ((stir(low, self.keys[turn + 1]) >> 32) * high_base) >> 32;
            high = if high >= by {
                high - by
            } else {
                high + high_base - by
            };
            low ^= (stir(high, self.keys[turn]) >> 32) & mask;
        }
        (high << bits) | low
    }

    fn forward_wide(&self, value: u128, bits: u32) -> u128 {
        let (mask, mut low, mut high) = halves(value, bits);
        for pair in self.keys.chunks_exact(2) {
            low ^= mix(high ^ pair[0]) & mask;
            high ^= mix(low ^ pair[1]) & mask;
        }
        (u128::from(high) << bits) | u128::from(low)
    }

    fn backward_wide(&self, value: u128, bits: u32) -> u128 {
        let (mask, mut low, mut high) = halves(value, bits);
        for pair in self.keys.chunks_exact(2).rev() {
            high ^= mix(low ^ pair[1]) & mask;
            low ^= mix(high ^ pair[0]) & mask;
        }
        (u128::from(high) << bits) | u128::from(low)
    }
}

/// A number that is known to have less than 64 bits.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the length is at most 2^63"
)]
const fn narrow(number: u128) -> u64 {
    number as u64
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
    fn both_mixings_are_bijections_on_all_numbers_of_their_domains() {
        let order = WidePermutation::new(1 << 100, 5);
        for bits in 1..=8 {
            let values: std::collections::HashSet<u128> = (0..1_u128 << (2 * bits))
                .map(|value| order.forward_wide(value, bits))
                .collect();
            assert_eq!(values.len(), 1 << (2 * bits));
            for base in [1, 2, 3, 100, 255] {
                let values: std::collections::HashSet<u64> = (0..base << bits)
                    .map(|value| order.forward(value, bits, base))
                    .collect();
                assert_eq!(values.len() as u64, base << bits);
            }
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
