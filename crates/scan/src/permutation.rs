//! A keyed order over 0..n that needs no memory: each number comes exactly once.
//!
//! The numbers are written as pairs of digits in two nearly equal bases whose product is at
//! least n, and the digits are mixed into each other in turns, as in a Feistel network
//! generalised to any domain (Black and Rogaway, "Ciphers with Arbitrary Finite Domains",
//! 2002, 4.3). What falls outside 0..n is mixed again. It is an order, not a cipher: it
//! spreads load, and hides nothing.

mod wide;

pub use wide::WidePermutation;

/// How often each digit is mixed into the other. Six turns leave no visible pattern.
const TURNS: usize = 6;

/// The largest domain: 2^63. Sums of digits and products of bases then fit in 64 bits.
pub const MAX_LEN: u64 = 1 << 63;

/// A permutation of the numbers below [`len`](Self::len), chosen by a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permutation {
    len: u64,
    /// The base of the low digit: the square root of the length, rounded up; at most 2^32.
    low_base: u64,
    /// The base of the high digit: enough for their product to reach the length.
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

/// Some number below `base`, decided by `digit` and `key`. `base` is at most 2^32.
const fn below(base: u64, digit: u64, key: u64) -> u64 {
    ((mix(digit ^ key) >> 32) * base) >> 32
}

impl Permutation {
    /// The order that `key` gives to 0..`len`; `None` above [`MAX_LEN`].
    pub fn new(len: u64, key: u64) -> Option<Self> {
        if len > MAX_LEN {
            return None;
        }
        let root = len.isqrt();
        let low_base = (root + u64::from(root * root < len)).max(1);
        let high_base = len.div_ceil(low_base).max(1);
        let mut keys = [0; TURNS];
        let mut state = key;
        for turn in &mut keys {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            *turn = mix(state);
        }
        Some(Self {
            len,
            low_base,
            high_base,
            keys,
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
    pub const fn at(&self, position: u64) -> u64 {
        if self.len == 0 {
            return 0;
        }
        let mut value = self.forward(position % self.len);
        // The bases' product exceeds the length by less than one of them, so that this is rare.
        while value >= self.len {
            value = self.forward(value);
        }
        value
    }

    /// Where `value` comes: the inverse of [`at`](Self::at).
    pub const fn position_of(&self, value: u64) -> u64 {
        if self.len == 0 {
            return 0;
        }
        let mut position = self.backward(value % self.len);
        while position >= self.len {
            position = self.backward(position);
        }
        position
    }

    const fn forward(&self, value: u64) -> u64 {
        let mut low = value % self.low_base;
        let mut high = value / self.low_base;
        let mut turn = 0;
        while turn < TURNS {
            low += below(self.low_base, high, self.keys[turn]);
            if low >= self.low_base {
                low -= self.low_base;
            }
            high += below(self.high_base, low, self.keys[turn + 1]);
            if high >= self.high_base {
                high -= self.high_base;
            }
            turn += 2;
        }
        high * self.low_base + low
    }

    const fn backward(&self, value: u64) -> u64 {
        let mut low = value % self.low_base;
        let mut high = value / self.low_base;
        let mut turn = TURNS;
        while turn > 0 {
            turn -= 2;
            let by = below(self.high_base, low, self.keys[turn + 1]);
            high = if high >= by {
                high - by
            } else {
                high + self.high_base - by
            };
            let by = below(self.low_base, high, self.keys[turn]);
            low = if low >= by {
                low - by
            } else {
                low + self.low_base - by
            };
        }
        high * self.low_base + low
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
    fn the_order_does_not_run_in_steps() {
        let order = Permutation::new(65_535, 7).unwrap();
        let neighbours = (1..65_535)
            .filter(|&position| order.at(position).abs_diff(order.at(position - 1)) < 64)
            .count();
        // By chance some 128 in 65,535 are this near.
        assert!(neighbours < 200, "{neighbours}");
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
