//! Division by a number that stays the same.

/// Divides by one number again and again: by a product and a shift, which cost a fraction of what
/// the processor's division does (Granlund and Montgomery, "Division by Invariant Integers using
/// Multiplication", 1994, 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Divisor {
    by: u64,
    factor: u64,
    shift: u32,
}

impl Divisor {
    /// Numbers below this are divided right: 2^63.
    pub(crate) const END: u64 = 1 << 63;

    /// A divisor; 0 is taken for 1.
    pub(crate) const fn new(by: u32) -> Self {
        let by = if by == 0 { 1 } else { by as u64 };
        // The least power of two that is no less: 2^0 to 2^32.
        let shift = 63 + (64 - (by - 1).leading_zeros());
        // Above 2^(shift - 64) and so below 2^64; too large by no more than `by`, which in a product
        // with a number below 2^63 stays below 2^shift.
        let factor = (1_u128 << shift) / by as u128 + 1;
        #[expect(clippy::cast_possible_truncation, reason = "it is below 2^64")]
        let factor = factor as u64;
        Self { by, factor, shift }
    }

    /// What it divides by.
    pub(crate) const fn by(&self) -> u64 {
        self.by
    }

    /// Quotient and remainder of a number below [`END`](Self::END).
    #[inline]
    pub(crate) const fn divide(&self, number: u64) -> (u64, u64) {
        let product = number as u128 * self.factor as u128;
        #[expect(clippy::cast_possible_truncation, reason = "no more than the number")]
        let quotient = (product >> self.shift) as u64;
        (quotient, number - quotient * self.by)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_largest_numbers_are_divided_right() {
        for by in (1..=70_000).chain([u32::MAX - 1, u32::MAX, 1 << 31]) {
            let divisor = Divisor::new(by);
            let by = u64::from(by);
            for number in [
                0,
                1,
                by - 1,
                by,
                by + 1,
                Divisor::END - 1,
                Divisor::END - by,
            ] {
                assert_eq!(divisor.divide(number), (number / by, number % by));
            }
        }
    }

    proptest! {
        #[test]
        fn it_divides_as_the_processor_does(by in 1u32.., number in 0..Divisor::END) {
            let expected = (number / u64::from(by), number % u64::from(by));
            prop_assert_eq!(Divisor::new(by).divide(number), expected);
            // Around a multiple, where an error would show first.
            let multiple = number - number % u64::from(by);
            prop_assert_eq!(Divisor::new(by).divide(multiple).1, 0);
            if let Some(before) = multiple.checked_sub(1) {
                prop_assert_eq!(Divisor::new(by).divide(before).1, u64::from(by) - 1);
            }
        }
    }
}
