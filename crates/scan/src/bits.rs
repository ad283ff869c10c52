//! A row of bits.

/// A fixed number of bits, all unset at first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// `len` unset bits.
    pub(crate) fn new(len: u64) -> Self {
        let words = usize::try_from(len.div_ceil(64)).unwrap_or(usize::MAX);
        Self {
            words: vec![0; words],
        }
    }

    /// Whether it has no bits at all.
    pub(crate) const fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    fn place(bit: u64) -> (usize, u64) {
        let word = usize::try_from(bit / 64).unwrap_or(usize::MAX);
        (word, 1 << (bit % 64))
    }

    /// Whether `bit` is set; one beyond the end is not.
    pub(crate) fn is_set(&self, bit: u64) -> bool {
        let (word, mask) = Self::place(bit);
        self.words.get(word).is_some_and(|word| word & mask != 0)
    }

    /// Sets `bit`; returns whether it was unset. One beyond the end stays as it is.
    pub(crate) fn set(&mut self, bit: u64) -> bool {
        let (word, mask) = Self::place(bit);
        let Some(word) = self.words.get_mut(word) else {
            return false;
        };
        let new = *word & mask == 0;
        *word |= mask;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_is_set_once() {
        let mut bits = Bits::new(65);
        assert!(!bits.is_set(64));
        assert!(bits.set(64));
        assert!(!bits.set(64));
        assert!(bits.is_set(64));
        assert!(!bits.set(1 << 40));
    }
}
