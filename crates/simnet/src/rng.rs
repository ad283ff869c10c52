//! Chance that comes from a seed.

/// A stream of numbers (`SplitMix64`: Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014). Fast, and good enough to drop packets by.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

impl Rng {
    /// The stream of a seed; `stream` tells apart what must not be correlated.
    pub(crate) const fn new(seed: u64, stream: u64) -> Self {
        Self(mix(seed ^ mix(stream.wrapping_add(GAMMA))))
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }

    /// A number from 0 up to and without 1.
    pub(crate) fn unit(&mut self) -> f64 {
        unit(self.next())
    }

    /// Whether what happens with this probability happens. What never happens takes no number,
    /// so that adding an element to a scenario leaves the others' chances as they were.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.unit() < probability
    }

    /// A number below `bound`, which is not 0.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Scrambles 64 bits.
pub(crate) const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number from 0 up to and without 1, of the upper 53 bits.
#[expect(clippy::cast_precision_loss, reason = "53 bits are exact in an f64")]
pub(crate) const fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// A hash of an address and a number, keyed by a seed: what a host is like.
pub(crate) const fn hash(seed: u64, address: u128, number: u64) -> u64 {
    let low = (address & 0xffff_ffff_ffff_ffff) as u64;
    let high = (address >> 64) as u64;
    mix(mix(mix(seed.wrapping_add(GAMMA) ^ low).wrapping_add(high) ^ GAMMA).wrapping_add(number))
}
