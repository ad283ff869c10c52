//! A keyed order over 0..n that needs no memory: each number comes exactly once.
//!
//! A number is written as a low digit of a power of two and a high digit of whatever base is needed
//! for their product to reach n, and the digits are mixed into each other in turns, as in a
//! Feistel network generalised to any domain (Black and Rogaway, "Ciphers with Arbitrary Finite
//! Domains", 2002, 4.3). What falls outside 0..n is mixed again, which is rare. It is an order, not
//! a cipher: it spreads load, and hides nothing.
//!
//! The next number is asked for with every probe, so that a turn is as short as can be: one product
//! of 128 bits whose halves are laid over each other, no division and no branch. The low digit goes
//! first: in positions that follow each other it is the one that differs.

mod wide;

pub use wide::WidePermutation;

/// How often a digit is mixed into the other where digits are short. With four turns, orders of less
/// than 2^28 numbers can be told from chance by the tests here; with six, none.
const TURNS: usize = 6;

/// The same where the low digit has so many bits.
const FEWER_TURNS: usize = 4;
const LONG_DIGIT: u32 = 14;

/// The largest domain: 2^63. The digits then have at most 32 and 31 bits, and all products of a
/// digit and a base fit in 64.
pub const MAX_LEN: u64 = 1 << 63;

/// Odd, with as many bits set as not, and no pattern: the second multiplier of `SplitMix64`.
const FACTOR: u64 = 0x94d0_49bb_1331_11eb;

/// A permutation of the numbers below [`len`](Self::len), chosen by a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permutation {
    len: u64,
    /// Bits of the low digit, at most 32.
    bits: u32,
    /// The base of the high digit: enough for the product of both to reach the length.
    high_base: u64,
    keys: [u64; TURNS],
}

/// Mixes the bits of `x` so that each depends on all (the finalizer of `SplitMix64`: Steele, Lea
/// and Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
pub(crate) const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The halves of a product of 128 bits laid over each other: each bit depends on all of `x`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "both halves of the product are used"
)]
const fn fold(x: u64) -> u64 {
    let product = x as u128 * FACTOR as u128;
    product as u64 ^ (product >> 64) as u64
}

/// 32 bits that depend on all bits of a digit and of a key.
const fn stir(digit: u64, key: u64) -> u64 {
    fold(digit ^ key) & 0xffff_ffff
}

/// A key for each turn.
fn keys_of<const COUNT: usize>(key: u64) -> [u64; COUNT] {
    let mut state = key;
    [0; COUNT].map(|_: u64| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(state)
    })
}

impl Permutation {
    /// The order that `key` gives to 0..`len`; `None` above [`MAX_LEN`].
    pub fn new(len: u64, key: u64) -> Option<Self> {
        if len > MAX_LEN {
            return None;
        }
        // Bits of the largest number.
        let bits = 64 - len.saturating_sub(1).leading_zeros();
        let low = bits.div_ceil(2);
        Some(Self {
            len,
            bits: low,
            high_base: len.div_ceil(1 << low).max(1),
            keys: keys_of(key),
        })
    }

    /// How many numbers it orders.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether it orders nothing.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number that comes at `position`. Both are below [`len`](Self::len); a position that
    /// is not gives some number below it all the same (0 for an empty order).
    #[inline]
    pub const fn at(&self, position: u64) -> u64 {
        let Some(position) = self.within(position) else {
            return 0;
        };
        let mut value = self.forward(position);
        while value >= self.len {
            value = self.forward(value);
        }
        value
    }

    /// Where `value` comes: the inverse of [`at`](Self::at).
    pub const fn position_of(&self, value: u64) -> u64 {
        let Some(value) = self.within(value) else {
            return 0;
        };
        let mut position = self.backward(value);
        while position >= self.len {
            position = self.backward(position);
        }
        position
    }

    /// The number itself where it is below the length, which is all that callers should ask: a
    /// division would cost as much as half of the mixing.
    const fn within(&self, number: u64) -> Option<u64> {
        if number < self.len {
            Some(number)
        } else {
            number.checked_rem(self.len)
        }
    }

    #[inline]
    const fn forward(&self, value: u64) -> u64 {
        if self.bits >= LONG_DIGIT {
            self.mixed::<FEWER_TURNS>(value)
        } else {
            self.mixed::<TURNS>(value)
        }
    }

    #[inline]
    const fn mixed<const COUNT: usize>(&self, value: u64) -> u64 {
        let mask = (1 << self.bits) - 1;
        let (mut low, mut high) = (value & mask, value >> self.bits);
        let mut turn = 0;
        while turn < COUNT {
            high += (stir(low, self.keys[turn]) * self.high_base) >> 32;
            if high >= self.high_base {
                high -= self.high_base;
            }
            low ^= stir(high, self.keys[turn + 1]) & mask;
            turn += 2;
        }
        (high << self.bits) | low
    }

    const fn backward(&self, value: u64) -> u64 {
        let mask = (1 << self.bits) - 1;
        let (mut low, mut high) = (value & mask, value >> self.bits);
        let mut turn = if self.bits >= LONG_DIGIT {
            FEWER_TURNS
        } else {
            TURNS
        };
        while turn > 0 {
            turn -= 2;
            low ^= stir(high, self.keys[turn + 1]) & mask;
            let by = (stir(low, self.keys[turn]) * self.high_base) >> 32;
            high = if high >= by {
                high - by
            } else {
                high + self.high_base - by
            };
        }
        (high << self.bits) | low
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_number_comes_once_in_every_small_domain() {
        for len in 0..600 {
            let order = Permutation::new(len, len ^ 0x5eed).unwrap();
            let mut seen = vec![false; usize::try_from(len).unwrap()];
            for position in 0..len {
                let value = order.at(position);
                let slot = &mut seen[usize::try_from(value).unwrap()];
                assert!(!*slot, "{value} came twice of {len}");
                *slot = true;
            }
        }
    }

    #[test]
    fn every_number_comes_once_around_powers_of_two() {
        for len in [65_535, 65_536, 65_537, 262_143, 262_144, 262_145] {
            let order = Permutation::new(len, 11).unwrap();
            let mut seen = vec![false; usize::try_from(len).unwrap()];
            for position in 0..len {
                seen[usize::try_from(order.at(position)).unwrap()] = true;
            }
            assert!(seen.iter().all(|&seen| seen), "of {len}");
        }
    }

    /// Walks small domains by the digits of large ones: the mixing itself is a bijection whatever
    /// the bits and the base, checked on all its numbers.
    #[test]
    fn the_mixing_is_a_bijection_on_all_numbers_of_its_domain() {
        for bits in 1..=8 {
            for high_base in [1, 2, 3, 100, 255] {
                let len = high_base << bits;
                let order = Permutation {
                    len,
                    bits,
                    high_base,
                    keys: keys_of(5),
                };
                let mut seen = vec![false; usize::try_from(len).unwrap()];
                for value in 0..len {
                    seen[usize::try_from(order.forward(value)).unwrap()] = true;
                    assert_eq!(order.backward(order.forward(value)), value);
                }
                assert!(
                    seen.iter().all(|&seen| seen),
                    "{bits} bits, base {high_base}"
                );
            }
        }
    }

    #[test]
    fn the_order_does_not_run_in_steps() {
        for len in [65_535, 1 << 20, 1 << 32, 1 << 48, (1 << 63) - 1] {
            for key in 0..16 {
                let order = Permutation::new(len, key).unwrap();
                let near = len / 1_000;
                let neighbours = (1..60_000)
                    .filter(|&position| order.at(position).abs_diff(order.at(position - 1)) < near)
                    .count();
                // By chance some 120 of 60,000 are this near.
                assert!((60..200).contains(&neighbours), "{neighbours} of {len}");
            }
        }
    }

    /// Where each of many positions falls, and where the one `step` later does, in a grid of 16 by
    /// 16 parts of the domain: chi-square of the 256 cells, 255 by chance.
    fn chi_square_of_pairs(order: &Permutation, step: u64) -> f64 {
        let part = order.len().div_ceil(16);
        let mut cells = [0_u32; 256];
        let count = 1 << 16;
        for position in 0..count {
            let (one, other) = (order.at(position), order.at(position + step));
            cells[usize::try_from(one / part * 16 + other / part).unwrap()] += 1;
        }
        let expected = f64::from(u32::try_from(count).unwrap()) / 256.0;
        cells
            .iter()
            .map(|&cell| (f64::from(cell) - expected).powi(2) / expected)
            .sum()
    }

    #[test]
    fn where_a_number_falls_tells_nothing_of_the_next_ones() {
        for len in [
            1 << 20,
            (1 << 24) + 1,
            1 << 28,
            3 << 30,
            1 << 48,
            (1 << 63) - 25,
        ] {
            for step in [1, 2, 3, 7, 256, 4096, 65_536] {
                for key in 0..4 {
                    let order = Permutation::new(len, mix(key)).unwrap();
                    let chi_square = chi_square_of_pairs(&order, step);
                    // Six standard deviations of 22.6 either way.
                    assert!(
                        (119.0..391.0).contains(&chi_square),
                        "{chi_square} at steps of {step} of {len}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_bit_of_the_position_changes_each_bit_of_the_number_half_of_the_time() {
        let order = Permutation::new(1 << 48, 3).unwrap();
        for position_bit in 0..48 {
            let mut changed = [0_u32; 48];
            for trial in 0..1_000 {
                let position = mix(trial) >> 16;
                let difference = order.at(position) ^ order.at(position ^ (1 << position_bit));
                for (bit, count) in changed.iter_mut().enumerate() {
                    *count += u32::try_from((difference >> bit) & 1).unwrap();
                }
            }
            // Six standard deviations of 16.
            for (bit, count) in changed.iter().enumerate() {
                assert!(
                    (400..=600).contains(count),
                    "bit {position_bit} on {bit}: {count}"
                );
            }
        }
    }

    #[test]
    fn a_domain_over_2_to_63_is_refused() {
        assert!(Permutation::new(MAX_LEN, 1).is_some());
        assert!(Permutation::new(MAX_LEN + 1, 1).is_none());
    }

    proptest! {
        #[test]
        fn position_of_undoes_at(len in 1..=MAX_LEN, key: u64, position: u64) {
            let order = Permutation::new(len, key).unwrap();
            let position = position % len;
            let value = order.at(position);
            prop_assert!(value < len);
            prop_assert_eq!(order.position_of(value), position);
        }

        #[test]
        fn keys_give_different_orders(key: u64) {
            let one = Permutation::new(1 << 48, key).unwrap();
            let other = Permutation::new(1 << 48, key ^ 1).unwrap();
            prop_assert!((0..8).any(|position| one.at(position) != other.at(position)));
        }
    }
}
